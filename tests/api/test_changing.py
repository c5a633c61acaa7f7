"""Escalation, changes of services and monitors, and the end of a monitor, through the API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from comms.models import Contact, Delivery, Message
from comms.rules.routing import is_stale
from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.facts import Reading
from incidents.models import Incident, Monitor, Release, Sample, Service
from incidents.services import measuring, monitors
from incidents.states import SampleOutcome
from tests.reporting import publish_report_of

SOURCE = {"type": "http_json", "url": "http://127.0.0.1:9/metrics.json", "path": "error_rate"}


# --- escalation ---------------------------------------------------------------------------------


def kinds(incident: Incident) -> list[str]:
    return list(
        Event.objects.filter(stream=incident.stream_id).order_by("seq").values_list("kind", flat=True)
    )


def test_escalated_is_a_state_that_the_timeline_tells(api: APIClient, incident: Incident) -> None:
    at = f"/api/v1/incidents/{incident.ref}/"
    assert api.get(at).json()["escalated_to"] is None
    answer = api.post(f"{at}escalate/", {"reason": "Payments are down for all", "to": "security_team"})
    assert answer.status_code == 200
    assert answer.json()["escalated_to"] == "security_team"
    assert answer.json()["escalated_at"]
    event = Event.objects.filter(kind="incident.escalated").get()
    assert event.data == {
        "incident": incident.ref,
        "to": "security_team",
        "reason": "Payments are down for all",
    }
    again = api.post(f"{at}escalate/", {"reason": "really", "to": "security_team"})
    assert (again.status_code, again.json()["code"]) == (409, "already_escalated")
    assert api.post(f"{at}escalate/", {"reason": "higher"}).json()["escalated_to"] == "management"
    assert kinds(incident).count("incident.escalated") == 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, "/reason"), ({"reason": " "}, "/reason"), ({"reason": "x", "to": "the_moon"}, "/to")],
)
def test_a_wrong_escalation_names_the_field(
    api: APIClient, incident: Incident, body: dict[str, str], pointer: str
) -> None:
    answer = api.post(f"/api/v1/incidents/{incident.ref}/escalate/", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)
    assert "incident.escalated" not in kinds(incident)


def test_only_an_open_incident_is_escalated_and_a_reopened_one_begins_anew(
    api: APIClient, incident: Incident
) -> None:
    at = f"/api/v1/incidents/{incident.ref}/"
    api.post(f"{at}escalate/", {"reason": "help"})
    api.post(f"{at}resolve/", {"resolution": "fixed"})
    refused = api.post(f"{at}escalate/", {"reason": "help", "to": "everyone"})
    assert (refused.status_code, refused.json()["state"]) == (409, "resolved")
    assert api.post(f"{at}reopen/", {"reason": "back"}).json()["escalated_to"] is None


def test_the_audience_that_is_named_is_told_and_nobody_else(
    api: APIClient, incident: Incident, now: dt.datetime
) -> None:
    for name, audience in (("cto", "management"), ("sec", "security_team"), ("dev", "technical_team")):
        Contact.objects.create(name=name, email=f"{name}@example.test", audiences=[audience])
    api.post(f"/api/v1/incidents/{incident.ref}/escalate/", {"reason": "We need you", "to": "security_team"})
    deliver_pending(now=now)
    message = Message.objects.get(template="escalation")
    mails = Delivery.objects.filter(message=message, channel="email").values_list("recipient", flat=True)
    assert list(mails) == ["sec@example.test"]
    assert message.subject == f"ESCALATED - P0 {incident.title}"
    assert "We need you" in message.body
    assert incident.ref in message.body
    listed = api.get(f"/api/v1/incidents/{incident.ref}/messages/?template=escalation").json()["results"]
    assert [row["subject"] for row in listed] == [message.subject]
    assert is_stale("escalation", incident_open=False, acknowledged=True, rollback_state="")
    assert not is_stale("escalation", incident_open=True, acknowledged=True, rollback_state="")


def test_a_closed_incident_is_not_edited(api: APIClient, incident: Incident) -> None:
    at = f"/api/v1/incidents/{incident.ref}/"
    api.post(f"{at}resolve/", {"resolution": "fixed"})
    assert api.patch(at, {"impact": "known now"}).status_code == 200
    publish_report_of(incident, now=utcnow())
    api.post(f"{at}close/")
    assert api.patch(at, {"impact": "another"}).json()["state"] == "closed"


# --- services -----------------------------------------------------------------------------------


def test_a_service_is_changed_and_its_stream_says_what(api: APIClient, shop: Service) -> None:
    change = {"name": "The shop", "auto_rollback": False, "tier": None, "public_name": "Shop"}
    answer = api.patch("/api/v1/services/shop/", change)
    assert answer.status_code == 200
    assert answer.json() == change | {
        "slug": "shop",
        "environment": "production",
        "procedure": "storefront_rollback",
    }
    event = Event.objects.filter(stream=shop.stream_id, kind="service.edited").get()
    assert event.data["fields"] == ["name", "auto_rollback", "public_name"]
    assert event.actor == "ida"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"slug": "other"}, "/slug"),
        ({"procedure": "format_disk"}, "/procedure"),
        ({"name": ""}, "/name"),
        ({"tier": -1}, "/tier"),
        ({"auto_rollback": "yes"}, "/auto_rollback"),
    ],
)
def test_a_wrong_change_of_a_service_names_the_field(
    api: APIClient, shop: Service, change: dict[str, Any], pointer: str
) -> None:
    answer = api.patch("/api/v1/services/shop/", change)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)
    assert not Event.objects.filter(kind="service.edited").exists()


# --- monitors -----------------------------------------------------------------------------------


@pytest.fixture
def monitor(shop: Service, now: dt.datetime) -> Monitor:
    return monitors.create_monitor(actor=SYSTEM, now=now, service="shop", metric="error_rate", source=SOURCE)


def test_a_monitor_is_changed_paused_and_goes_on(api: APIClient, monitor: Monitor, now: dt.datetime) -> None:
    at = f"/api/v1/monitors/{monitor.pk}/"
    Monitor.objects.update(next_check_due_at=now + dt.timedelta(hours=1))
    changed = api.patch(at, {"thresholds": {"critical": 0.5}, "interval_seconds": 5}).json()
    assert (changed["thresholds"], changed["interval_seconds"]) == ({"critical": 0.5}, 5)
    monitor.refresh_from_db()
    assert monitor.next_check_due_at is not None
    assert monitor.next_check_due_at < now + dt.timedelta(minutes=1), "checked at once, by the new rule"
    assert api.patch(at, {"enabled": False}).json()["enabled"] is False
    assert api.get("/api/v1/services/shop/health/").json()["monitors"] == []
    assert api.patch(at, {"enabled": True}).json()["enabled"] is True
    summaries = Event.objects.filter(kind="monitor.edited").order_by("seq").values_list("summary", flat=True)
    assert [text.split(" of ")[0] for text in summaries] == [
        "Changed interval seconds, thresholds",
        "No measuring",
        "Measuring",
    ]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"metric": "cpu_usage"}, "/metric"),
        ({"service": "pay"}, "/service"),
        ({"policy": "gut_feeling"}, "/policy"),
        ({"source": {"type": "crystal_ball"}}, "/source/type"),
        ({"thresholds": {"high": 2, "critical": 1}}, "/thresholds"),
        ({"interval_seconds": 0}, "/interval_seconds"),
    ],
)
def test_a_wrong_change_of_a_monitor_names_the_field(
    api: APIClient, monitor: Monitor, change: dict[str, Any], pointer: str
) -> None:
    answer = api.patch(f"/api/v1/monitors/{monitor.pk}/", change)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


def test_a_metric_that_no_policy_knows_keeps_thresholds_of_its_own(
    api: APIClient, shop: Service, now: dt.datetime
) -> None:
    queue = monitors.create_monitor(
        actor=SYSTEM, now=now, service="shop", metric="queue", source=SOURCE, thresholds={"high": 5}
    )
    assert api.patch(f"/api/v1/monitors/{queue.pk}/", {"thresholds": None}).status_code == 400


def test_a_removed_monitor_is_gone_at_once_and_its_samples_with_the_sweep(
    api: APIClient, monitor: Monitor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = f"/api/v1/monitors/{monitor.pk}/"
    for second in range(7):
        moment = now + dt.timedelta(seconds=second)
        measuring.observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.001), now=moment)
    assert api.delete(at).status_code == 204
    assert [api.get(at).status_code, api.delete(at).status_code] == [404, 404]
    assert api.get("/api/v1/monitors/").json()["results"] == []
    assert api.get(f"{at}samples/").status_code == 404
    assert Event.objects.filter(kind="monitor.removed", actor="ida").exists()
    assert Sample.objects.count() == 7
    monkeypatch.setattr(monitors, "SAMPLES_AT_ONCE", 3)
    monkeypatch.setattr(monitors, "BATCHES_AT_ONCE", 2)
    later = now + dt.timedelta(minutes=1)
    left = []
    while monitors.forget_removed_monitors(now=later):
        left.append((Sample.objects.count(), Monitor.with_removed.count()))
    assert left == [(1, 1), (0, 0)], "a few at a time, the monitor last"


def test_removing_costs_the_same_with_a_long_history(api: APIClient, shop: Service, now: dt.datetime) -> None:
    counted = []
    for samples in (0, 50):
        one = monitors.create_monitor(
            actor=SYSTEM, now=now, service="shop", metric="error_rate", source=SOURCE
        )
        Sample.objects.bulk_create(
            Sample(monitor=one, at=now, outcome=SampleOutcome.OK, value=0.0, level="ok")
            for _ in range(samples)
        )
        with CaptureQueriesContext(connection) as captured:
            assert api.delete(f"/api/v1/monitors/{one.pk}/").status_code == 204
        counted.append(len(captured))
    assert counted[0] == counted[1]


def test_a_release_is_clean_again_when_what_complained_is_removed(
    api: APIClient, monitor: Monitor, now: dt.datetime
) -> None:
    measuring.observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.9), now=now)
    live = Release.objects.get(state="live")
    assert live.clean_since is None
    api.delete(f"/api/v1/monitors/{monitor.pk}/")
    live.refresh_from_db()
    assert live.clean_since is not None


# --- filters ------------------------------------------------------------------------------------


FILTERED = (
    ("services", "environment=staging", ["pay"]),
    ("services", "auto_rollback=true", ["shop"]),
    ("services", "tier=1", ["pay"]),
    ("services", "search=PAYM", ["pay"]),
    ("services/shop/releases", "state=good", ["1.9.0"]),
    ("services/shop/releases", "version=2.0.0", ["2.0.0"]),
    ("services/shop/releases", "deployed_after=2001-01-01T00:00:00Z", ["2.0.0", "1.9.0"]),
    ("monitors", "metric=cpu_usage", ["cpu_usage"]),
    ("monitors", "level=ok", ["cpu_usage", "error_rate"]),
    ("monitors", "enabled=false", ["cpu_usage"]),
    ("contacts", "kind=primary", ["Ann"]),
    ("contacts", "role=technical_lead", ["Ann"]),
    ("contacts", "audience=management", ["Bob"]),
    ("contacts", "active=false", ["Bob"]),
    ("contacts", "search=ANN", ["Ann"]),
)


def test_every_list_is_filtered(api: APIClient, monitor: Monitor, now: dt.datetime) -> None:
    api.post("/api/v1/services/", {"slug": "pay", "name": "Payments", "environment": "staging", "tier": 1})
    monitors.create_monitor(
        actor=SYSTEM,
        now=now,
        service="pay",
        metric="cpu_usage",
        policy="performance",
        source=SOURCE,
        enabled=False,
    )
    Contact.objects.create(name="Ann", kind="primary", role="technical_lead", email="ann@example.test")
    Contact.objects.create(name="Bob", audiences=["management"], active=False, email="bob@example.test")
    for path, query, expected in FILTERED:
        rows = api.get(f"/api/v1/{path}/?{query}").json()["results"]
        named = [row.get("slug") or row.get("version") or row.get("metric") or row["name"] for row in rows]
        assert named == expected, (path, query)


LISTS = (
    "incidents/",
    "services/",
    "services/shop/releases/",
    "monitors/",
    "monitors/{monitor}/samples/",
    "monitors/{monitor}/rollups/",
    "rollbacks/",
    "contacts/",
    "procedures/",
    "incidents/{incident}/timeline/",
    "incidents/{incident}/responders/",
    "incidents/{incident}/rollbacks/",
    "incidents/{incident}/messages/",
)


def test_an_unknown_parameter_of_any_list_is_400(
    api: APIClient, incident: Incident, monitor: Monitor
) -> None:
    for path in LISTS:
        at = "/api/v1/" + path.format(incident=incident.ref, monitor=monitor.pk)
        assert api.get(at).status_code == 200, path
        answer = api.get(f"{at}?colour=red")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/colour"), path


def test_a_timeline_is_read_by_kind_and_responders_by_being_there(
    api: APIClient, incident: Incident, make_user: Callable[..., User], commander: Actor
) -> None:
    at = f"/api/v1/incidents/{incident.ref}/"
    rows = api.get(f"{at}timeline/?kind=role.assigned").json()["results"]
    assert [row["kind"] for row in rows] == ["role.assigned"]
    api.delete(f"{at}roles/incident_commander/")
    assert api.get(f"{at}responders/?active=true").json()["results"] == []
    assert len(api.get(f"{at}responders/?active=false").json()["results"]) == 1
