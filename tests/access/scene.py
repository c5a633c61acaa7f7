"""What the rows of the matrix are asked about: incidents of one's own, of others, restricted ones."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, models, transaction
from django.http import HttpResponse
from django.test import Client

from comms.links import Link, token_for
from comms.models import (
    Component,
    Contact,
    Delivery,
    Message,
    PublicUpdate,
    WebhookDelivery,
    WebhookEndpoint,
)
from core.actors import SYSTEM, Actor, ActorKind, actor_for_user
from core.models import ApiToken, Event, PendingEvent, Process, User
from incidents import policy
from incidents.models import (
    ActionItem,
    Alert,
    Document,
    Evidence,
    EvidenceContent,
    InboundDelivery,
    Incident,
    MaintenanceWindow,
    Monitor,
    PublishedReport,
    Report,
    ReportChange,
    ReportText,
    Review,
    RoleGrant,
    Service,
    Silence,
    Task,
)
from incidents.services.checklists import answer_event
from incidents.services.incidents import declare_incident
from incidents.services.monitors import create_monitor
from incidents.services.people import assign_role
from incidents.services.services import switch_back
from incidents.states import INCIDENT_ROLES, ReportSection, Role
from rollbacks.models import AutomationSwitch, Decision, Drill, Rollback
from rollbacks.policy import drill_plan
from rollbacks.services.requests import request_rollback
from tests.access.matrix import Case
from tests.conftest import make_service
from tests.signing_in import sign_in

SECRET_TITLE = "Leak of the customer list"
KINDS = ("own", "other", "restricted")
TOKEN = "0123456789ab"
FILE = "{file}"


@dataclass(frozen=True)
class Subject:
    """An incident with its service, its rollback that awaits approval, and a monitor."""

    incident: Incident
    rollback: Rollback
    monitor: Monitor


class Scene:
    """An installation in the middle of three incidents, and an account of one level."""

    def __init__(self, level: str, now: dt.datetime) -> None:
        self.level, self.now = level, now
        self.boss, _helper = _account("boss", "commander"), _account("helper", "responder")
        self.account = None if level == "signed_out" else _account("me", "" if level == "none" else level)
        self.routing_key = self.bearer("ingest")["Authorization"].split()[1] if self.account else "none"
        self.subjects = {kind: self._subject(kind) for kind in KINDS}
        self.subjects["beside"] = self.subjects["restricted"]
        if self.account is not None:
            ask: dict[str, Any] = {
                "incident_id": self.subjects["own"].incident.pk,
                "role": Role.INCIDENT_COMMANDER,
            }
            assign_role(**ask, username="me", actor=actor_for_user(self.boss), now=now)

    def send(
        self, case: Case, whose: str, *, client: Client | None = None, method: str = "", **headers: str
    ) -> HttpResponse:
        """The answer to a case of the matrix; whatever it does is undone afterwards."""
        client = client or self.client()
        subject = self.subjects.get(whose, self.subjects["own"])
        path = self.address(case, whose)
        body: dict[str, Any] = {"data": self._filled(case.send, subject)}
        if case.is_api and FILE not in case.send.values():
            body["content_type"] = "application/json"
        if (method or case.method) in ("GET", "HEAD"):
            body = {}
        with transaction.atomic():
            if case.given:
                GIVEN[case.given](subject, self.now)
            answer = getattr(client, (method or case.method).lower())(path, headers=headers, **body)
            transaction.set_rollback(True)
        return answer  # type: ignore[no-any-return]

    def client(self, *, staff: bool = False) -> Client:
        """A browser where the account is signed in, as staff if asked for."""
        client = Client(raise_request_exception=False)
        if self.account is not None:
            User.objects.filter(pk=self.account.pk).update(is_staff=staff)
            sign_in(client, self.account)
        return client

    def bearer(self, *scopes: str) -> dict[str, str]:
        """The header of a new token of the account."""
        assert self.account is not None
        expires = self.now + dt.timedelta(days=1)
        _token, text = ApiToken.issue(user=self.account, name="t", scopes=list(scopes), expires_at=expires)
        return {"Authorization": f"Bearer {text}"}

    def secrets_in(self, answer: HttpResponse, whose: str) -> list[str]:
        """What an answer tells of the restricted incident; its references only where they were not asked for."""
        hidden = self.subjects["restricted"]
        secrets = [SECRET_TITLE]
        if whose != "restricted":
            secrets += [hidden.incident.ref, hidden.rollback.ref]
        return [text for text in secrets if text.encode() in answer.content]

    def address(self, case: Case, whose: str) -> str:
        missing = whose == "missing"
        subject = self.subjects.get(whose, self.subjects["own"])
        ref = subject.rollback.ref if "/rollbacks/{ref}/" in case.path else subject.incident.ref
        values = {
            "ref": re.sub(r"\d{4}$", "9999", ref) if missing else ref,
            "slug": "nowhere" if missing else subject.rollback.service.slug,
            "pk": 2**40 if missing else subject.monitor.pk,
            "role": "technical_lead",
            "version": "1.9.0",
            "position": 1,
            "key": "none",
            "uidb36": "1",
            "content_type_id": 1,
            "object_id": 1,
            "id": self.account.pk if self.account else 1,
            "provider_id": "sso",
            "ident": TOKEN,
            "token": self.link(subject.incident) if "{token}" in case.path else "",
            "checklist": "emergency",
            "item": "assess_severity",
            "message": subject.monitor.pk,
            "delivery": 1,
            "public_id": f"{subject.monitor.pk:012x}",
            **case.values,
        }
        return case.path.format(**values) + str(values.get("query", ""))

    def link(self, incident: Incident) -> str:
        """A personal link of the account; of a contact without one when nobody is signed in."""
        contact = Contact.objects.get_or_create(name="Me", user=self.account, defaults={"id": 10_000})[0]
        return token_for(Link(incident.pk, contact.pk, self.now + dt.timedelta(days=1)))

    def _filled(self, value: Any, subject: Subject) -> Any:
        if isinstance(value, Mapping):
            return {name: self._filled(item, subject) for name, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item, subject) for item in value]
        if not isinstance(value, str):
            return value
        if value == FILE:
            return SimpleUploadedFile("seen.txt", b"what was seen")
        return value.format(
            me="me",
            incident=subject.incident.ref,
            rollback=subject.rollback.ref,
            service=subject.rollback.service.slug,
            routing_key=self.routing_key,
            tomorrow=(self.now + dt.timedelta(days=1)).isoformat(),
            tomorrow_minute=f"{self.now + dt.timedelta(days=1):%Y-%m-%dT%H:%M}",
            today=self.now.isoformat(),
            yesterday=(self.now - dt.timedelta(days=1)).isoformat(),
        )

    def _subject(self, kind: str) -> Subject:
        boss, service = actor_for_user(self.boss), make_service(f"shop-{kind}", self.now)
        restricted = kind == "restricted"
        incident = declare_incident(
            actor=boss,
            now=self.now,
            title=SECRET_TITLE if restricted else f"Trouble, {kind}",
            severity="P1",
            services=[service.slug],
            restricted=restricted,
        )
        act: dict[str, Any] = {"incident_id": incident.pk, "now": self.now}
        assign_role(**act, role=Role.INCIDENT_COMMANDER, username="boss", actor=boss)
        by_token = Actor(ActorKind.TOKEN, "boss (token ci)", boss.level, user_id=self.boss.pk)
        rollback = request_rollback(**act, service=service.slug, reason="errors", actor=by_token)
        monitor = create_monitor(
            actor=SYSTEM,
            now=self.now,
            service=service.slug,
            metric="error_rate",
            source={"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": "x"},
        )
        Decision.objects.create(
            at=self.now,
            service=service,
            incident=incident,
            metric="error_rate",
            verdict="refused",
            reasons=[{"code": "rollback_under_way", "text": f"{rollback.ref} is under way"}],
            rollback=rollback,
        )
        long_ago = self.now - dt.timedelta(days=1)  # a process whose host is gone, at the monitor's {pk}
        Process.objects.create(
            id=monitor.pk, name="runner", host=kind, pid=1, version="1", started_at=long_ago, beat_at=long_ago
        )
        _what_senders_sent(monitor.pk, service, restricted, self.boss, self.now)
        _drill(monitor.pk, service, incident, self.now)
        return Subject(incident, rollback, monitor)


def _held_review(subject: Subject, now: dt.datetime) -> None:
    boss = User.objects.get(username="boss")
    given: dict[str, Any] = {"state": "held", "held_at": now, "held_by": "boss", "held_by_user": boss}
    Review.objects.filter(pk=subject.monitor.pk).update(**given)


def _advance(model: type[models.Model], pk: int) -> None:
    """Let its sequence pass a row that chose its own number."""
    with connection.cursor() as cursor:
        number = 0
        while number <= pk:
            cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [model._meta.db_table])
            number = cursor.fetchone()[0]


def _what_senders_sent(pk: int, service: Service, restricted: bool, sender: User, now: dt.datetime) -> None:
    """An alert, a silence and a maintenance window at the monitor's {pk}."""
    span = {"starts_at": now, "ends_at": now + dt.timedelta(hours=1), "created_by": "boss", "created_at": now}
    Silence.objects.create(id=pk, matchers=[{"label": "a", "op": "=", "value": "b"}], reason="known", **span)
    MaintenanceWindow.objects.create(id=pk, reason="upgrade", **span).services.add(service)
    Alert.objects.create(
        id=pk, source="api", sender=sender, fingerprint=service.slug, title=f"Disk of {service.slug}",
        service=service, starts_at=now, received_at=now, last_seen_at=now,
        incident=Incident.objects.get(services=service) if restricted else None,
    )  # fmt: skip
    _reviewed(pk, now)
    for model in (Silence, MaintenanceWindow, Alert, Review, Document):
        _advance(model, pk)


