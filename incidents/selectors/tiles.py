"""Services as tiles: on Now those in trouble first, on Services all of them, a page at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Case, Exists, Min, OuterRef, Prefetch, Q, QuerySet, When
from django.urls import reverse

from incidents.models import Monitor, Release, Service
from incidents.rules.levels import WORST_FIRST, worst_of
from incidents.selectors.metrics import MetricLine, metric_lines
from incidents.states import MonitorLevel, ReleaseState

NOW_TILES = 12
PAGE_SIZE = 24
WORDS = 5  # of a search; more are left out
UNMEASURED = "unmeasured"
STATES: Mapping[str, str] = {
    **{level.value: str(level.label) for level in WORST_FIRST},
    UNMEASURED: "Not measured",
}
"""How a service may stand, the worst first: its worst monitor's level, or that none has measured yet."""

_COUNTS = """
SELECT (%(levels)s::text[])[worst], count(*)
  FROM (SELECT min(array_position(%(levels)s::text[], level::text)) AS worst FROM incidents_monitor
         WHERE enabled AND checked_at IS NOT NULL GROUP BY service_id) measured
 GROUP BY worst
UNION ALL
SELECT NULL, count(*) FROM incidents_service
"""
_BAD = Q(enabled=True) & ~Q(level=MonitorLevel.OK)  # as the condition of the index says


@dataclass(frozen=True)
class ServiceTile:
    """One service in the grid; `state` is its worst monitor's level."""

    slug: str
    name: str
    environment: str
    state: str
    state_label: str
    live_version: str | None
    rolled_back: bool
    auto_rollback: bool
    url: str
    metrics: tuple[MetricLine, ...]


@dataclass(frozen=True)
class NowTiles:
    """What Now shows of the services: `others` are those without a tile, how many in which of STATES."""

    tiles: tuple[ServiceTile, ...]
    counts: Mapping[str, int]
    others: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def other_total(self) -> int:
        return sum(self.others.values())


@dataclass(frozen=True)
class TilePage:
    """One page of all services; `after` is the cursor of the next page, empty on the last."""

    tiles: tuple[ServiceTile, ...]
    after: str


def now_tiles(*, now: dt.datetime) -> NowTiles:
    """Those in trouble, the worst first, then others by name while there is room (eight queries)."""
    counts = count_services()
    shown = worst_services(NOW_TILES)
    if len(shown) < NOW_TILES:
        calm = Service.objects.filter(~Exists(_bad_monitors())).order_by("name", "slug")
        shown += calm.values_list("pk", flat=True)[: NOW_TILES - len(shown)]
    tiles = _tiles(shown, now=now)
    standing = [tile.state for tile in tiles]
    others = {state: number - standing.count(state) for state, number in counts.items()}
    return NowTiles(tiles, counts, {state: number for state, number in others.items() if number > 0})


def list_tiles(*, now: dt.datetime, words: str = "", state: str = "", after: str = "") -> TilePage:
    """Services by name, a page at a time: those with every word in name, slug or environment.

    An unknown state or cursor counts as none (six queries).
    """
    rows = _standing(Service.objects.order_by("name", "slug"), state)
    for word in words.split()[:WORDS]:
        rows = rows.filter(Q(name__icontains=word) | Q(slug__icontains=word) | Q(environment__icontains=word))
    last = Service.objects.filter(slug=after).first() if after else None
    if last:
        later = Q(name__gt=last.name) | Q(slug__gt=last.slug)
        rows = rows.filter(later, name__gte=last.name)  # the latter so that the index is entered there
    found = list(rows.values_list("pk", flat=True)[: PAGE_SIZE + 1])
    tiles = _tiles(found[:PAGE_SIZE], now=now)
    return TilePage(tiles, tiles[-1].slug if len(found) > PAGE_SIZE else "")


