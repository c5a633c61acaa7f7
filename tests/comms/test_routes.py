"""Every row of the shipped routing table: who is told, where, by which message, and who is paged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from django.db import transaction

from comms.models import Contact, Delivery, Message
from comms.playbook import Route, Routing
from comms.selectors.content import bridge_of
from comms.services.messages import queue_messages
from core import events
from core.actors import SYSTEM, Actor
from core.models import Event, PendingEvent
from core.playbook import get_playbook
from incidents.models import Incident, Service
from incidents.services.incidents import declare_incident
from rollbacks.services.requests import request_rollback

pytestmark = pytest.mark.django_db

# Who belongs to what: one contact each, with an address of every kind.
PEOPLE = {
    "tech": ("team", ["technical_team"]),
    "boss": ("escalation", ["management"]),
    "dev": ("team", ["development_team"]),
    "sec": ("team", ["security_team"]),
    "first": ("primary", []),
}
SEVERITY = {"P0": set(PEOPLE), "P1": {"tech", "boss"}, "P2": {"tech"}, "P3": {"dev"}}
ROOM, DEV, SEC = "incident_response", "dev_alerts", "security_alerts"


@dataclass(frozen=True)
class Case:
    """An event, and what comes of it. `told` are e-mails, `paged` whom a page reaches (by SMS, the first way)."""

    event: str
    template: str
    places: set[str]
    told: set[str] = field(default_factory=set)
    paged: set[str] = field(default_factory=set)
    severity: str = "P1"
    data: Mapping[str, Any] = field(default_factory=dict)
    security: bool = False
    drill: bool = False
    about: str = "incident"

    def __str__(self) -> str:
        marks = [
            self.event,
            self.severity,
            *(["security"] if self.security else []),
            *(["drill"] if self.drill else []),
        ]
        return "-".join([*marks, *map(str, self.data.values())])


def begins(severity: str, **changed: Any) -> Case:
    whom = SEVERITY[severity] | ({"sec"} if changed.get("security") else set())
    if changed.get("drill"):
        whom = set()  # none of them takes part: tests/rollbacks/test_drill_runs.py
    places = {ROOM, SEC} if changed.get("security") else {ROOM}
    template = "drill" if changed.get("drill") else "incident_alert"
    return Case("incident.declared", template, places, whom, whom, severity, **changed)


RUNG = {"to": ["technical_team", "management"], "since": "2026-11-20T10:00:00Z"}
AWAITS = {"state": "awaiting_approval"}
DECIDERS = {"first", "boss"}
CASES = [
    *(begins(severity) for severity in SEVERITY),
    *(begins(severity, security=True) for severity in SEVERITY),
    *(begins(severity, drill=True) for severity in SEVERITY),
    begins("P2", drill=True, security=True),
    Case("incident.reopened", "incident_alert", {ROOM}, {"tech"}, {"tech"}, "P2"),
    Case("incident.reopened", "incident_alert", {ROOM, SEC}, {"tech", "sec"}, {"tech", "sec"}, "P2", security=True),
    Case("incident.severity_changed", "incident_alert", {ROOM}, set(PEOPLE), set(PEOPLE), "P0", {"raised": True}),
    Case("incident.severity_changed", "incident_update", {ROOM}, severity="P3", data={"raised": False}),
    Case("incident.security_level_changed", "incident_alert", {ROOM, SEC}, {"tech", "sec"}, {"tech", "sec"}, "P2", {"raised": True}, security=True),
    Case("incident.security_level_changed", "incident_update", {ROOM, SEC}, severity="P3", data={"raised": False}, security=True),
    Case("incident.acknowledged", "acknowledgement", {ROOM}),
    Case("incident.acknowledged", "acknowledgement", {ROOM, SEC}, security=True),
    Case("incident.paged", "response_overdue", {ROOM}, {"tech", "boss"}, {"tech", "boss"}, data=RUNG | {"reason": "response"}),
    Case("incident.paged", "response_overdue", {ROOM, SEC}, {"tech", "boss"}, {"tech", "boss"}, data=RUNG | {"reason": "response"}, security=True),
    Case("incident.paged", "escalation", {ROOM}, {"tech", "boss"}, {"tech", "boss"}, data=RUNG | {"reason": "silence"}),
    Case("incident.paged", "escalation", {ROOM, SEC}, {"tech", "boss"}, {"tech", "boss"}, data=RUNG | {"reason": "silence"}, security=True),
    Case("incident.update_overdue", "update_overdue", {ROOM}, {"tech", "boss"}, {"tech", "boss"}, data=RUNG | {"reason": "update"}),
    Case("role.paged", "escalation", {ROOM}, {"tech"}, {"tech"}, data={"to": ["technical_team"]}),
    Case("incident.escalated", "escalation", {ROOM}, {"boss"}, {"boss"}, data={"to": "management"}),
    Case("incident.escalated", "escalation", {ROOM, SEC}, {"boss", "sec"}, {"boss"}, data={"to": "management"}, security=True),
    Case("checklist.overdue", "checklist_overdue", {ROOM}, {"first"}),
    Case("task.overdue", "task_overdue", {ROOM}, {"first"}, data={"to": ["account:nobody"]}),
    Case("report.due_soon", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}),
    Case("report.overdue", "reminder", {ROOM}, {"first"}, data={"to": ["account:nobody"]}),
    Case("report.drafted", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}),
    Case("report.given", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}),
    Case("report.submitted", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}),
    Case("report.returned", "reminder", set(), {"first"}, data={"to": ["role_holders"]}),
    Case("drill.planned", "reminder", set(), {"tech"}, data={"to": ["technical_team"]}, about="itself"),
    Case("drill.due", "reminder", set(), {"tech"}, data={"to": ["technical_team"]}, about="itself"),
    Case("drill.cancelled", "reminder", set(), {"tech"}, data={"to": ["technical_team"]}, about="itself"),
    Case("drill.inject", "reminder", {ROOM}, drill=True),
    Case("drill.overdue", "reminder", {DEV}, {"tech"}, data={"to": ["technical_team"]}, about="itself"),
    Case("checklist.due_soon", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}),
    Case("checklist.assigned", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}),
    Case("action_item.created", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}),
    Case("action_item.changed", "reminder", set(), {"tech"}, data={"to": ["technical_team"]}),
    Case("action_item.due_soon", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}),
    Case("action_item.overdue", "reminder", set(), {"tech"}, data={"to": ["technical_team"]}),
    Case("review.opened", "reminder", set(), {"tech"}, data={"to": ["technical_team"]}, about="itself"),
    Case("review.due", "reminder", set(), {"tech"}, data={"to": ["technical_team"]}, about="itself"),
    Case("review.overdue", "reminder", {ROOM}, {"tech"}, data={"to": ["technical_team"]}, about="itself"),
    Case("review.held", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}, about="itself"),
    Case("document.due", "reminder", set(), {"boss"}, data={"to": ["management"]}, about="itself"),
    Case("document.overdue", "reminder", {ROOM}, {"boss"}, data={"to": ["management"]}, about="itself"),
    Case("training.due", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}, about="itself"),
    Case("training.overdue", "reminder", set(), {"first"}, data={"to": ["account:nobody"]}, about="itself"),
    Case("incident.updated", "incident_update", {ROOM}, {"tech"}, severity="P2"),
    Case("incident.updated", "incident_update", {ROOM, SEC}, {"tech", "sec"}, severity="P2", security=True),
    Case("incident.resolved", "incident_resolved", {ROOM}, {"dev"}, severity="P3"),
    Case("incident.resolved", "incident_resolved", {ROOM, SEC}, {"dev", "sec"}, severity="P3", security=True),
    Case("rollback.requested", "approval_requested", {ROOM, DEV}, DECIDERS, DECIDERS, data=AWAITS, about="rollback"),
    Case("rollback.edited", "approval_requested", {ROOM, DEV}, DECIDERS, DECIDERS, data=AWAITS | {"other_plan": True}, about="rollback"),
    Case("rollback.break_glass", "break_glass", {ROOM, DEV}, DECIDERS, about="rollback"),
    Case("rollback.started", "rollback_notice", {ROOM, DEV}, {"tech", "boss"}, about="rollback"),
    Case("rollback.needs_attention", "attention_page", {ROOM, DEV}, {"first", "tech", "boss"}, {"first", "tech", "boss"}, about="rollback"),
    Case("rollback.no_runner", "runner_missing", {ROOM, DEV}, {"first", "tech", "boss"}, {"first", "tech", "boss"}, about="rollback"),
    Case("rollback.not_confirmed", "attention_page", {ROOM, DEV}, {"first", "tech", "boss"}, {"first", "tech", "boss"}, about="rollback"),
    Case("rollback.failed", "rollback_failed", {ROOM, DEV}, {"first", "tech", "boss"}, {"first", "tech", "boss"}, about="rollback"),
    Case("rollback.succeeded", "recovery", {ROOM, DEV}, {"tech", "boss"}, about="rollback"),
    Case("monitor.level_changed", "check_failed", {DEV}, data={"to": "critical", "worse": True, "service": "shop"}, about="itself"),
    Case("outbox.parked", "alarm", {DEV}, {"tech"}, about="itself"),
    Case("ingest.parked", "alarm", {DEV}, {"tech"}, about="itself"),
    Case("delivery.given_up", "alarm", {DEV}, {"tech"}, {"tech"}, about="itself"),
    Case("channel.limit_near", "alarm", {DEV}, {"tech"}, about="itself"),
    Case("channel.limit_reached", "alarm", {DEV}, {"tech"}, {"tech"}, about="itself"),
    Case("webhook.disabled", "alarm", {DEV}, {"tech"}, about="itself"),
]  # fmt: skip
SILENT = [
    Case("rollback.requested", "", set(), data={"state": "approved"}, about="rollback"),
    Case("rollback.edited", "", set(), data=AWAITS | {"other_plan": False}, about="rollback"),
    Case("monitor.level_changed", "", set(), data={"to": "high", "worse": True}, about="itself"),
    Case("monitor.level_changed", "", set(), data={"to": "critical", "worse": False}, about="itself"),
    Case("incident.edited", "", set()),
    Case("action_item.changed", "", set(), data={"to": []}),  # another day, the same owner
    Case("review.opened", "", set(), data={"to": []}, about="itself"),  # by hand, nobody asked
    Case("training.overdue", "", set(), data={"to": ["person:nobody"]}, about="itself"),  # who has no contact
    Case("incident.response_breached", "", set()),  # the ladder's first rung follows: incident.paged
]


@pytest.fixture
def people(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (name, (kind, audiences)) in enumerate(PEOPLE.items()):
        Contact.objects.create(
            name=name,
            kind=kind,
            audiences=audiences,
            email=f"{name}@example.test",
            phone=f"+4930{number}000000",
        )


def record(case: Case, incident: Incident, rollback: str, now: dt.datetime) -> Event:
    about = {} if case.about == "itself" else {"incident": incident.ref}
    if rollback:
        about["rollback"] = rollback
    stream = events.system_stream().pk if case.about == "itself" else incident.stream_id
    with transaction.atomic():
        return events.record(
            stream,
            kind=case.event,
            actor=SYSTEM,
            summary="It happened",
            now=now,
            data=about | dict(case.data),
        )


def told(case: Case, shop: Service, commander: Actor, now: dt.datetime) -> list[Message]:
    more: dict[str, Any] = {"kind": "security", "security_level": 3} if case.security else {}
    incident = declare_incident(
        actor=commander,
        now=now,
        title="Down",
        severity=case.severity,
        drill=case.drill,
        services=["shop"],
        **more,
    )
    Incident.objects.filter(pk=incident.pk).update(severity=case.severity)  # a security level may raise it
    rollback = ""
    if case.about == "rollback":
        rollback = request_rollback(
            incident_id=incident.pk, service="shop", reason="errors", actor=commander, now=now
        ).ref
    return queue_messages(event=record(case, incident, rollback, now), now=now)


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_row(case: Case, shop: Service, commander: Actor, now: dt.datetime) -> None:
    (message,) = told(case, shop, commander, now)
    rows = list(Delivery.objects.filter(message=message).select_related("contact"))
    places = {row.channel for row in rows if row.contact is None}
    mailed = {row.contact.name for row in rows if row.contact and row.channel == "email"}
    paged = {row.contact.name for row in rows if row.contact and row.urgent}
    assert (message.template, places, mailed | paged, paged) == (
        case.template,
        case.places,
        case.told,
        case.paged,
    )
    assert {row.urgent for row in rows if row.contact is None} <= {bool(case.paged)} or case.security


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("case", SILENT, ids=str)
def test_what_tells_nobody(case: Case, shop: Service, commander: Actor, now: dt.datetime) -> None:
    assert told(case, shop, commander, now) == []


def test_no_row_is_without_a_case() -> None:
    for route in cast(Routing, get_playbook()["routing"]).routes:
        if route.visibility == "external":
            continue  # those draft and send nothing: tests/comms/test_external.py
        assert any(_fits(route, case) for case in CASES), route


def _fits(route: Route, case: Case) -> bool:
    facts = {"kind": "security" if case.security else "operational", "drill": case.drill, **case.data}
    return route.event == case.event and all(facts.get(name) == value for name, value in route.when.items())


def test_an_alert_that_joins_an_incident_waits_for_no_routing(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    """Thousands of them come at once, and nobody is told: they must not stand in front of a page."""
    incident = declare_incident(actor=commander, now=now, title="Down", severity="P1", services=["shop"])
    event = record(Case("incident.alert_fired", "", set()), incident, "", now)
    waiting = PendingEvent.objects.filter(event=event).values_list("consumer", flat=True)
    assert list(waiting) == ["comms.webhooks"]


def test_the_video_bridge_stands_on_every_message_and_cannot_be_guessed(
    shop: Service, commander: Actor, now: dt.datetime, people: None, settings: Any
) -> None:
    (message,) = told(begins("P1"), shop, commander, now)
    assert message.incident is not None
    bridge = bridge_of(message.incident)
    assert bridge.startswith(f"https://meet.jit.si/{message.incident.ref}-")
    assert f"Video bridge: {bridge}" in message.body
    before = bridge
    settings.SECRET_KEY = "another"
    assert bridge_of(message.incident) != before