def _drill(pk: int, service: Service, incident: Incident, now: dt.datetime) -> None:
    """A planned drill at the monitor's {pk}; of what is restricted it runs, on a restricted incident."""
    Service.objects.filter(pk=service.pk).update(procedure="storefront_rollback")
    running: dict[str, Any] = {}
    if incident.restricted:
        running = {
            "state": "running",
            "incident": incident,
            "started_at": now,
            "deadline_at": now + dt.timedelta(hours=1),
        }
    Drill.objects.create(
        id=pk, service=service, scenario="bad_release", plan=drill_plan("bad_release"), planned_by="boss",
        planned_at=now, starts_at=now + dt.timedelta(hours=1), **running,
    )  # fmt: skip
    _advance(Drill, pk)


def _quiet_service(subject: Subject, now: dt.datetime) -> None:
    Incident.objects.filter(services=subject.rollback.service).update(
        status="closed", resolved_at=now, closed_at=now
    )


def _drill_running(subject: Subject, now: dt.datetime) -> None:
    if subject.incident.restricted:
        return
    Rollback.objects.filter(pk=subject.rollback.pk).update(drill=True)
    Incident.objects.filter(pk=subject.incident.pk).update(drill=True)
    Drill.objects.filter(pk=subject.monitor.pk).update(
        state="running", incident=subject.incident, started_at=now
    )


