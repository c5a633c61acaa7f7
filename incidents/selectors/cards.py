"""Incidents as cards: what is due, who has it, what happened last."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Case, Count, F, Prefetch, Q, When
from django.urls import reverse

from core.actors import Actor
from incidents import policy
from incidents.models import Incident, IncidentHold, Responder, Task
from incidents.models.incidents import IncidentQuerySet
from incidents.states import OPEN_STATUSES, IncidentStatus, Role, Severity

OPEN_CARDS = 25  # on one page; more are counted and a link leads to them
PAGE_SIZE = 30


@dataclass(frozen=True)
class LastEvent:
    """The newest line of an incident's timeline."""

    summary: str
    occurred_at: dt.datetime


@dataclass(frozen=True)
class OpenTasks:
    """How many tasks of an incident are open, and how many of them late."""

    open: int
    overdue: int


NO_TASKS = OpenTasks(0, 0)


@dataclass(frozen=True)
class IncidentCard:
    """One incident in a list; `active_rollback` is the reference of what holds it open."""

    ref: str
    title: str
    severity: str
    severity_name: str
    status: str
    status_label: str
    kind: str
    drill: bool
    restricted: bool
    declared_at: dt.datetime
    response_due_at: dt.datetime
    acknowledged_at: dt.datetime | None
    response_breached: bool
    next_update_due_at: dt.datetime | None
    resolved_at: dt.datetime | None
    commander: str | None
    services: tuple[str, ...]
    last_event: LastEvent | None
    active_rollback: str | None
    tasks: OpenTasks
    url: str


@dataclass(frozen=True)
class VeiledCard:
    """A restricted incident before somebody who may not see it: all that they may read of it."""

    code_name: str
    severity: str
    severity_name: str
    status: str
    status_label: str


@dataclass(frozen=True)
class IncidentPage:
    """One page of the list; `before` is the cursor of the next page, empty on the last."""

    cards: tuple[IncidentCard, ...]
    before: str


def open_cards(actor: Actor, *, now: dt.datetime) -> tuple[IncidentCard, ...]:
    """The open incidents the actor may see, what is due first on top (six queries)."""
    due = Case(When(acknowledged_at__isnull=True, then="response_due_at"), default="next_update_due_at")
    rows = Incident.objects.visible_to(actor).open().alias(due=due)
    return _cards(rows.order_by(F("due").asc(nulls_last=True), "severity", "pk")[:OPEN_CARDS], now=now)


def count_open(actor: Actor) -> int:
    """How many incidents are open that the actor may see (one query)."""
    return Incident.objects.visible_to(actor).open().count()


def veiled_cards(actor: Actor, *, severity: str = "") -> tuple[VeiledCard, ...]:
    """The open restricted incidents that the actor may not see, so that nobody believes all is calm (one
    query). In the order of their code names: no time and no number shows. Drills worry nobody.
    """
    rows = Incident.objects.veiled_to(actor).open().filter(drill=False)
    if severity in Severity.values:
        rows = rows.filter(severity=severity)
    cards = (_veiled(incident) for incident in rows.only("ref", "severity", "status")[:OPEN_CARDS])
    return tuple(sorted(cards, key=lambda card: (card.severity, card.code_name)))


def list_cards(
    actor: Actor, *, now: dt.datetime, state: str = "", severity: str = "", before: str = ""
) -> IncidentPage:
    """Newest first, a page at a time. An unknown filter or cursor counts as none."""
    rows = Incident.objects.visible_to(actor)
    if state == "open":
        rows = rows.open()
    if severity in Severity.values:
        rows = rows.filter(severity=severity)
    last = rows.filter(ref=before).values_list("pk", flat=True).first() if before else None
    if last:
        rows = rows.filter(pk__lt=last)
    cards = _cards(rows.order_by("-pk")[: PAGE_SIZE + 1], now=now)
    more = len(cards) > PAGE_SIZE
    return IncidentPage(cards[:PAGE_SIZE], cards[PAGE_SIZE - 1].ref if more else "")


