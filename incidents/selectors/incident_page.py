"""One incident as its page shows it: header, roles, responders, checks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.urls import reverse

from core.access import may
from core.actors import Actor
from core.errors import NotFound
from incidents import policy
from incidents.models import Incident, IncidentHold, Monitor, Responder, RoleGrant, Service
from incidents.rules.levels import rank
from incidents.selectors.action_items import FollowUp, follow_up_of
from incidents.selectors.actions import Action, incident_actions, security_actions, why_not_allowed
from incidents.selectors.alerts import AlertLine, alerts_of_incident
from incidents.selectors.cards import incident_url, is_response_breached
from incidents.selectors.checklists import Guidance, guidance_for
from incidents.selectors.declaration import SecurityLevelCard, security_level_card
from incidents.selectors.evidence import EvidenceBoard, evidence_board
from incidents.selectors.metrics import MetricLine, metric_lines
from incidents.selectors.people import people_on
from incidents.selectors.readers import Reader, list_readers
from incidents.selectors.report_list import ReportCard, report_line
from incidents.selectors.tasks import TaskBoard, task_board
from incidents.states import (
    INCIDENT_ROLES,
    IncidentKind,
    IncidentSource,
    IncidentStatus,
    MonitorLevel,
    Role,
    audience_label,
)

CHECKS = 50


@dataclass(frozen=True)
class RoleSlot:
    """A role of the incident, held or a gap; an address is None where the actor may not go there.

    `call` is what another app offers to do about a gap.
    """

    key: str
    label: str
    duty: str
    holder: str | None
    holder_url: str | None
    can_take: bool
    why_not: str
    take_url: str
    assign_url: str | None
    release_url: str | None
    call: Action | None = None


@dataclass(frozen=True)
class ResponderLine:
    """A person on the incident."""

    name: str
    role_label: str
    since: dt.datetime
    acknowledged_at: dt.datetime | None


@dataclass(frozen=True)
class ServiceLink:
    """A service that the incident names."""

    slug: str
    name: str
    url: str


@dataclass(frozen=True)
class IncidentFacts:
    """What the header and the facts of an incident say."""

    ref: str
    url: str
    title: str
    severity: str
    severity_name: str
    security_level: int | None
    status: str
    status_label: str
    kind: str
    kind_label: str
    drill: bool
    restricted: bool
    code_name: str
    readers: tuple[Reader, ...]
    level: SecurityLevelCard | None
    is_open: bool
    commander: str | None
    declared_at: dt.datetime
    declared_by: str
    source: str
    started_at: dt.datetime
    response_due_at: dt.datetime
    response_breached: bool
    acknowledged_at: dt.datetime | None
    acknowledged_by: str | None
    escalated_at: dt.datetime | None
    escalated_to: str
    next_update_due_at: dt.datetime | None
    resolved_at: dt.datetime | None
    closed_at: dt.datetime | None
    description: str
    impact: str
    next_steps: str
    resolution: str
    root_cause: str
    services: tuple[ServiceLink, ...]


class IncidentView:
    """What this app shows on the page of one incident, each part read when it is first shown.

    A constant number of queries for all of it; `incident` comes from `get_incident`. Other apps add panels.
    """

    PARTS = (
        "incident", "actions", "security", "roles", "responders", "checks", "alerts", "guidance", "tasks",
        "evidence", "report", "follow_up", "can_note", "edit_url", "join_url",
    )  # fmt: skip

    def __init__(self, actor: Actor, incident: Incident, *, now: dt.datetime) -> None:
        self._actor, self._incident, self._now = actor, incident, now

    @cached_property
    def incident(self) -> IncidentFacts:
        commander = self._holders.get(Role.INCIDENT_COMMANDER)
        name = commander.user.get_username() if commander else None
        return _facts(self._incident, self._services, name, self._now)

    @cached_property
    def actions(self) -> tuple[Action, ...]:
        hold = IncidentHold.objects.filter(incident=self._incident).first()
        return incident_actions(self._actor, self._incident, hold_reason=hold.reason if hold else "")

    @cached_property
    def security(self) -> tuple[Action, ...]:
        return security_actions(self._actor, self._incident)

    @cached_property
    def roles(self) -> tuple[RoleSlot, ...]:
        return _roles(self._actor, self._incident, self._holders)

    @cached_property
    def responders(self) -> tuple[ResponderLine, ...]:
        return _responders(self._incident, self._people)

    @cached_property
    def checks(self) -> tuple[MetricLine, ...]:
        """What is measured on the incident's services, the worst first."""
        return _checks(self._services, self._now)

    @cached_property
    def alerts(self) -> tuple[AlertLine, ...]:
        return alerts_of_incident(self._incident)

    @cached_property
    def guidance(self) -> Guidance:
        return guidance_for(self._actor, self._incident, now=self._now)

    @cached_property
    def tasks(self) -> TaskBoard:
        names = tuple(sorted({row.user.get_username() for row in self._people}))
        return task_board(self._actor, self._incident, names, now=self._now)

    @cached_property
    def evidence(self) -> EvidenceBoard:
        return evidence_board(self._actor, self._incident)

    @cached_property
    def report(self) -> ReportCard | None:
        return report_line(self._incident, now=self._now)

    @cached_property
    def follow_up(self) -> FollowUp:
        return follow_up_of(self._actor, self._incident, now=self._now)

    @property
    def can_note(self) -> bool:
        return may(self._actor, "respond")

    @property
    def edit_url(self) -> str | None:
        editable = self._incident.status != IncidentStatus.CLOSED and may(self._actor, "respond")
        return reverse("incidents:edit", args=[self._incident.ref]) if editable else None

    @property
    def join_url(self) -> str | None:
        able = may(self._actor, "respond")
        return reverse("incidents:add_responder", args=[self._incident.ref]) if able else None

    @property
    def _services(self) -> list[Service]:
        return list(self._incident.services.all())

    @property
    def _people(self) -> Sequence[Responder]:
        return people_on(self._incident)

    @property
    def _holders(self) -> dict[Role, Responder]:
        return {Role(row.role): row for row in self._people if row.role}