def _drill_finished(subject: Subject, now: dt.datetime) -> None:
    _drill_running(subject, now)
    Drill.objects.filter(pk=subject.monitor.pk).update(
        state="finished", ended_at=now, scorecard={"lines": []}
    )


def _reviewed(pk: int, now: dt.datetime) -> None:
    """A review and a document at the monitor's {pk}; the agenda names the incident."""
    before = now - dt.timedelta(days=7)
    incident = Incident.objects.latest("pk")
    line = {
        "text": f"{incident.ref} {incident.title}",
        "detail": "P1",
        "url": "",
        "incident": incident.ref,
        "tone": "",
    }
    agenda = [{"key": "incidents", "title": "Incidents", "count": 1, "figures": [], "lines": [line]}]
    given: dict[str, Any] = {"begins_at": before, "ends_at": now, "opened_at": now, "opened_by": "boss"}
    Review.objects.create(id=pk, name="Look back", agenda=agenda, due_at=now + dt.timedelta(days=1), **given)
    key = next(iter(policy.reviews().documents))
    texts = [f"document:{key}", *(f"checklist:{key}" for key in policy.checklists())]
    taken = Document.objects.count()
    named = texts[taken] if taken < len(texts) else f"document:more{taken}"
    due = now + dt.timedelta(days=9)
    Document.objects.create(id=pk, key=named, name="A text", owner="management", due_at=due)


def _account(username: str, level: str) -> User:
    """Granted the roles on incidents, so that levels alone make the difference; not security lead, who sees
    what is restricted.
    """
    user = User.objects.create(username=username)
    if level:
        user.groups.add(Group.objects.get(name=level))
    RoleGrant.objects.bulk_create(
        RoleGrant(user=user, role=role) for role in INCIDENT_ROLES if role is not Role.SECURITY_LEAD
    )
    return user


def _resolved(subject: Subject, now: dt.datetime) -> None:
    Incident.objects.filter(pk=subject.incident.pk).update(status="resolved", resolved_at=now)


def _reported(subject: Subject, now: dt.datetime) -> None:
    _resolved(subject, now)
    given: dict[str, Any] = {"state": "published", "published_at": now, "published_by": "wren"}
    Report.objects.create(incident=subject.incident, drafted_at=now, due_at=now, **given)


