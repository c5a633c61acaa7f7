"""One service as a page of its own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.urls import reverse

from core.actors import Actor
from core.errors import NotFound
from incidents import policy
from incidents.models import Incident, Monitor, Release, Service
from incidents.panels import Panel, ServiceNote, service_notes, service_panels
from incidents.selectors.actions import Action, why_not_allowed
from incidents.selectors.cards import IncidentCard, cards_of_service
from incidents.selectors.charts import Chart, Moment, draw_chart
from incidents.selectors.metrics import MetricLine, metric_label, metric_lines
from incidents.selectors.series import Series, series_of
from incidents.selectors.tiles import ServiceTile, tile_of, with_monitors_and_releases
from incidents.states import MonitorLevel, ReleaseState
from incidents.values import duration_text

LEDGER_LENGTH = 30
MOMENTS = 60  # of a kind in a chart, the newest
RANGES = {
    "1h": dt.timedelta(hours=1),
    "6h": dt.timedelta(hours=6),
    "24h": dt.timedelta(hours=24),
    "7d": dt.timedelta(days=7),
    "30d": dt.timedelta(days=30),
}
DEFAULT_RANGE = "1h"
_NOTES = {
    ReleaseState.GOOD: "Verified good: a rollback may return to it.",
    ReleaseState.SUPERSEDED: "Replaced before it had run long enough without a complaint.",
    ReleaseState.QUARANTINED: "Not to be returned to.",
    ReleaseState.ROLLED_BACK: "Left by a rollback.",
}


@dataclass(frozen=True)
class LedgerLine:
    """One release of a service."""

    version: str
    state: str
    state_label: str
    deployed_at: dt.datetime
    good_at: dt.datetime | None
    note: str
    change: Action


@dataclass(frozen=True)
class MonitorLine:
    """One monitor of a service, enabled or not."""

    label: str
    source: str
    interval_text: str
    policy: str
    enabled: bool
    level: str
    level_label: str
    value_text: str
    checked_at: dt.datetime | None
    error: str
    thresholds_text: str


@dataclass(frozen=True)
class ServiceFacts(ServiceTile):
    """The tile, and what only the service's own page says."""

    tier: int | None = None
    procedure: str = ""


@dataclass(frozen=True)
class ServicePage:
    """Everything the page of one service shows."""

    service: ServiceFacts
    notes: tuple[ServiceNote, ...]
    range: str
    panels: tuple[Panel, ...]
    charts: tuple[Chart, ...]
    moments: tuple[Moment, ...]
    releases: tuple[LedgerLine, ...]
    monitors: tuple[MonitorLine, ...]
    incidents: tuple[IncidentCard, ...]


def get_service(slug: str) -> Service:
    """Raises NotFound."""
    service = Service.objects.filter(slug=slug).first()
    if service is None:
        raise NotFound("No such service.")
    return service


def get_service_page(
    actor: Actor, slug: str, *, now: dt.datetime, range_key: str = DEFAULT_RANGE
) -> ServicePage:
    """One service with its charts of one of RANGES, its ledger and its incidents; raises NotFound."""
    found = with_monitors_and_releases(Service.objects.filter(slug=slug))
    if not found:
        raise NotFound("No such service.")
    service = found[0]
    monitors = list(service.monitors.all())
    releases = list(service.releases.all()[:LEDGER_LENGTH])
    series = series_of(monitors, start=now - RANGES[range_key], end=now, now=now)
    moments = _moments(actor, service, since=series.start)
    lines = metric_lines(monitors, now=now)
    tile = tile_of(service, lines)
    return ServicePage(
        service=ServiceFacts(**vars(tile), tier=service.tier, procedure=service.procedure),
        notes=service_notes(actor, service, now=now),
        range=range_key,
        panels=service_panels(actor, service),
        charts=tuple(
            chart_of(monitor, series, value=monitor.last_value, moments=moments) for monitor in monitors
        ),
        moments=tuple(moments),
        releases=tuple(_ledger_line(actor, service, release) for release in releases),
        monitors=tuple(_monitor_line(monitor, lines[monitor.pk]) for monitor in monitors),
        incidents=cards_of_service(actor, service.pk, now=now),
    )


