"""Metrics as a page shows them: a value, its level, a line against its threshold."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse

from incidents import policy
from incidents.models import Monitor, Release
from incidents.selectors.charts import SPARK_BOX, Scale, limit_lines, spark_path
from incidents.selectors.series import SPARK_SLOTS, Recent, gap_after, recent_series
from incidents.states import Metric, MonitorLevel
from incidents.values import describe_value

NOTHING = Recent((), ())


@dataclass(frozen=True)
class MetricLine:
    """One metric of one service: `spark` is the `d` of a path in a 120x32 box: the last hour."""

    id: int
    metric: str
    label: str
    value_text: str
    level: str
    level_label: str
    spark: str
    threshold_y: float | None
    release_marks: tuple[float, ...]
    checked_at: dt.datetime | None
    thresholds_text: str
    service: str = ""
    service_url: str = ""
    error: str = ""


def releases_by_service(service_ids: Iterable[int], *, since: dt.datetime) -> dict[int, list[Release]]:
    """Releases deployed since a moment, newest first (one query)."""
    found: dict[int, list[Release]] = defaultdict(list)
    for release in Release.objects.filter(service__in=list(service_ids), deployed_at__gte=since)[:500]:
        found[release.service_id].append(release)
    return found


def metric_lines(
    monitors: Sequence[Monitor], *, now: dt.datetime, name_service: bool = False
) -> dict[int, MetricLine]:
    """The line of each monitor, by its id (two queries whatever their number).

    `name_service` puts the service's name and address on the line; the monitors then need their
    service loaded.
    """
    slots = recent_series([monitor.pk for monitor in monitors], now=now)
    oldest = min((_began(seen) for seen in slots.values()), default=now)
    releases = releases_by_service({monitor.service_id for monitor in monitors}, since=oldest)
    return {
        monitor.pk: _line(
            monitor, slots.get(monitor.pk, NOTHING), releases, now=now, name_service=name_service
        )
        for monitor in monitors
    }


def _began(recent: Recent) -> dt.datetime:
    return dt.datetime.fromtimestamp(recent.at[0], dt.UTC)


def metric_label(metric: str) -> str:
    """`Error rate`; a metric of the service's own keeps its name."""
    return str(Metric(metric).label) if metric in Metric.values else metric


def _thresholds_text(metric: str, sign: str, lines: Sequence[tuple[str, float]]) -> str:
    """`high > 2, critical > 5 %`: a unit that they share stands once."""
    values = [describe_value(metric, value).partition(" ") for _name, value in lines]
    shared = len({unit for _number, _space, unit in values}) == 1
    shown = [number if shared else f"{number}{space}{unit}" for number, space, unit in values]
    said = ", ".join(f"{name} {sign} {value}" for (name, _limit), value in zip(lines, shown, strict=True))
    return f"{said} {values[-1][2]}".strip() if shared else said


def _line(
    monitor: Monitor,
    recent: Recent,
    releases: Mapping[int, Sequence[Release]],
    *,
    now: dt.datetime,
    name_service: bool,
) -> MetricLine:
    limits = policy.limits_for(monitor.metric, monitor.policy, monitor.thresholds)
    lines = limit_lines(limits)
    sign = "<" if limits and limits.direction == "below" else ">"
    start = _began(recent) if recent.at else now
    seen = [value for value in (*recent.values, *(limit for _name, limit in lines[:1])) if value is not None]
    scale = Scale(start, now, min([0.0, *seen]), max(seen, default=1.0) or 1.0, SPARK_BOX)
    gap = gap_after(monitor.interval_seconds, (now - start) / SPARK_SLOTS)
    deployed = [release.deployed_at for release in releases.get(monitor.service_id, [])]
    level = MonitorLevel(monitor.level)
    service = monitor.service if name_service else None
    return MetricLine(
        id=monitor.pk,
        metric=monitor.metric,
        label=metric_label(monitor.metric),
        value_text=describe_value(monitor.metric, monitor.last_value),
        level=level.value if monitor.checked_at else MonitorLevel.UNKNOWN.value,
        level_label=str(level.label) if monitor.checked_at else "Not checked yet",
        spark=spark_path(recent, scale, gap),
        threshold_y=scale.y(lines[0][1]) if lines else None,
        release_marks=tuple(scale.x(at) for at in deployed if recent.at and scale.covers(at)),
        checked_at=monitor.checked_at,
        thresholds_text=_thresholds_text(monitor.metric, sign, lines),
        service=service.name if service else "",
        service_url=reverse("incidents:service", args=[service.slug]) if service else "",
        error=monitor.last_error,
    )