def _written(subject: Subject, now: dt.datetime) -> None:
    """A report with every section written, and the words of one of them."""
    _resolved(subject, now)
    report = Report.objects.create(incident=subject.incident, drafted_at=now, due_at=now)
    said: dict[str, Any] = {"text": "Said", "changed_at": now, "changed_by": "wren"}
    ReportText.objects.bulk_create(
        ReportText(report=report, section=section, by_machine=False, **said) for section in ReportSection
    )
    ReportChange.objects.create(report=report, section="impact", version=1, revision=1, **said)


def _handed_in(subject: Subject, now: dt.datetime) -> None:
    _written(subject, now)
    given: dict[str, Any] = {"state": "in_review", "submitted_at": now, "submitted_by": "wren"}
    Report.objects.filter(incident=subject.incident).update(**given)


def _published(subject: Subject, now: dt.datetime) -> None:
    _written(subject, now)
    given: dict[str, Any] = {"published_at": now, "published_by": "wren"}
    Report.objects.filter(incident=subject.incident).update(state="published", **given)
    report = Report.objects.get(incident=subject.incident)
    PublishedReport.objects.create(report=report, revision=1, markdown="# Said", sha256="0" * 64, **given)


def _no_rollback(subject: Subject, now: dt.datetime) -> None:
    Rollback.objects.filter(pk=subject.rollback.pk).update(state="cancelled", completed_at=now)
    subject.incident.holds.all().delete()


def _two_people(subject: Subject, now: dt.datetime) -> None:
    Rollback.objects.filter(pk=subject.rollback.pk).update(people=2)


def _needs_attention(subject: Subject, now: dt.datetime) -> None:
    Rollback.objects.filter(pk=subject.rollback.pk).update(state="needs_attention", started_at=now)
    subject.rollback.steps.filter(position=1).update(state="unknown")


def _switched(subject: Subject, now: dt.datetime) -> None:
    _needs_attention(subject, now)
    service = subject.rollback.service
    switch_back(
        service_id=service.pk,
        from_version="2.0.0",
        to_version="1.9.0",
        rollback_ref=subject.rollback.ref,
        actor=SYSTEM,
        now=now,
    )
    long_ago = now - dt.timedelta(days=9)
    service.releases.create(
        version="1.8.0", state="good", deployed_at=long_ago, recorded_at=long_ago, good_at=now
    )


def _disarmed(subject: Subject, now: dt.datetime) -> None:
    AutomationSwitch.objects.update_or_create(pk=1, defaults={"armed": False, "changed_at": now})


def _token(subject: Subject, now: dt.datetime) -> None:
    if me := User.objects.filter(username="me").first():
        expires = now + dt.timedelta(days=1)
        ApiToken.objects.create(id=TOKEN, user=me, name="t", scopes=["read"], expires_at=expires)


def _quarantined(subject: Subject, now: dt.datetime) -> None:
    subject.rollback.service.releases.filter(version="1.9.0").update(
        state="quarantined", quarantined_at=now, quarantine_reason="it leaks"
    )


def _pushed(subject: Subject, now: dt.datetime) -> None:
    Monitor.objects.filter(pk=subject.monitor.pk).update(source={"type": "push"})


def _parked(subject: Subject, now: dt.datetime) -> None:
    event = Event.objects.filter(stream=subject.incident.stream).earliest("seq")
    PendingEvent.objects.create(
        event=event, consumer="nobody", stream=event.stream, seq=event.seq, due_at=now, parked_at=now
    )


def _checklist(subject: Subject, now: dt.datetime) -> None:
    declared = Event.objects.filter(stream=subject.incident.stream).earliest("seq")
    answer_event(event=declared, now=now)


def _ticked(subject: Subject, now: dt.datetime) -> None:
    _checklist(subject, now)
    subject.incident.checklist_items.update(ticked_at=now, ticked_by="boss")


def _restricted(subject: Subject, now: dt.datetime) -> None:
    Incident.objects.filter(pk=subject.incident.pk).update(restricted=True)


def _task(subject: Subject, now: dt.datetime, **more: Any) -> None:
    Task.objects.create(
        id=subject.monitor.pk,
        incident=subject.incident,
        title="Look",
        created_at=now,
        created_by="boss",
        **more,
    )


def _task_done(subject: Subject, now: dt.datetime) -> None:
    _task(subject, now, state="done", finished_at=now, finished_by="boss")


