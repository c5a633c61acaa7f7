"""Alerts, silences and maintenance as programs and people see them."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from core import gate
from core.clock import utcnow
from core.models import User
from incidents.models import Alert, Incident, MaintenanceWindow, Service, Silence
from tests.alerts.conftest import Send, alert, token_of, webhook
from tests.hostile.test_the_gate import SCOPE
from tests.signing_in import sign_in

Drain = Callable[..., int]


@pytest.fixture
def api(sender: User) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_of(sender, 'read', 'write')}")
    return client


@pytest.fixture
def browser(make_user: Callable[..., User]) -> Client:
    client = Client()
    sign_in(client, make_user("bo", "commander"))
    return client


def in_an_hour() -> str:
    return (utcnow() + dt.timedelta(hours=1)).isoformat()


def test_an_alert_is_reported_repeated_and_ended_by_hand(shop: Service, api: APIClient) -> None:
    said = {"title": "Disk is full", "service": "shop", "severity": "P2"}
    first = api.post("/api/v1/alerts/", said)
    assert first.status_code == 201, first.content
    again = api.post("/api/v1/alerts/", said).json()
    assert (again["id"], again["repeats"]) == (first.json()["id"], 1)
    assert again["incident"] == Incident.objects.get(severity="P2").ref
    ended = api.post("/api/v1/alerts/", said | {"status": "resolved"}).json()
    assert (ended["id"], ended["status"]) == (again["id"], "resolved")
    assert Incident.objects.get().status == "resolved"
    anew = api.post("/api/v1/alerts/", said).json()
    assert anew["id"] != ended["id"]


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"title": "\u200b"}, "/title"),
        ({"severity": "critical"}, "/severity"),
        ({"service": "nowhere"}, "/service"),
        ({"labels": {"a": 1}}, "/labels/a"),
        ({"labels": {f"l{n}": "x" for n in range(65)}}, "/labels"),
        ({"url": "javascript:alert(1)"}, "/url"),
        ({"ends_at": "2026-11-20T00:00:00Z"}, "/ends_at"),
        ({"starts_at": "2099-01-01T00:00:00Z"}, "/starts_at"),
        ({"status": "acknowledged"}, "/status"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_a_wrong_report_names_the_field(
    shop: Service, api: APIClient, changed: dict[str, Any], pointer: str
) -> None:
    answer = api.post("/api/v1/alerts/", {"title": "x"} | changed)
    assert answer.status_code == 400, answer.content
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert Alert.objects.count() == 0


def test_lists_are_narrowed(shop: Service, api: APIClient, post: Send, drain: Drain) -> None:
    post(
        webhook(
            alert("A"), alert("B", status="resolved"), alert("C", labels={"service": "", "severity": "info"})
        )
    )
    drain()

    def found(query: str) -> set[str]:
        return {one["labels"]["alertname"] for one in api.get(f"/api/v1/alerts/?{query}").json()["results"]}

    assert found("") == {"A", "B", "C"}
    assert found("firing=true") == {"A", "C"}
    assert found("service=shop") == {"A", "B"}
    assert found("status=resolved") == {"B"}
    assert found("severity=P1&source=alertmanager&held=false") == {"A", "B"}
    assert api.get("/api/v1/alerts/?sevrity=P1").status_code == 400


def test_a_silence_by_api(shop: Service, api: APIClient) -> None:
    matchers = [{"label": "alertname", "op": "=~", "value": "Disk.*"}]
    made = api.post("/api/v1/silences/", {"matchers": matchers, "reason": "known", "ends_at": in_an_hour()})
    assert made.status_code == 201, made.content
    assert (made.json()["state"], made.json()["matchers"]) == ("active", matchers)
    held = api.post("/api/v1/alerts/", {"title": "x", "labels": {"alertname": "DiskFull"}}).json()
    assert (held["incident"], held["silenced_by"]) == (None, made.json()["id"])
    address = f"/api/v1/silences/{made.json()['id']}/"
    assert len(api.get("/api/v1/silences/?active=true").json()["results"]) == 1
    assert api.post(f"{address}end/", {}).json()["state"] == "ended"
    assert api.post(f"{address}end/", {}).status_code == 409
    assert api.get("/api/v1/silences/?active=true").json()["results"] == []
    wrong = api.post(
        "/api/v1/silences/",
        {"matchers": [{**matchers[0], "value": "("}], "reason": "r", "ends_at": in_an_hour()},
    )
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["/matchers"]


def test_a_window_by_page_shows_on_the_services_page(shop: Service, browser: Client) -> None:
    assert "No maintenance planned" in browser.get("/maintenance/").content.decode()
    made = browser.post("/maintenance/new/", {"services": "shop", "lasts": "60", "reason": "upgrade"})
    assert made.status_code == 302, made.content
    window = MaintenanceWindow.objects.get()
    assert "Maintenance until" in browser.get("/services/shop/").content.decode()
    assert "upgrade" in browser.get("/maintenance/").content.decode()
    assert browser.post(f"/maintenance/{window.pk}/end/").status_code == 302
    assert "Maintenance until" not in browser.get("/services/shop/").content.decode()


def test_a_silence_by_page(browser: Client, db: None) -> None:
    assert "No silence" in browser.get("/silences/").content.decode()
    typed = 'alertname="DiskFull"\n\nenv!~"dev|test"'
    assert (
        browser.post("/silences/new/", {"matchers": typed, "lasts": "60", "reason": "known"}).status_code
        == 302
    )
    silence = Silence.objects.get()
    assert [one["op"] for one in silence.matchers] == ["=", "!~"]
    wrong = browser.post("/silences/new/", {"matchers": "what", "lasts": "60", "reason": "known"})
    assert wrong.status_code == 422
    assert "is no matcher" in wrong.content.decode()
    assert browser.post(f"/silences/{silence.pk}/end/").status_code == 302
    assert "Ended" in browser.get("/silences/").content.decode()


def test_pages_teach_and_cost_the_same_however_much_there_is(
    shop: Service, browser: Client, post: Send, drain: Drain
) -> None:
    assert "Nothing fires" in browser.get("/alerts/").content.decode()

    def price(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(path).status_code == 200
        return len(queries)

    post(webhook(alert("A")))
    drain()
    browser.post("/maintenance/new/", {"services": "shop", "lasts": "30", "reason": "upgrade"})
    MaintenanceWindow.objects.update(ends_at=utcnow())
    browser.get("/alerts/")  # shows what the form said, once
    paths = (
        "/alerts/",
        "/alerts/?status=all",
        "/silences/",
        "/maintenance/",
        f"/incidents/{Incident.objects.get().ref}/",
    )
    few = {path: price(path) for path in paths}
    post(webhook(*(alert(f"B{n}") for n in range(40))))
    drain()
    for number in range(20):
        at = utcnow()
        span = {"starts_at": at, "ends_at": at, "created_at": at, "reason": "r", "created_by": "i"}
        Silence.objects.create(matchers=[{"label": "a", "op": "=", "value": str(number)}], **span)
        MaintenanceWindow.objects.create(**span).services.add(shop)
    assert {path: price(path) for path in paths} == few
    page = browser.get("/alerts/").content.decode()
    assert page.count(Incident.objects.get().ref) >= 41


def test_a_restricted_incident_is_no_ones_to_read_in_the_list_of_alerts(
    shop: Service, post: Send, drain: Drain, sender: User
) -> None:
    post(webhook(alert()))
    drain()
    Incident.objects.update(restricted=True)
    client = Client()
    sign_in(client, sender)
    ref = Incident.objects.get().ref
    assert ref not in client.get("/alerts/").content.decode()
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {token_of(sender, 'read')}")
    assert api.get("/api/v1/alerts/").json()["results"] == [], "what an attack is about is its secret, too"
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {token_of(sender, 'write')}")
    again = {"title": "x", "fingerprint": "f", "service": "shop", "severity": "P1"}
    first = api.post("/api/v1/alerts/", again, format="json")
    assert (first.status_code, first.json()["incident"]) == (201, None), "who sends is answered"


def test_an_attack_and_an_outage_are_two_incidents(shop: Service, post: Send, drain: Drain) -> None:
    attack = {"category": "security"}
    post(webhook(alert(), alert("Odd", labels=attack)))
    drain()
    post(webhook(alert("Slow"), alert("Odder", labels=attack)))
    drain()
    found = {incident.kind: incident for incident in Incident.objects.all()}
    assert (len(found), Incident.objects.count()) == (2, 2)
    assert found["security"].restricted
    assert found["security"].alerts.count() == 2
    assert not found["operational"].restricted
    assert found["operational"].alerts.count() == 2
    assert found["security"].origin is None, "what monitors see joins the other one"


@pytest.mark.parametrize(
    ("path", "size", "passes"),
    [
        ("/api/v1/ingest/alertmanager/", 5_242_880, True),
        ("/api/v1/ingest/alertmanager/", 5_242_881, False),
        ("/v2/enqueue", 512_000, True),
        ("/v2/enqueue", 512_001, False),
        ("/api/v1/incidents/", 1_048_577, False),
    ],
)
def test_the_gate_lets_so_much_through(path: str, size: int, passes: bool) -> None:
    sent: list[Any] = []
    passed: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b" " * size, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def application(scope: Any, read: Any, _send: Any) -> None:
        passed.append(len((await read())["body"]))

    scope = {**SCOPE, "path": path, "headers": [(b"content-length", str(size).encode())]}
    asyncio.run(gate.Gate(application)(scope, receive, send))
    assert passed == ([size] if passes else [])
    assert [message["status"] for message in sent if "status" in message] == ([] if passes else [413])
