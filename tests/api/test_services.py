"""Services, releases, monitors and their samples through the API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from core.actors import SYSTEM
from core.models import User
from incidents.facts import Reading
from incidents.models import Monitor, Service
from incidents.rules.rollups import settled_before
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.rollups import roll_up
from incidents.states import FailureKind, SampleOutcome

SOURCE = {"type": "http_json", "url": "http://127.0.0.1:9/metrics.json", "path": "error_rate"}


@pytest.fixture
def monitor(shop: Service, now: dt.datetime) -> Monitor:
    return create_monitor(actor=SYSTEM, now=now, service="shop", metric="error_rate", source=SOURCE)


def test_a_service_is_created_once(api: APIClient) -> None:
    body = {
        "slug": "pay",
        "name": "Payments",
        "procedure": "storefront_rollback",
        "auto_rollback": True,
        "tier": 1,
    }
    created = api.post("/api/v1/services/", body)
    assert created.status_code == 201
    assert created.json() == body | {"environment": "production", "public_name": ""}
    assert api.get("/api/v1/services/pay/").json() == created.json()
    again = api.post("/api/v1/services/", body)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"slug": "Not A Slug"}, "/slug"),
        ({"procedure": "format_disk"}, "/procedure"),
        ({"tier": 99_999}, "/tier"),
    ],
)
def test_a_wrong_service_names_the_field(api: APIClient, change: dict[str, Any], pointer: str) -> None:
    answer = api.post("/api/v1/services/", {"slug": "pay", "name": "Payments"} | change)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_recorded_release_is_live_and_the_one_before_is_superseded(api: APIClient, shop: Service) -> None:
    at = "/api/v1/services/shop/releases/"
    recorded = api.post(at, {"version": "2.1.0", "commit": "abc123"})
    assert recorded.status_code == 201
    assert (recorded.json()["state"], recorded.json()["commit"]) == ("live", "abc123")
    assert api.post(at, {"version": "2.1.0"}).status_code == 409
    rows = api.get(at).json()["results"]
    assert [row["version"] for row in rows] == ["2.1.0", "2.0.0", "1.9.0"]
    assert rows[2]["state"] == "good"
    assert api.get("/api/v1/services/shop/health/").json()["live_version"] == "2.1.0"


def test_a_monitor_is_created_and_shows_how_it_stands(
    api: APIClient, shop: Service, now: dt.datetime
) -> None:
    body = {"service": "shop", "metric": "error_rate", "source": SOURCE, "interval_seconds": 5}
    created = api.post("/api/v1/monitors/", body)
    assert created.status_code == 201
    monitor = created.json()
    assert (monitor["policy"], monitor["level"], monitor["value"]) == ("rollback_triggers", "ok", None)
    assert (monitor["source"], monitor["thresholds"]) == (SOURCE, None)
    observe(monitor_id=monitor["id"], reading=Reading(SampleOutcome.OK, 0.33), now=now)
    health = api.get("/api/v1/services/shop/health/").json()
    assert (health["service"], health["live_version"]) == ("shop", "2.0.0")
    assert [(row["level"], row["value"]) for row in health["monitors"]] == [("critical", 0.33)]
    assert health["monitors"][0]["checked_at"]
    assert api.get(f"/api/v1/monitors/{monitor['id']}/").json()["level"] == "critical"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"service": "nowhere"}, "/service"),
        ({"policy": "gut_feeling"}, "/policy"),
        ({"source": {"type": "crystal_ball"}}, "/source/type"),
        ({"source": SOURCE | {"url": "file:///etc/passwd"}}, "/source/url"),
        ({"source": SOURCE | {"token": "x"}}, "/source/token"),
        ({"thresholds": {"high": 2, "critical": 1}}, "/thresholds"),
        ({"thresholds": {"high": "NaN"}}, "/thresholds/high"),
        ({"metric": "mood"}, "/thresholds"),
        ({"interval_seconds": 0}, "/interval_seconds"),
    ],
)
def test_a_wrong_monitor_names_the_field(
    api: APIClient, shop: Service, change: dict[str, Any], pointer: str
) -> None:
    body = {"service": "shop", "metric": "error_rate", "source": SOURCE}
    answer = api.post("/api/v1/monitors/", body | change)
    assert answer.status_code == 400
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_samples_are_read_by_span(api: APIClient, monitor: Monitor, now: dt.datetime) -> None:
    for second in range(4):
        at = now + dt.timedelta(seconds=second)
        observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, second / 1000), now=at)
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.NO_DATA), now=now + dt.timedelta(seconds=4))
    address = f"/api/v1/monitors/{monitor.pk}/samples/"
    everything = api.get(address).json()["results"]
    assert [row["value"] for row in everything] == [None, 0.003, 0.002, 0.001, 0.0]
    span = {"after": everything[3]["at"], "before": everything[1]["at"]}
    assert [row["value"] for row in api.get(address, span).json()["results"]] == [0.002, 0.001]


def test_rollups_are_read_by_span_and_page(api: APIClient, monitor: Monitor, now: dt.datetime) -> None:
    end = settled_before(now)
    for minute, value in enumerate([1.0, 3.0, None] * 20, start=1):
        reading = Reading(SampleOutcome.OK, value) if value else Reading.failed(FailureKind.TIMED_OUT, "60 s")
        observe(monitor_id=monitor.pk, reading=reading, now=end - dt.timedelta(minutes=minute))
    roll_up(now=now)
    address = f"/api/v1/monitors/{monitor.pk}/rollups/"
    everything = api.get(address).json()["results"]
    assert len(everything) == 12
    assert everything[0] | {"mean": 0} == {
        "start": f"{end - dt.timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}", "samples": 5, "measured": 4,
        "unanswered": 1, "min": 1.0, "max": 3.0, "mean": 0, "level": "critical",
    }  # fmt: skip
    assert everything[0]["mean"] == pytest.approx(2.0)
    pages = [api.get(address, {"page_size": 5}).json()]
    while pages[-1]["next"]:
        pages.append(api.get(pages[-1]["next"]).json())
    assert [row for page in pages for row in page["results"]] == everything
    span = {"after": everything[3]["start"], "before": everything[1]["start"]}
    assert api.get(address, span).json()["results"] == everything[2:4]
    assert api.get("/api/v1/monitors/999999/rollups/").status_code == 404


@pytest.mark.parametrize("kind", ["samples", "rollups"])
@pytest.mark.parametrize(
    "wrong", [{"after": "yesterday"}, {"before": ""}, {"after": "2026-13-01T00:00:00Z"}, {"cursor": "x"}]
)
def test_a_wrong_span_names_the_parameter(
    api: APIClient, monitor: Monitor, kind: str, wrong: dict[str, str]
) -> None:
    answer = api.get(f"/api/v1/monitors/{monitor.pk}/{kind}/", wrong)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}" for name in wrong]


def test_a_release_is_quarantined_and_a_person_lifts_it(
    api: APIClient, ida: User, program: Callable[..., APIClient], shop: Service
) -> None:
    at = "/api/v1/services/shop/releases/1.9.0/"
    token = program(ida, "write")
    assert token.post(f"{at}quarantine/", {"reason": " "}).json()["errors"][0]["pointer"] == "/reason"
    quarantined = token.post(f"{at}quarantine/", {"reason": "CVE-2026-1"}).json()
    assert (quarantined["state"], quarantined["quarantine_reason"]) == ("quarantined", "CVE-2026-1")
    assert quarantined["quarantined_at"]
    assert api.post(f"{at}quarantine/", {"reason": "x"}).status_code == 409
    assert token.post(f"{at}lift_quarantine/", {"reason": "patched"}).status_code == 403
    lifted = api.post(f"{at}lift_quarantine/", {"reason": "not reachable"}).json()
    assert (lifted["state"], lifted["quarantined_at"], lifted["quarantine_reason"]) == ("good", None, "")
    assert api.post("/api/v1/services/shop/releases/9.9.9/quarantine/", {"reason": "x"}).status_code == 404


def test_a_version_with_a_slash_has_an_address_too(api: APIClient, shop: Service) -> None:
    api.post("/api/v1/services/shop/releases/", {"version": "release/3.0"})
    answer = api.post("/api/v1/services/shop/releases/release/3.0/quarantine/", {"reason": "leaks"})
    assert (answer.status_code, answer.json()["state"]) == (200, "live")
