"""The incidents or rollbacks behind a figure, each with what it adds to it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse

from core.actors import Actor
from incidents.models import Incident
from incidents.values import duration_text
from rollbacks.models import Rollback
from rollbacks.rules.insights import Figure, Scope
from rollbacks.selectors.insights import (
    DECIDED,
    IN_TIME,
    JUDGED,
    SUCCEEDED,
    flag,
    incidents_in,
    is_due,
    rollbacks_in,
)

PAGE_SIZE = 50


@dataclass(frozen=True)
class Behind:
    """One incident or rollback: `said` is what it adds, `tone` the colour of that."""

    ref: str
    title: str
    url: str
    severity: str
    services: tuple[str, ...]
    at: dt.datetime
    state: str
    state_label: str
    said: str
    tone: str


@dataclass(frozen=True)
class BehindPage:
    """A page of them, the newest first; `before` is the cursor of the next page, empty on the last."""

    rows: tuple[Behind, ...]
    count: int
    before: str


def list_behind(actor: Actor, figure: Figure, scope: Scope, *, before: str, now: dt.datetime) -> BehindPage:
    """What the figure was made of, and how many that is; an unknown cursor counts as none (five queries)."""
    rows: QuerySet[Any] = (
        _incidents(actor, figure, scope, now)
        if figure.about == "incidents"
        else _rollbacks(actor, figure, scope)
    )
    count = rows.count()
    last = rows.filter(ref=before).values_list("pk", flat=True).first() if before else None
    if last:
        rows = rows.filter(pk__lt=last)
    found = list(rows.order_by("-pk")[: PAGE_SIZE + 1])
    more = len(found) > PAGE_SIZE
    told = _incident if figure.about == "incidents" else _rollback
    return BehindPage(
        tuple(told(figure, row) for row in found[:PAGE_SIZE]),
        count,
        found[PAGE_SIZE - 1].ref if more else "",
    )


def _incidents(actor: Actor, figure: Figure, scope: Scope, now: dt.datetime) -> QuerySet[Any]:
    rows = incidents_in(Incident.objects.visible_to(actor), scope)
    behind = {
        "mtta": Q(acknowledged_at__isnull=False),
        "mttr": Q(resolved_at__isnull=False),
        "response_attainment": is_due(now),
    }
    rows = rows.filter(behind.get(figure.key, Q()))
    return rows.annotate(in_time=flag(IN_TIME)).prefetch_related("services")


def _rollbacks(actor: Actor, figure: Figure, scope: Scope) -> QuerySet[Any]:
    rows = rollbacks_in(Rollback.objects.visible_to(actor), scope)
    behind = {
        "rollback_success_rate": Q(state__in=DECIDED),
        "time_to_rollback": SUCCEEDED,
        "false_positive_rate": JUDGED,
    }
    return rows.filter(behind.get(figure.key, Q())).select_related("service", "incident")


def _incident(figure: Figure, row: Any) -> Behind:
    said, tone = "", "neutral"
    if figure.key == "mtta":
        said = f"acknowledged after {_between(row.declared_at, row.acknowledged_at)}"
    elif figure.key == "mttr":
        said = f"resolved after {_between(row.declared_at, row.resolved_at)}"
    elif figure.key == "response_attainment":
        said, tone = ("in time", "ok") if row.in_time else ("too late", "critical")
        if row.acknowledged_at is None:
            said = "never acknowledged"
        else:
            said += f": after {_between(row.declared_at, row.acknowledged_at)}"
    return Behind(
        ref=row.ref,
        title=row.title,
        url=reverse("incidents:incident", args=[row.ref]),
        severity=row.severity,
        services=tuple(service.name for service in row.services.all()),
        at=row.declared_at,
        state=row.status,
        state_label=row.get_status_display(),
        said=said,
        tone=tone,
    )


def _rollback(figure: Figure, row: Rollback) -> Behind:
    said, tone = str(row.get_trigger_display()).lower(), "neutral"
    if figure.key == "time_to_rollback" and row.completed_at:
        said = f"completed after {_between(row.requested_at, row.completed_at)}"
    elif figure.key == "false_positive_rate":
        said, tone = ("was not necessary", "critical") if row.false_positive else ("was necessary", "ok")
    return Behind(
        ref=row.ref,
        title=f"{row.service.name}: {row.way}",
        url=reverse("rollbacks:rollback", args=[row.ref]),
        severity=row.incident.severity,
        services=(),
        at=row.requested_at,
        state=row.state,
        state_label=row.get_state_display(),
        said=said,
        tone=tone,
    )


def _between(start: dt.datetime, end: dt.datetime) -> str:
    return duration_text((end - start).total_seconds())
