"""Senders with a token, and what they send."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from core.clock import utcnow
from core.models import ApiToken, User
from incidents.services.inbound import process_due

Send = Callable[..., Any]


def token_of(user: User, *scopes: str) -> str:
    expires = utcnow() + dt.timedelta(days=1)
    return ApiToken.issue(user=user, name="am", scopes=list(scopes), expires_at=expires)[1]


def alert(name: str = "HighErrorRate", *, status: str = "firing", **changed: Any) -> dict[str, Any]:
    """One alert as Alertmanager has it."""
    labels = {"alertname": name, "service": "shop", "severity": "critical"} | changed.pop("labels", {})
    made = {
        "status": status,
        "labels": labels,
        "annotations": {"summary": f"{name} is firing"},
        "startsAt": "2026-11-20T10:15:30.326123456Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=1",
        "fingerprint": f"{abs(hash(json.dumps(labels, sort_keys=True))):016x}"[:16],
    }
    if status == "resolved":
        made["endsAt"] = "2026-11-20T10:25:30Z"
    return made | changed


def webhook(*alerts: Any, **changed: Any) -> dict[str, Any]:
    """A webhook of Alertmanager, version 4."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="HighErrorRate"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "firebreak",
        "groupLabels": {"alertname": "HighErrorRate"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
    } | changed


@pytest.fixture
def sender(make_user: Callable[..., User]) -> User:
    """The account that a monitoring system sends by."""
    return make_user("prom", "responder")


@pytest.fixture
def post(sender: User) -> Send:
    """`post(body)`: a delivery to the Alertmanager route, by a token with the scope ingest."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_of(sender, 'ingest')}")

    def send(body: Any, **headers: Any) -> Any:
        raw = body if isinstance(body, str | bytes) else json.dumps(body)
        kind = headers.pop("content_type", "application/json")
        return client.post("/api/v1/ingest/alertmanager/", raw, content_type=kind, **headers)

    return send


@pytest.fixture
def enqueue(sender: User) -> Send:
    """`enqueue("trigger", "key", …)`: a PagerDuty event; the token is its routing key."""
    client, key = APIClient(), token_of(sender, "ingest")

    def send(action: str, dedup_key: str | None = None, *, path: str = "/v2/enqueue", **changed: Any) -> Any:
        payload = {"summary": "Disk is full", "source": "db1", "severity": "critical"} | changed.pop(
            "payload", {}
        )
        body = {"routing_key": key, "event_action": action, "payload": payload} | changed
        if dedup_key is not None:
            body["dedup_key"] = dedup_key
        return client.post(path, json.dumps(body), content_type="application/json")

    return send


@pytest.fixture
def drain() -> Callable[..., int]:
    """Look into everything that was delivered."""

    def run(seconds: float = 0) -> int:
        return process_due(now=utcnow() + dt.timedelta(seconds=seconds))

    return run
