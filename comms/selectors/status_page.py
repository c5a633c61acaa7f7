"""What the status page says: frozen facts from public fields, in a number of queries that never changes."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.db.models import Prefetch, Q, QuerySet

from comms.models import Component, ComponentDay, PublicIncident, PublicUpdate
from comms.playbook import Channels
from comms.rules.publishing import by_day, overall, shown_state
from comms.selectors.public_facts import shown_components
from comms.states import ComponentState, PublicImpact, PublicStatus
from core.playbook import get_playbook
from incidents.models import MaintenanceWindow

HISTORY_DAYS = 90
DAYS_OF_A_PAGE = 7
PLANNED_AHEAD = dt.timedelta(days=30)
MOST_OPEN = 50
MOST_PAST = 200
MOST_WINDOWS = 50


@dataclass(frozen=True)
class DayBar:
    """One UTC day of a component, in minutes."""

    day: dt.date
    degraded_minutes: int = 0
    outage_minutes: int = 0

    @property
    def level(self) -> str:
        return "outage" if self.outage_minutes else "degraded" if self.degraded_minutes else "ok"

    @property
    def words(self) -> str:
        said = []
        if self.outage_minutes:
            said.append(f"{self.outage_minutes} min outage")
        if self.degraded_minutes:
            said.append(f"{self.degraded_minutes} min degraded")
        return f"{self.day:%Y-%m-%d}: {', '.join(said) or 'no trouble'}"


@dataclass(frozen=True)
class ComponentLine:
    """A component as it shows now; `days` are 90, the oldest first."""

    public_id: str
    name: str
    group: str
    position: int
    description: str
    state: str
    created_at: dt.datetime
    changed_at: dt.datetime
    days: tuple[DayBar, ...]

    @property
    def state_label(self) -> str:
        return str(ComponentState(self.state).label)

    @property
    def trouble_days(self) -> int:
        return sum(bar.level != "ok" for bar in self.days)


@dataclass(frozen=True)
class UpdateLine:
    """One thing that was said."""

    public_id: str
    status: str
    body: str
    at: dt.datetime
    changes: tuple[Mapping[str, str], ...]

    @property
    def status_label(self) -> str:
        return str(PublicStatus(self.status).label)


@dataclass(frozen=True)
class IncidentLine:
    """An incident in public words; `updates` the newest first, `components` are public ids."""

    public_id: str
    title: str
    status: str
    impact: str
    started_at: dt.datetime
    created_at: dt.datetime
    updated_at: dt.datetime
    monitoring_at: dt.datetime | None
    resolved_at: dt.datetime | None
    updates: tuple[UpdateLine, ...]
    components: tuple[str, ...]

    @property
    def status_label(self) -> str:
        return str(PublicStatus(self.status).label)

    @property
    def impact_label(self) -> str:
        return str(PublicImpact(self.impact).label)


@dataclass(frozen=True)
class MaintenanceLine:
    """Planned work: which components, from when, until when; never why, which was written for inside."""

    public_id: str
    title: str
    in_progress: bool
    starts_at: dt.datetime
    ends_at: dt.datetime
    created_at: dt.datetime
    components: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Day:
    """A day of the past with its incidents, mostly none."""

    day: dt.date
    incidents: tuple[IncidentLine, ...]


@dataclass(frozen=True)
class Group:
    """Components that stand together; the group without a name has those that stand alone."""

    name: str
    components: tuple[ComponentLine, ...]


@dataclass(frozen=True)
class StatusPage:
    """Everything that is public."""

    title: str
    url: str
    home: str  # this installation, where forms are answered
    as_of: dt.datetime
    updated_at: dt.datetime
    indicator: str
    description: str
    components: tuple[ComponentLine, ...]
    groups: tuple[Group, ...]
    open: tuple[IncidentLine, ...]
    recent: tuple[IncidentLine, ...]
    maintenance: tuple[MaintenanceLine, ...]
    days: tuple[Day, ...]
    older: dt.date | None


def get_status_page(*, now: dt.datetime) -> StatusPage:
    """The page as it is now (a constant number of queries)."""
    windows = _windows(now)
    working = {
        service.pk for window in windows if window.starts_at <= now for service in window.services.all()
    }
    components = _components(now, working)
    incidents = _incidents(_public().filter(resolved_at__isnull=True)[:MOST_OPEN])
    recent = _incidents(_public()[:MOST_OPEN])
    days, older = get_past(now.date(), now=now)
    indicator, description = overall(
        [line.state for line in components], [incident.impact for incident in incidents]
    )
    moments = [line.changed_at for line in components] + [line.updated_at for line in (*incidents, *recent)]
    return StatusPage(
        title=get_title(),
        url=settings.STATUS_PAGE_URL,
        home=settings.PUBLIC_URL,
        as_of=now,
        updated_at=max(moments, default=dt.datetime.combine(now.date(), dt.time(), tzinfo=dt.UTC)),
        indicator=indicator,
        description=description,
        components=components,
        groups=_groups(components),
        open=incidents,
        recent=recent,
        maintenance=_maintenance(windows, components, now),
        days=days,
        older=older,
    )


def get_past(last: dt.date, *, now: dt.datetime) -> tuple[tuple[Day, ...], dt.date | None]:
    """A week of days up to `last`, the newest first, and the day that the page before begins with."""
    first = last - dt.timedelta(days=DAYS_OF_A_PAGE - 1)
    begin = dt.datetime.combine(first, dt.time(), tzinfo=dt.UTC)
    end = dt.datetime.combine(last, dt.time(), tzinfo=dt.UTC) + dt.timedelta(days=1)
    rows = _public().filter(started_at__gte=begin, started_at__lt=end)[:MOST_PAST]
    by_date: defaultdict[dt.date, list[IncidentLine]] = defaultdict(list)
    for line in _incidents(rows):
        by_date[line.started_at.astimezone(dt.UTC).date()].append(line)
    dates = [last - dt.timedelta(days=number) for number in range(DAYS_OF_A_PAGE)]
    days = tuple(Day(date, tuple(by_date[date])) for date in dates)
    before = _public().filter(started_at__lt=begin).values_list("started_at", flat=True).first()
    return days, before.astimezone(dt.UTC).date() if before else None


def get_title() -> str:
    """What the page is called."""
    channels = cast(Channels, get_playbook()["channels"]).root
    titles = (getattr(one, "title", "") for one in channels.values() if one.kind == "status_page")
    return next(titles, "Service status")


# --- components -------------------------------------------------------------------------------------


def _components(now: dt.datetime, working: set[int]) -> tuple[ComponentLine, ...]:
    rows = list(shown_components().select_related("service"))
    first = now.astimezone(dt.UTC).date() - dt.timedelta(days=HISTORY_DAYS - 1)
    seconds: defaultdict[tuple[int, dt.date], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    stored = ComponentDay.objects.filter(component__in=[row.pk for row in rows], day__gte=first)
    for day in stored:
        kept = seconds[day.component_id, day.day]
        kept["degraded_seconds"] += day.degraded_seconds
        kept["outage_seconds"] += day.partial_seconds + day.major_seconds
    begin = dt.datetime.combine(first, dt.time(), tzinfo=dt.UTC)
    for row in rows:  # what has been going on since it was counted last
        for date, column, count in by_day(row.state, max(row.counted_until, begin), now):
            name = column if column == "degraded_seconds" else "outage_seconds"
            seconds[row.pk, date][name] += count
    dates = [first + dt.timedelta(days=number) for number in range(HISTORY_DAYS)]
    return tuple(
        ComponentLine(
            public_id=row.public_id,
            name=row.service.public_name,
            group=row.group,
            position=row.position,
            description=row.description,
            state=shown_state(row.state, in_maintenance=row.service_id in working),
            created_at=row.created_at,
            changed_at=row.changed_at,
            days=tuple(_bar(date, seconds.get((row.pk, date))) for date in dates),
        )
        for row in rows
    )


def _bar(date: dt.date, seconds: Mapping[str, int] | None) -> DayBar:
    """Any trouble counts as a minute at the least."""
    if not seconds:
        return DayBar(date)
    return DayBar(date, -(-seconds["degraded_seconds"] // 60), -(-seconds["outage_seconds"] // 60))


def _groups(components: Sequence[ComponentLine]) -> tuple[Group, ...]:
    """In the order of their best placed component."""
    by_name: dict[str, list[ComponentLine]] = {}
    for line in sorted(components, key=lambda one: one.position):
        by_name.setdefault(line.group, []).append(line)
    return tuple(Group(name, tuple(lines)) for name, lines in by_name.items())


# --- incidents --------------------------------------------------------------------------------------


def _public() -> QuerySet[PublicIncident]:
    """Never a restricted one or a drill, whatever was approved before it became one."""
    said = PublicUpdate.objects.filter(published_at__isnull=False).order_by("-published_at", "-pk")
    known = shown_components().only("public_id")
    return PublicIncident.objects.filter(incident__restricted=False, incident__drill=False).prefetch_related(
        Prefetch("updates", queryset=said, to_attr="said"), Prefetch("components", queryset=known)
    )


def _incidents(rows: QuerySet[PublicIncident]) -> tuple[IncidentLine, ...]:
    return tuple(_incident(row) for row in rows)


def _incident(row: Any) -> IncidentLine:
    return IncidentLine(
        public_id=row.public_id,
        title=row.title,
        status=row.status,
        impact=row.impact,
        started_at=row.started_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        monitoring_at=row.monitoring_at,
        resolved_at=row.resolved_at,
        updates=tuple(
            UpdateLine(one.public_id, one.status, one.body, one.published_at, tuple(one.changes))
            for one in row.said
        ),
        components=tuple(one.public_id for one in row.components.all()),
    )


# --- planned maintenance ----------------------------------------------------------------------------


def _windows(now: dt.datetime) -> list[MaintenanceWindow]:
    rows = MaintenanceWindow.objects.filter(
        Q(ends_at__gt=now), starts_at__lt=now + PLANNED_AHEAD, services__public_name__gt=""
    ).distinct()
    return list(rows.order_by("starts_at", "pk").prefetch_related("services")[:MOST_WINDOWS])


def _maintenance(
    windows: Sequence[MaintenanceWindow], components: Sequence[ComponentLine], now: dt.datetime
) -> tuple[MaintenanceLine, ...]:
    services = {service.pk for window in windows for service in window.services.all()}
    ids = dict(Component.objects.filter(service__in=services).values_list("service_id", "public_id"))
    lines = {line.public_id: line for line in components}
    found = []
    for window in windows:
        about = [lines[ids[service.pk]] for service in window.services.all() if ids.get(service.pk) in lines]
        if not about:
            continue
        names = tuple(line.name for line in about)
        found.append(
            MaintenanceLine(
                public_id=hashlib.sha256(f"maintenance {window.pk}".encode()).hexdigest()[:12],
                title=f"Planned maintenance of {', '.join(names)}",
                in_progress=window.starts_at <= now,
                starts_at=window.starts_at,
                ends_at=window.ends_at,
                created_at=window.created_at,
                components=tuple(line.public_id for line in about),
                names=names,
            )
        )
    return tuple(found)
