"""Lists: whole under change, filtered as asked, and as cheap with thirty rows as with three."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from core.actors import SYSTEM, Actor
from incidents.models import Incident, Service
from incidents.services.holds import place_hold
from incidents.services.incidents import declare_incident
from incidents.services.monitors import create_monitor
from incidents.services.people import add_responder, assign_role
from rollbacks.services.requests import request_rollback
from tests.conftest import make_service

INCIDENTS = "/api/v1/incidents/"
SOURCE = {"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": "x"}


def refs(answer: Any) -> list[str]:
    return [row["ref"] for row in answer.json()["results"]]


def walk(client: APIClient, address: str, link: str = "next") -> list[list[dict[str, Any]]]:
    pages = []
    following: str | None = address
    while following:
        page = client.get(following).json()
        pages.append(page["results"])
        following = page[link]
    return pages


@pytest.fixture
def ten(commander: Actor, now: dt.datetime) -> list[str]:
    """Ten incidents declared at the very same moment, the oldest first."""
    return [
        declare_incident(actor=commander, now=now, title=f"Number {number}", severity="P3").ref
        for number in range(10)
    ]


def test_pages_hold_every_row_once_newest_first(api: APIClient, ten: list[str]) -> None:
    pages = walk(api, f"{INCIDENTS}?page_size=3")
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [row["ref"] for page in pages for row in page] == ten[::-1]


def test_a_page_stays_whole_while_rows_are_added(
    api: APIClient, ten: list[str], commander: Actor, now: dt.datetime
) -> None:
    first = api.get(f"{INCIDENTS}?page_size=4").json()
    declare_incident(actor=commander, now=now, title="Meanwhile", severity="P3")
    second = api.get(first["next"])
    assert refs(second) == ten[::-1][4:8]
    assert refs(api.get(second.json()["previous"])) == ten[::-1][:4]


def test_a_timeline_is_paged_from_its_beginning(api: APIClient, incident: Incident, now: dt.datetime) -> None:
    at = f"{INCIDENTS}{incident.ref}/timeline/"
    for number in range(5):
        api.post(at, {"summary": f"note {number}"})
    pages = walk(api, f"{at}?page_size=2")
    assert [row["seq"] for page in pages for row in page] == list(range(1, 8))


@pytest.fixture
def various(shop: Service, commander: Actor, now: dt.datetime) -> dict[str, str]:
    def declare(title: str, severity: str, age: int, **more: Any) -> str:
        at = now - dt.timedelta(hours=age)
        return declare_incident(actor=commander, now=at, title=title, severity=severity, **more).ref

    found = {
        "old": declare("Login is slow", "P2", 48, services=["shop"]),
        "leak": declare("Leak of addresses", "P0", 2, kind="security", security_level=2),
        "drill": declare("A drill", "P1", 1, drill=True),
        "new": declare("Checkout fails", "P0", 0, description="all LOGINS too", services=["shop"]),
    }
    Incident.objects.filter(ref=found["old"]).update(status="resolved", resolved_at=now)
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["new", "leak", "old"]),
        ("drill=true", ["drill"]),
        ("drill=any", ["new", "drill", "leak", "old"]),
        ("open=true", ["new", "leak"]),
        ("open=false", ["old"]),
        ("status=resolved", ["old"]),
        ("severity=P0", ["new", "leak"]),
        ("kind=security", ["leak"]),
        ("service=shop", ["new", "old"]),
        ("service=nowhere", []),
        ("search=login", ["new", "old"]),
        ("search=login+slow", ["old"]),
        ("search=ogin", []),
        ("search=addresses+of+leak", ["leak"]),
        ("search=100%25", []),
        ("search=%25", []),
        ("search='+%26+!(", []),
        ("severity=P0&service=shop", ["new"]),
    ],
)
def test_incidents_are_filtered(
    api: APIClient, various: dict[str, str], query: str, expected: list[str]
) -> None:
    assert refs(api.get(f"{INCIDENTS}?{query}")) == [various[name] for name in expected]


def test_a_reference_or_its_day_is_found(api: APIClient, various: dict[str, str]) -> None:
    ref = various["old"]
    day = ref.removeprefix("INC-")[:10]
    for text in (ref, ref.lower(), day, f"login {day}"):
        assert refs(api.get(INCIDENTS, {"search": text})) == [ref], text
    assert refs(api.get(INCIDENTS, {"search": f"leak {day}"})) == []


def test_incidents_are_filtered_by_time(api: APIClient, various: dict[str, str], now: dt.datetime) -> None:
    yesterday = (now - dt.timedelta(days=1)).isoformat()
    assert refs(api.get(INCIDENTS, {"declared_before": yesterday})) == [various["old"]]
    assert refs(api.get(INCIDENTS, {"declared_after": yesterday})) == [various["new"], various["leak"]]


@pytest.fixture
def fill(commander: Actor, make_actor: Callable[..., Actor], now: dt.datetime) -> Callable[[int], None]:
    """`fill(30)`: so many services, each with a monitor and an incident with people and a rollback."""
    tom = make_actor("tom")

    def fill(count: int) -> None:
        for number in range(Service.objects.count(), count):
            slug = make_service(f"s{number}", now).slug
            create_monitor(actor=SYSTEM, now=now, service=slug, metric="error_rate", source=SOURCE)
            incident = declare_incident(actor=commander, now=now, title=slug, severity="P0", services=[slug])
            act: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
            assign_role(**act, role="incident_commander", username="ida")
            add_responder(**act, username=tom.label)
            request_rollback(**act, service=slug, reason="errors")
            place_hold(incident=incident, kind="other", reference=slug, reason="another", now=now)

    return fill


# What each list asks the database, besides the session.
QUERIES = {"incidents": 2, "services": 2, "monitors": 2, "rollbacks": 4, "contacts": 2}


def test_a_list_costs_the_same_with_three_rows_and_with_thirty(
    api: APIClient, fill: Callable[[int], None]
) -> None:
    of_the_session = 2
    for count in (3, 30):
        fill(count)
        for address, queries in QUERIES.items():
            with CaptureQueriesContext(connection) as captured:
                rows = api.get(f"/api/v1/{address}/?page_size=200").json()["results"]
            assert len(rows) == (0 if address == "contacts" else count)
            assert len(captured) == queries + of_the_session, address