def chart_of(
    monitor: Monitor, series: Series, *, value: float | None, moments: Sequence[Moment] = ()
) -> Chart:
    """One monitor's part of a series, drawn; `value` is what stands beside its name."""
    return draw_chart(
        key=f"chart-{monitor.pk}",
        metric=monitor.metric,
        label=metric_label(monitor.metric),
        level=monitor.level if monitor.checked_at else MonitorLevel.UNKNOWN.value,
        value=value,
        slots=series.slots.get(monitor.pk, ()),
        start=series.start,
        end=series.end,
        step=series.step,
        interval_seconds=monitor.interval_seconds,
        limits=policy.limits_for(monitor.metric, monitor.policy, monitor.thresholds),
        moments=moments,
    )


def _moments(actor: Actor, service: Service, *, since: dt.datetime) -> list[Moment]:
    """What happened to the service since a moment, oldest first (two queries)."""
    left = Q(state=ReleaseState.ROLLED_BACK, ended_at__gte=since)
    found = []
    for release in service.releases.filter(left | Q(deployed_at__gte=since))[:MOMENTS]:
        if release.deployed_at >= since:
            found.append(
                Moment(release.deployed_at, release.version, "release", f"{release.version} released")
            )
        if release.state == ReleaseState.ROLLED_BACK and release.ended_at and release.ended_at >= since:
            text = f"{release.version} left by a rollback"
            found.append(Moment(release.ended_at, f"left {release.version}", "rollback", text))
    declared = Incident.objects.visible_to(actor).filter(services=service, declared_at__gte=since)
    for incident in declared.order_by("-declared_at")[:MOMENTS]:
        url = reverse("incidents:incident", args=[incident.ref])
        text = f"{incident.severity} {incident.ref} declared"
        found.append(Moment(incident.declared_at, incident.severity, "incident", text, url))
    return sorted(found, key=lambda moment: moment.at)


def _described(source: Mapping[str, str]) -> str:
    """What is measured where: `error_rate of http://…`, `sum(rate(…)) of http://…`."""
    asked = [value for name, value in source.items() if name not in ("type", "url")]
    return f"{', '.join(asked) or source['type']} of {source.get('url', '')}"


def _monitor_line(monitor: Monitor, line: MetricLine) -> MonitorLine:
    return MonitorLine(
        label=line.label,
        source=_described(monitor.source),
        interval_text=f"every {duration_text(monitor.interval_seconds)}",
        policy=monitor.policy,
        enabled=monitor.enabled,
        level=line.level,
        level_label=line.level_label,
        value_text=line.value_text,
        checked_at=monitor.checked_at,
        error=monitor.last_error,
        thresholds_text=line.thresholds_text,
    )


def _ledger_line(actor: Actor, service: Service, release: Release) -> LedgerLine:
    state = ReleaseState(release.state)
    since, reason = release.quarantined_at, release.quarantine_reason
    quarantined = f"Quarantined since {since:%Y-%m-%d %H:%M} UTC: {reason}" if since else ""
    return LedgerLine(
        version=release.version,
        state=state.value,
        state_label=str(state.label),
        deployed_at=release.deployed_at,
        good_at=release.good_at,
        note=quarantined or _NOTES.get(state, ""),
        change=_quarantine_action(actor, service, release),
    )


def _quarantine_action(actor: Actor, service: Service, release: Release) -> Action:
    lift = release.quarantined_at is not None or release.state == ReleaseState.QUARANTINED
    why_not = why_not_allowed(actor, "configure" if lift else "decide_rollback")
    return Action(
        key=f"quarantine-{release.pk}",
        label="Lift the quarantine…" if lift else "Quarantine…",
        icon="lock-open" if lift else "no-symbol",
        url=reverse(
            "incidents:lift_quarantine" if lift else "incidents:quarantine",
            args=[service.slug, release.version],
        ),
        enabled=not why_not,
        why_not=why_not,
    )