def count_services() -> dict[str, int]:
    """How many services stand how, by all of STATES (one query, which reads every monitor once)."""
    levels = [level.value for level in WORST_FIRST]
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"levels": levels})
        found = dict(cursor.fetchall())
    measured = {level: found.get(level, 0) for level in levels}
    return {**measured, UNMEASURED: max(found[None] - sum(measured.values()), 0)}


def tile_of(service: Service, lines: Mapping[int, MetricLine]) -> ServiceTile:
    """The tile of one of `with_monitors_and_releases`, with the lines of its monitors."""
    monitors = enabled_monitors(service)
    releases: list[Release] = getattr(service, "live_and_left")  # noqa: B009 - from the prefetch
    worst = worst_of(MonitorLevel(monitor.level) for monitor in monitors if monitor.checked_at)
    live = next((release for release in releases if release.state == ReleaseState.LIVE), None)
    return ServiceTile(
        slug=service.slug,
        name=service.name,
        environment=service.environment,
        state=worst.value if worst else UNMEASURED,
        state_label=str(worst.label) if worst else ("Not checked yet" if monitors else "Not monitored"),
        live_version=live.version if live else None,
        rolled_back=was_rolled_back(releases),
        auto_rollback=service.auto_rollback,
        url=reverse("incidents:service", args=[service.slug]),
        metrics=tuple(lines[monitor.pk] for monitor in monitors),
    )


def with_monitors_and_releases(rows: QuerySet[Service]) -> list[Service]:
    """The services with what their tiles show (three queries)."""
    shown = Release.objects.filter(state__in=(ReleaseState.LIVE, ReleaseState.ROLLED_BACK))
    return list(rows.prefetch_related("monitors", Prefetch("releases", shown, to_attr="live_and_left")))


def enabled_monitors(service: Service) -> list[Monitor]:
    return [monitor for monitor in service.monitors.all() if monitor.enabled]


def was_rolled_back(releases: Iterable[Release]) -> bool:
    """Whether what is live was reached by leaving a later release."""
    rows = list(releases)
    live = next((release for release in rows if release.state == ReleaseState.LIVE), None)
    left = [release for release in rows if release.state == ReleaseState.ROLLED_BACK]
    return live is not None and any(release.recorded_at > live.recorded_at for release in left)


def _tiles(ids: Sequence[int], *, now: dt.datetime) -> tuple[ServiceTile, ...]:
    """The tiles of these services, in this order (five queries whatever their number)."""
    services = with_monitors_and_releases(Service.objects.filter(pk__in=ids))
    lines = metric_lines([m for service in services for m in enabled_monitors(service)], now=now)
    services.sort(key=lambda service: ids.index(service.pk))
    return tuple(tile_of(service, lines) for service in services)


def worst_services(limit: int) -> list[int]:
    """The ids of services in trouble, the worst first; the index of the monitors holds the bad ones alone."""
    place = Case(*(When(level=level, then=number) for number, level in enumerate(WORST_FIRST)))
    bad = Monitor.objects.filter(_BAD).values("service").annotate(worst=Min(place))
    ordered = bad.order_by("worst", "service__name", "service__slug")
    return list(ordered.values_list("service", flat=True)[:limit])


def _standing(rows: QuerySet[Service], state: str) -> QuerySet[Service]:
    """Only the services that stand so; all of them for a word that is none of STATES."""
    measured = Exists(Monitor.objects.filter(service=OuterRef("pk"), enabled=True, checked_at__isnull=False))
    if state == UNMEASURED:
        return rows.filter(~measured)
    if state not in STATES:
        return rows
    level = MonitorLevel(state)
    if level is MonitorLevel.OK:
        return rows.filter(measured, ~Exists(_bad_monitors()))
    worse = WORST_FIRST[: WORST_FIRST.index(level)]
    return rows.filter(
        Exists(_bad_monitors().filter(level=level)), ~Exists(_bad_monitors().filter(level__in=worse))
    )


def _bad_monitors() -> QuerySet[Monitor]:
    """Of one service of an outer query. Only a monitor that was checked is at a level but OK."""
    return Monitor.objects.filter(_BAD, service=OuterRef("pk"))