def get_incident(actor: Actor, ref: str) -> Incident:
    """The incident of that reference, if the actor may see it; raises NotFound."""
    rows = Incident.objects.visible_to(actor).select_related("acknowledged_by").prefetch_related("services")
    incident = rows.filter(ref=ref).first()
    if incident is None:
        raise NotFound("No such incident.")
    return incident


def _facts(
    incident: Incident, services: Sequence[Service], commander: str | None, now: dt.datetime
) -> IncidentFacts:
    return IncidentFacts(
        ref=incident.ref,
        url=incident_url(incident.ref),
        title=incident.title,
        severity=incident.severity,
        severity_name=policy.severity_level(incident.severity).name,
        security_level=incident.security_level,
        status=incident.status,
        status_label=str(IncidentStatus(incident.status).label),
        kind=incident.kind,
        kind_label=str(IncidentKind(incident.kind).label),
        drill=incident.drill,
        restricted=incident.restricted,
        code_name=incident.code_name if incident.restricted else "",
        readers=list_readers(incident) if incident.restricted else (),
        level=security_level_card(incident.security_level),
        is_open=incident.is_open,
        commander=commander,
        declared_at=incident.declared_at,
        declared_by=incident.declared_by,
        source=str(IncidentSource(incident.source).label),
        started_at=incident.started_at,
        response_due_at=incident.response_due_at,
        response_breached=is_response_breached(incident, now),
        acknowledged_at=incident.acknowledged_at,
        acknowledged_by=incident.acknowledged_by.get_username() if incident.acknowledged_by else None,
        escalated_at=incident.escalated_at,
        escalated_to=audience_label(incident.escalated_to),
        next_update_due_at=incident.next_update_due_at if incident.is_open else None,
        resolved_at=incident.resolved_at,
        closed_at=incident.closed_at,
        description=incident.description,
        impact=incident.impact,
        next_steps=incident.next_steps,
        resolution=incident.resolution,
        root_cause=incident.root_cause,
        services=tuple(
            ServiceLink(s.slug, s.name, reverse("incidents:service", args=[s.slug])) for s in services
        ),
    )


def _roles(actor: Actor, incident: Incident, holders: dict[Role, Responder]) -> tuple[RoleSlot, ...]:
    granted = set(RoleGrant.objects.filter(user=actor.user_id).values_list("role", flat=True))
    return tuple(_role(actor, incident, role, holders.get(role), role in granted) for role in INCIDENT_ROLES)


def _role(actor: Actor, incident: Incident, role: Role, holder: Responder | None, granted: bool) -> RoleSlot:
    level_refusal = why_not_allowed(actor, "respond")
    if not incident.is_open:
        why_not = "Roles change on open incidents."
    elif not level_refusal and not granted:
        why_not = f"Your account has no grant to be {role.label}."
    else:
        why_not = level_refusal
    mine = holder is not None and holder.user_id == actor.user_id
    commands = incident.is_open and not why_not_allowed(actor, "command")
    releases = holder is not None and (commands or (mine and incident.is_open and not level_refusal))
    kwargs = {"ref": incident.ref, "role": role.value}
    return RoleSlot(
        key=role.value,
        label=str(role.label),
        duty=policy.role_duties(role).purpose,
        holder=holder.user.get_username() if holder else None,
        holder_url=None,
        can_take=not why_not and not mine,
        why_not=why_not,
        take_url=reverse("incidents:take_role", kwargs=kwargs),
        assign_url=reverse("incidents:assign_role", kwargs=kwargs) if commands else None,
        release_url=reverse("incidents:release_role", kwargs=kwargs) if releases else None,
    )


def _responders(incident: Incident, people: Iterable[Responder]) -> tuple[ResponderLine, ...]:
    """One line per person, with the roles they hold."""
    by_user: dict[int, list[Responder]] = {}
    for row in people:
        by_user.setdefault(row.user_id, []).append(row)
    return tuple(
        ResponderLine(
            name=rows[0].user.get_username(),
            role_label=", ".join(str(Role(row.role).label) for row in rows if row.role),
            since=min(row.since for row in rows),
            acknowledged_at=incident.acknowledged_at if user_id == incident.acknowledged_by_id else None,
        )
        for user_id, rows in by_user.items()
    )


def _checks(services: Sequence[Service], now: dt.datetime) -> tuple[MetricLine, ...]:
    """What is measured on the incident's services, the worst first."""
    by_id = {service.pk: service for service in services}
    monitors = list(Monitor.objects.filter(service__in=list(by_id), enabled=True)[:CHECKS])
    for monitor in monitors:
        monitor.service = by_id[monitor.service_id]
    lines = metric_lines(monitors, now=now, name_service=len(services) > 1).values()
    return tuple(sorted(lines, key=lambda line: (-rank(MonitorLevel(line.level)), line.service, line.label)))
