"""Silences and maintenance windows: which are in force, and lists of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.urls import reverse

from core.actors import Actor
from core.errors import NotFound
from incidents.models import MaintenanceWindow, Service, Silence
from incidents.models.quiet import in_force
from incidents.panels import ServiceNote
from incidents.rules.matchers import Matcher, WrongMatcher, all_fit, matcher
from incidents.states import QUIET_STATES

SHOWN = 200


@dataclass(frozen=True)
class ActiveSilence:
    """A silence in force, ready to be compared."""

    pk: int
    ends_at: dt.datetime
    matchers: tuple[Matcher, ...]

    def fits(self, labels: Mapping[str, str]) -> bool:
        return all_fit(self.matchers, labels)


@dataclass(frozen=True)
class QuietLine:
    """A silence or a maintenance window in a list. `state` is active, planned or ended."""

    pk: int
    what: tuple[str, ...]
    reason: str
    state: str
    state_label: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    created_by: str
    ended_by: str
    held: int
    end_url: str


def maintenance_of(service_id: int, *, now: dt.datetime) -> str | None:
    """Why nothing is to be done about this service now: "maintenance until 14:00 UTC: database upgrade"."""
    windows = MaintenanceWindow.objects.filter(in_force(now)).filter(services=service_id)
    found = windows.order_by("-ends_at").values_list("ends_at", "reason").first()
    return None if found is None else _said(*found)


def windows_by_service(*, now: dt.datetime) -> dict[int, MaintenanceWindow]:
    """The window in force of each service that has one, the one that ends last (two queries)."""
    found: dict[int, MaintenanceWindow] = {}
    for window in (
        MaintenanceWindow.objects.filter(in_force(now)).order_by("ends_at").prefetch_related("services")
    ):
        found |= {service.pk: window for service in window.services.all()}
    return found


def active_silences(*, now: dt.datetime) -> tuple[ActiveSilence, ...]:
    """Every silence in force, what ends last first (one query)."""
    rows = Silence.objects.filter(in_force(now)).order_by("-ends_at").values_list("pk", "ends_at", "matchers")
    return tuple(
        ActiveSilence(pk, ends_at, matchers) for pk, ends_at, raw in rows if (matchers := read_matchers(raw))
    )


def read_matchers(raw: Sequence[Mapping[str, str]]) -> tuple[Matcher, ...]:
    """The matchers of a row; none when somebody wrote nonsense into it: such a silence holds nothing."""
    try:
        return tuple(matcher(one["label"], one["op"], one["value"]) for one in raw)
    except (WrongMatcher, KeyError, TypeError):
        return ()


def maintenance_note(actor: Actor, service: Service, *, now: dt.datetime) -> ServiceNote | None:
    """The line on a service's page."""
    said = maintenance_of(service.pk, now=now)
    if said is None:
        return None
    return ServiceNote("wrench-screwdriver", said.capitalize(), reverse("incidents:maintenance"), "warning")


def get_silence(silence_id: int) -> Silence:
    """Raises NotFound."""
    found = Silence.objects.filter(pk=silence_id).first()
    if found is None:
        raise NotFound(f"There is no silence {silence_id}.")
    return found


def get_window(window_id: int) -> MaintenanceWindow:
    """Raises NotFound."""
    found = MaintenanceWindow.objects.filter(pk=window_id).prefetch_related("services").first()
    if found is None:
        raise NotFound(f"There is no maintenance window {window_id}.")
    return found


def list_silences(*, now: dt.datetime) -> tuple[QuietLine, ...]:
    """The newest silences, those in force first (one query)."""
    rows = _with_held(Silence.objects.all())[:SHOWN]
    lines = [
        _line(row, now, tuple(map(str, read_matchers(row.matchers))), "incidents:end_silence") for row in rows
    ]
    return _in_order(lines)


def list_windows(*, now: dt.datetime) -> tuple[QuietLine, ...]:
    """The newest maintenance windows, those in force first (two queries)."""
    rows = _with_held(MaintenanceWindow.objects.prefetch_related("services"))[:SHOWN]
    lines = [
        _line(row, now, tuple(service.name for service in row.services.all()), "incidents:end_maintenance")
        for row in rows
    ]
    return _in_order(lines)


def state_of(row: Silence | MaintenanceWindow, now: dt.datetime) -> str:
    """active, planned or ended."""
    return "ended" if row.ends_at <= now else "planned" if row.starts_at > now else "active"


def _with_held(rows: QuerySet[Silence] | QuerySet[MaintenanceWindow]) -> QuerySet:  # type: ignore[type-arg]
    return rows.annotate(held=Count("alerts", filter=Q(alerts__held_until__isnull=False)))


def _line(row: Silence | MaintenanceWindow, now: dt.datetime, what: tuple[str, ...], end: str) -> QuietLine:
    state = state_of(row, now)
    held: int = getattr(row, "held", 0)
    return QuietLine(
        pk=row.pk,
        what=what,
        reason=row.reason,
        state=state,
        state_label=state.capitalize(),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        created_by=row.created_by,
        ended_by=row.ended_by,
        held=held,
        end_url="" if state == "ended" else reverse(end, args=[row.pk]),
    )


def _in_order(lines: Sequence[QuietLine]) -> tuple[QuietLine, ...]:
    return tuple(sorted(lines, key=lambda line: QUIET_STATES.index(line.state)))


def _said(ends_at: dt.datetime, reason: str) -> str:
    return f"maintenance until {ends_at:%H:%M} UTC: {reason}"
