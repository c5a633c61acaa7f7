"""Broken senders get the documented answer: what is not the format stores nothing, everything else is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from incidents.models import Alert, InboundDelivery, Service
from tests.alerts.conftest import Send, alert, webhook
from tests.alerts.corpus import CASES, Case, table
from tests.web import ROOT

Drain = Callable[..., int]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what[:40])
def test_the_answer_is_the_documented_one(shop: Service, post: Send, drain: Drain, case: Case) -> None:
    answer = post(case.body, content_type=case.content_type)
    assert answer.status_code == case.status, answer.content[:300]
    if case.status >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        assert case.said in answer.json()["detail"]
        assert InboundDelivery.objects.count() == 0
        return
    assert answer.json() == {"accepted": case.alerts}
    drain()
    assert not InboundDelivery.objects.filter(processed_at=None).exists()
    assert Alert.objects.count() == case.alerts
    if case.alerts == 1:
        found = Alert.objects.get()
        notes = [case.note] if case.note else []
        assert set(notes) <= set(found.notes)
        assert notes or not found.notes
        assert {name: getattr(found, name) for name in case.kept} == case.kept


def test_the_document_shows_exactly_this_table() -> None:
    shown = (ROOT / "docs" / "hostile-input.md").read_text()
    assert table() in shown, f"the document's table must be:\n{table()}"


def test_the_alerts_own_status_counts_and_of_two_the_later(shop: Service, post: Send, drain: Drain) -> None:
    post(
        webhook(
            alert("A", status="resolved"),
            alert("B"),
            alert("C", status="firing"), alert("C", status="resolved"),
        )
    )  # fmt: skip
    drain()
    stood = dict(Alert.objects.values_list("labels__alertname", "status"))
    assert stood == {"A": "resolved", "B": "firing", "C": "resolved"}


def test_an_alert_that_says_no_start_is_one_alert_however_often_it_comes(
    shop: Service, post: Send, drain: Drain
) -> None:
    for _ in range(3):
        post(webhook(alert(startsAt="")))
        drain()
    assert Alert.objects.get().repeats == 2
    post(webhook(alert(startsAt="", status="resolved")))
    drain()
    assert Alert.objects.get().status == "resolved"


def test_truncated_alerts_are_told_on_the_timeline(shop: Service, post: Send, drain: Drain) -> None:
    post(webhook(alert(), truncatedAlerts=500))
    drain()
    found = Alert.objects.get().incident
    assert found is not None
    events = found.stream.events.filter(kind="incident.alerts_cut")
    assert [event.summary for event in events] == [
        "500 alerts were cut by the sender: there is more than what arrived"
    ]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"event_action": "explode"}, "'event_action' must be one of trigger, acknowledge, resolve"),
        ({"event_action": "resolve"}, "'dedup_key' is required to resolve"),
        ({"dedup_key": 5}, "'dedup_key' must be a string"),
        ({"payload": None}, "'payload' is required to trigger"),
        ({"payload": []}, "'payload' must be an object"),
        ({"payload": {"source": "a"}}, "'payload.summary' is missing or blank"),
        ({"payload": {"summary": "\u200b"}}, "'payload.summary' is missing or blank"),
        ({"routing_key": "e93facc04764012d7bfb002500d5d1a6"}, "'routing_key' is not a usable token of this Firebreak"),
        ({"routing_key": None}, "'routing_key' is missing"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_as_pagerduty_does(
    shop: Service, sender: Any, changed: dict[str, Any], error: str
) -> None:
    from rest_framework.test import APIClient

    from tests.alerts.conftest import token_of

    body = {"routing_key": token_of(sender, "ingest"), "event_action": "trigger", "payload": {"summary": "a"}}
    answer = APIClient().post("/v2/enqueue", json.dumps(body | changed), content_type="application/json")
    assert (answer.status_code, answer.json()) == (
        400,
        {"status": "invalid event", "message": "Event object is invalid", "errors": [error]},
    )
    assert InboundDelivery.objects.count() == 0


def test_a_token_without_the_scope_sends_nothing(shop: Service, sender: Any) -> None:
    from rest_framework.test import APIClient

    from tests.alerts.conftest import token_of

    client, text = APIClient(), token_of(sender, "read", "write")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    kind = "application/json"
    assert client.post("/api/v1/ingest/alertmanager/", '{"alerts": []}', content_type=kind).status_code == 403
    event = {"routing_key": text, "event_action": "resolve", "dedup_key": "a"}
    answer = client.post("/v2/enqueue", json.dumps(event), content_type=kind)
    assert (answer.status_code, answer.json()["errors"]) == (
        400,
        ["'routing_key': This needs a token with the scope ingest."],
    )


@pytest.mark.parametrize(
    ("key", "same"),
    [("srv/ä b", True), ("x" * 255, True), ("x" * 256, False), ("a\0b", False), ("\ud800", False)],
)
def test_any_key_is_answered_and_found_again(
    shop: Service, enqueue: Send, drain: Drain, key: str, same: bool
) -> None:
    said = enqueue("trigger", key, payload={"timestamp": "2015-07-17T08:42:58.315+0000"}).json()["dedup_key"]
    drain()
    found = Alert.objects.get()
    assert (found.fingerprint == key) is same
    assert said == key or not same
    assert found.starts_at.isoformat() == "2015-07-17T08:42:58.315000+00:00"
    enqueue("resolve", key)
    drain()
    assert Alert.objects.get().status == "resolved"


def test_odd_content_of_an_event_is_kept_and_noted(shop: Service, enqueue: Send, drain: Drain) -> None:
    odd = {
        "summary": "a\x1b[31m\nb", "severity": "apocalyptic", "source": None, "timestamp": "yesterday",
        "custom_details": [{"a": "\0"}], "component": 5,
    }  # fmt: skip
    assert (
        enqueue("trigger", "k", payload=odd, client_url="javascript:x", links=[{"href": "x"}]).status_code
        == 202
    )
    drain()
    found = Alert.objects.get()
    assert (found.title, found.url, found.labels) == (
        "a b",
        "",
        {"component": "5", "severity": "apocalyptic"},
    )
    assert set(found.annotations) == {"details", "links"}
    assert len(found.notes) >= 3