def _action_item(subject: Subject, now: dt.datetime, **more: Any) -> None:
    ActionItem.objects.create(
        id=subject.monitor.pk,
        incident=subject.incident,
        title="Look",
        created_at=now,
        created_by="boss",
        **more,
    )


def _action_item_done(subject: Subject, now: dt.datetime) -> None:
    _action_item(subject, now, state="done", finished_at=now, finished_by="boss")


def _evidence(subject: Subject, now: dt.datetime) -> None:
    row = Evidence.objects.create(
        id=subject.monitor.pk, incident=subject.incident, name="a.txt", kind="text", content_type="text/plain",
        size=1, sha256=hashlib.sha256(b"x").hexdigest(), attached_at=now, attached_by="boss",
    )  # fmt: skip
    EvidenceContent.objects.create(evidence=row, position=0, piece=b"x")


def _parked_delivery(subject: Subject, now: dt.datetime) -> None:
    InboundDelivery.objects.create(
        id=subject.monitor.pk, kind="alertmanager", sender=User.objects.get(username="boss"), body="{", size=1,
        received_at=now, due_at=now, parked_at=now,
    )  # fmt: skip


def _contact(subject: Subject, now: dt.datetime) -> None:
    Contact.objects.create(id=subject.monitor.pk, name="Ann")
    _advance(Contact, subject.monitor.pk)


def _webhook(subject: Subject, now: dt.datetime) -> None:
    """At the monitor's {pk}, with a delivery 1 that was given up."""
    endpoint = WebhookEndpoint.objects.create(
        id=subject.monitor.pk, url="http://1.1.1.1/hook", secret="sealed", not_before=now, created_at=now
    )  # fmt: skip
    WebhookDelivery.objects.create(
        id=1,
        endpoint=endpoint,
        kind="webhook.test",
        state="dead",
        created_at=now,
        due_at=now,
        finished_at=now,
    )
    _advance(WebhookEndpoint, subject.monitor.pk)
    _advance(WebhookDelivery, 1)


def _drafted(subject: Subject, now: dt.datetime) -> None:
    """A draft for users at the monitor's {pk} with a delivery 1 that was given up, and somebody to tell."""
    pk, service = subject.monitor.pk, subject.rollback.service
    Contact.objects.create(name="Nora", email="nora@example.test", audiences=["everyone"])
    Service.objects.filter(pk=service.pk).update(public_name="Shop")
    component = Component.objects.create(
        service=service, public_id=f"{pk:012x}", created_at=now, changed_at=now, counted_until=now
    )
    event = Event.objects.filter(stream=subject.incident.stream).earliest("seq")
    message = Message.objects.create(
        id=pk, event=event, incident=subject.incident, template="external_update", visibility="external",
        state="draft", channels=["status_page"], subject="Slow", body="Slow", created_at=now,
    )  # fmt: skip
    PublicUpdate.objects.create(
        message=message, title="Slow", status="investigating", impact="minor", started_at=now,
        components={component.public_id: "degraded_performance"},
    )  # fmt: skip
    Delivery.objects.create(
        id=1, message=message, event=event, channel="status_page", lane="status_page",
        recipient="status_page", state="dead", due_at=now,
    )  # fmt: skip
    _advance(Message, pk)
    _advance(Delivery, 1)


def _reachable(subject: Subject, now: dt.datetime) -> None:
    Contact.objects.create(name="Tess", email="tess@example.test", role=Role.TECHNICAL_LEAD)


GIVEN: Mapping[str, Callable[[Subject, dt.datetime], None]] = {
    "held_review": _held_review,
    "resolved": _resolved,
    "reported": _reported,
    "written": _written,
    "handed_in": _handed_in,
    "published": _published,
    "no_rollback": _no_rollback,
    "needs_attention": _needs_attention,
    "two_people": _two_people,
    "quiet_service": _quiet_service,
    "drill_running": _drill_running,
    "drill_finished": _drill_finished,
    "switched": _switched,
    "disarmed": _disarmed,
    "token": _token,
    "quarantined": _quarantined,
    "parked": _parked,
    "pushed": _pushed,
    "checklist": _checklist,
    "ticked": _ticked,
    "restricted": _restricted,
    "task": _task,
    "task_done": _task_done,
    "action_item": _action_item,
    "action_item_done": _action_item_done,
    "evidence": _evidence,
    "parked_delivery": _parked_delivery,
    "webhook": _webhook,
    "contact": _contact,
    "drafted": _drafted,
    "reachable": _reachable,
}
