"""Drawing samples: where a line, its thresholds and its marks lie inside an SVG's box."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from incidents.playbook import Limits
from incidents.values import describe_value

SPARK_BOX = (120.0, 32.0)
CHART_BOX = (640.0, 160.0)
HEADROOM = 0.12  # of the height, so that neither the highest value nor its threshold touches the edge

Threshold = tuple[float, str, str]  # y, label, level
Mark = tuple[float, str, str]  # x, label, kind


@dataclass(frozen=True)
class Point:
    """One measured value."""

    at: dt.datetime
    value: float


@dataclass(frozen=True)
class Moment:
    """Something worth a mark: `kind` is "release", "rollback" or "incident"."""

    at: dt.datetime
    label: str
    kind: str


@dataclass(frozen=True)
class Chart:
    """A metric drawn in a 640x160 box: `points` are a polyline's, y grows downwards."""

    label: str
    value_text: str
    level: str
    points: str
    thresholds: tuple[Threshold, ...]
    marks: tuple[Mark, ...]
    from_text: str
    to_text: str
    summary: str


@dataclass(frozen=True)
class Scale:
    """Maps times and values into a box. Halves are taken before differences: no value overflows."""

    start: dt.datetime
    end: dt.datetime
    low: float
    high: float
    box: tuple[float, float]

    def x(self, at: dt.datetime) -> float:
        span = (self.end - self.start).total_seconds()
        share = (at - self.start).total_seconds() / span if span > 0 else 1.0
        return round(share * self.box[0], 1)

    def y(self, value: float) -> float:
        span = self.high / 2 - self.low / 2
        share = (value / 2 - self.low / 2) / span if span > 0 else 0.0
        height = self.box[1]
        return round(height - 1 - share * (height - 1) * (1 - HEADROOM), 1)

    def covers(self, at: dt.datetime) -> bool:
        return self.start <= at <= self.end


def scale_for(
    points: Sequence[Point],
    lines: Sequence[float],
    *,
    start: dt.datetime,
    end: dt.datetime,
    box: tuple[float, float],
) -> Scale:
    """A scale that starts at zero (or below) and shows every value and every line."""
    values = [point.value for point in points] + list(lines)
    return Scale(start, end, min([0.0, *values]), max(values, default=1.0) or 1.0, box)


def polyline(points: Sequence[Point], scale: Scale) -> str:
    """The `points` attribute of a polyline; a single value becomes a short line."""
    found = [(scale.x(point.at), scale.y(point.value)) for point in points]
    if len(found) == 1:
        found = [(max(0.0, found[0][0] - 2), found[0][1]), *found]
    return " ".join(f"{x:g},{y:g}" for x, y in found)


def limit_lines(limits: Limits | None) -> list[tuple[str, float]]:
    """(level, value) of each threshold, the lowest first."""
    if limits is None:
        return []
    given = (("warning", limits.warning), ("high", limits.high), ("critical", limits.critical))
    return [(level, value) for level, value in given if value is not None]


def draw_chart(
    *,
    metric: str,
    label: str,
    level: str,
    points: Sequence[Point],
    limits: Limits | None,
    moments: Sequence[Moment],
) -> Chart:
    """One metric at size, with every threshold, and the moments that fall into its time."""
    lines = limit_lines(limits)
    start, end = (points[0].at, points[-1].at) if points else (dt.datetime.min, dt.datetime.min)
    scale = scale_for(points, [value for _level, value in lines], start=start, end=end, box=CHART_BOX)
    marks = [moment for moment in moments if points and scale.covers(moment.at)]
    values = [point.value for point in points]
    return Chart(
        label=label,
        value_text=describe_value(metric, values[-1] if values else None),
        level=level,
        points=polyline(points, scale),
        thresholds=tuple(
            (scale.y(value), f"{name} {describe_value(metric, value)}", name) for name, value in lines
        ),
        marks=tuple((scale.x(moment.at), moment.label, moment.kind) for moment in marks),
        from_text=f"{start:%H:%M:%S} UTC" if points else "",
        to_text=f"{end:%H:%M:%S} UTC" if points else "",
        summary=_summary(metric, values),
    )


def _summary(metric: str, values: Sequence[float]) -> str:
    if not values:
        return "Nothing has been measured yet."
    low, high = describe_value(metric, min(values)), describe_value(metric, max(values))
    return f"{len(values)} measurements between {low} and {high}."