def cards_of_service(
    actor: Actor, service_id: int, *, now: dt.datetime, count: int = 10
) -> tuple[IncidentCard, ...]:
    """The newest incidents of one service that the actor may see."""
    rows = Incident.objects.visible_to(actor).filter(services=service_id)
    return _cards(rows.order_by("-pk")[:count], now=now)


def _cards(rows: IncidentQuerySet, *, now: dt.datetime) -> tuple[IncidentCard, ...]:
    commanders = Responder.objects.filter(until__isnull=True, role=Role.INCIDENT_COMMANDER).select_related(
        "user"
    )
    incidents = list(
        rows.select_related("stream").prefetch_related(
            "services",
            Prefetch("responders", commanders, to_attr="commanders"),
            Prefetch("holds", IncidentHold.objects.order_by("placed_at"), to_attr="held_by"),
        )
    )
    events, tasks = _last_events(incidents), _open_tasks(incidents, now)
    return tuple(
        _card(incident, events.get(incident.stream_id), tasks.get(incident.pk, NO_TASKS), now)
        for incident in incidents
    )


def _open_tasks(incidents: Sequence[Incident], now: dt.datetime) -> dict[int, OpenTasks]:
    rows = Task.objects.open().filter(incident__in=incidents).order_by().values_list("incident")
    counts = rows.annotate(count=Count("pk"), late=Count("pk", filter=Q(due_at__lte=now)))
    return {incident: OpenTasks(count, late) for incident, count, late in counts}


# Stream and number together: by the stream alone, every event of a long timeline would be read.
_HEADS = """
SELECT event.stream_id, event.summary, event.occurred_at
  FROM unnest(%s::bigint[], %s::bigint[]) AS head(stream_id, seq)
  JOIN core_event event ON event.stream_id = head.stream_id AND event.seq = head.seq
"""


def _last_events(incidents: Sequence[Incident]) -> dict[int, LastEvent]:
    streams = [incident.stream for incident in incidents]
    with connection.cursor() as cursor:
        cursor.execute(_HEADS, [[s.pk for s in streams], [s.head_seq for s in streams]])
        rows = cursor.fetchall()
    return {stream: LastEvent(summary, occurred_at) for stream, summary, occurred_at in rows}


def _veiled(incident: Incident) -> VeiledCard:
    return VeiledCard(
        code_name=incident.code_name,
        severity=incident.severity,
        severity_name=policy.severity_level(incident.severity).name,
        status=incident.status,
        status_label=str(IncidentStatus(incident.status).label),
    )


def _card(
    incident: Incident, last_event: LastEvent | None, tasks: OpenTasks, now: dt.datetime
) -> IncidentCard:
    commanders: list[Responder] = getattr(incident, "commanders")  # noqa: B009 - from the prefetch
    holds: list[IncidentHold] = getattr(incident, "held_by")  # noqa: B009
    return IncidentCard(
        ref=incident.ref,
        title=incident.title,
        severity=incident.severity,
        severity_name=policy.severity_level(incident.severity).name,
        status=incident.status,
        status_label=str(IncidentStatus(incident.status).label),
        kind=incident.kind,
        drill=incident.drill,
        restricted=incident.restricted,
        declared_at=incident.declared_at,
        response_due_at=incident.response_due_at,
        acknowledged_at=incident.acknowledged_at,
        response_breached=is_response_breached(incident, now),
        next_update_due_at=incident.next_update_due_at if incident.status in OPEN_STATUSES else None,
        resolved_at=incident.resolved_at,
        commander=commanders[0].user.get_username() if commanders else None,
        services=tuple(service.name for service in incident.services.all()),
        last_event=last_event,
        active_rollback=holds[0].reference if holds else None,
        tasks=tasks,
        url=incident_url(incident.ref),
    )


def incident_url(ref: str) -> str:
    return reverse("incidents:incident", args=[ref])


def is_response_breached(incident: Incident, now: dt.datetime) -> bool:
    """Nobody acknowledged in time; also before the sweep has marked it."""
    if incident.response_breached_at is not None:
        return True
    return incident.is_open and incident.acknowledged_at is None and incident.response_due_at <= now
