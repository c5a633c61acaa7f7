"""Drawing what was measured: where a line, its thresholds and its marks lie inside an SVG's box."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from incidents.playbook import Limits
from incidents.selectors.axes import day_text, time_ticks, value_ticks
from incidents.selectors.series import Recent, Slot, gap_after
from incidents.states import Metric
from incidents.values import describe_value, duration_text

SPARK_BOX = (120.0, 32.0)
CHART_BOX = (640.0, 160.0)
HEADROOM = 0.12  # of the height, so that neither the highest value nor its threshold touches the edge
# What lies higher than so many times everything below it is only named: the line would be flat.
FIRST_IN_SIGHT = 10.0  # the mildest threshold, over the highest value
IN_SIGHT = 3.0  # the others
WHOLE = (Metric.RESPONSE_TIME, Metric.SECURITY_EVENTS)  # described without fractions
HINTS = 64  # columns that say their values under the pointer
ROWS = 16  # of the table beside the picture
LABEL_ROWS = (-6, -24)  # above the picture, so that no label hides what was measured
LAST_QUARTER = 0.75  # where labels stand to the left of their line
LINE_HEIGHT = 18.0
LETTER = 9.0  # the width of one, about, on a phone
KINDS = ("incident", "rollback", "release")  # whose labels are placed first


@dataclass(frozen=True)
class Threshold:
    """A line across the chart; its label begins at `label_x`."""

    y: float
    label: str
    level: str
    label_x: float


@dataclass(frozen=True)
class Moment:
    """Something worth a mark: `kind` is one of KINDS."""

    at: dt.datetime
    label: str
    kind: str
    text: str = ""
    url: str = ""


@dataclass(frozen=True)
class Mark:
    """A moment in a chart. `label_y` is None where its label would lie on another's.

    `before` says that the label ends at the line instead of beginning there.
    """

    x: float
    label: str
    kind: str
    label_y: int | None
    before: bool


@dataclass(frozen=True)
class Shade:
    """A stretch of the chart."""

    x: float
    width: float


@dataclass(frozen=True)
class Hint:
    """What a stretch of the chart says under the pointer."""

    x: float
    width: float
    text: str


@dataclass(frozen=True)
class Row:
    """A stretch of time as a line of the table."""

    text: str
    mean: str
    low: str
    high: str
    unanswered: int


@dataclass(frozen=True)
class Chart:
    """A metric drawn in a 640x160 box: `line` and `band` are the `d` of paths, y grows downwards.

    `beyond_text` names the thresholds that lie above what is drawn.
    """

    key: str
    label: str
    value_text: str
    level: str
    line: str
    band: str
    unanswered: tuple[Shade, ...]
    thresholds: tuple[Threshold, ...]
    beyond_text: str
    marks: tuple[Mark, ...]
    values: tuple[tuple[float, str], ...]
    times: tuple[tuple[float, str], ...]
    hints: tuple[Hint, ...]
    rows: tuple[Row, ...]
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
        return round(min(max(share, 0.0), 1.0) * self.box[0], 1)

    def y(self, value: float) -> float:
        span = self.high / 2 - self.low / 2
        share = (value / 2 - self.low / 2) / span if span > 0 else 0.0
        height = self.box[1]
        return round(height - 1 - share * (height - 1) * (1 - HEADROOM), 1)

    def covers(self, at: dt.datetime) -> bool:
        return self.start <= at <= self.end


def scale_for(
    slots: Iterable[Slot],
    lines: Sequence[float],
    *,
    start: dt.datetime,
    end: dt.datetime,
    box: tuple[float, float],
) -> Scale:
    """A scale that starts at zero (or below) and shows every value and every line."""
    values = [value for slot in slots for value in (slot.low, slot.high) if value is not None]
    values.extend(lines)
    return Scale(start, end, min([0.0, *values]), max(values, default=1.0) or 1.0, box)


def line_path(slots: Sequence[Slot], scale: Scale, gap: dt.timedelta) -> str:
    """The `d` of the line: broken where nothing was measured, a dot where only one value was."""
    parts = []
    for run in _runs(slots, gap):
        points = [f"{scale.x(slot.at):g},{scale.y(slot.mean or 0.0):g}" for slot in run]
        parts.append("M" + " L".join(points) + ("h0" if len(points) == 1 else ""))
    return " ".join(parts)


def spark_path(recent: Recent, scale: Scale, gap: dt.timedelta) -> str:
    """As `line_path`, of the last hour."""
    parts: list[str] = []
    width, start = scale.box[0], scale.start.timestamp()
    span = scale.end.timestamp() - start
    longest, before, alone = gap.total_seconds(), None, False
    for at, value in zip(recent.at, recent.values, strict=True):
        if value is None:
            before = None
            continue
        joined = before is not None and at - before <= longest
        if alone and not joined:
            parts.append("h0")
        share = min(max((at - start) / span, 0.0), 1.0) if span > 0 else 1.0
        parts.append(f"{' L' if joined else ' M'}{round(share * width, 1):g},{scale.y(value):g}")
        before, alone = at, not joined
    if alone:
        parts.append("h0")
    return "".join(parts).strip()


def limit_lines(limits: Limits | None) -> list[tuple[str, float]]:
    """(level, value) of each threshold, the mildest first."""
    if limits is None:
        return []
    given = (("warning", limits.warning), ("high", limits.high), ("critical", limits.critical))
    return [(level, value) for level, value in given if value is not None]


def draw_chart(
    *,
    key: str,
    metric: str,
    label: str,
    level: str,
    value: float | None,
    slots: Sequence[Slot],
    start: dt.datetime,
    end: dt.datetime,
    step: dt.timedelta,
    interval_seconds: float,
    limits: Limits | None,
    moments: Sequence[Moment],
) -> Chart:
    """One metric at size over a span, with its thresholds, and the moments that fall into it."""
    lines = limit_lines(limits)
    near, far = _in_sight(slots, lines)
    scale = scale_for(slots, [limit for _level, limit in near], start=start, end=end, box=CHART_BOX)
    gap = gap_after(interval_seconds, step)
    return Chart(
        key=key,
        label=label,
        value_text=describe_value(metric, value),
        level=level,
        line=line_path(slots, scale, gap),
        band=_band_path(slots, scale, gap),
        unanswered=tuple(_unanswered(slots, scale, dt.timedelta(seconds=interval_seconds), step)),
        thresholds=tuple(_thresholds(metric, near, scale)),
        beyond_text=", ".join(f"{name} {describe_value(metric, at)}" for name, at in far),
        marks=tuple(_marks(moments, scale)),
        values=tuple(
            (scale.y(at), _axis_text(metric, at)) for at in value_ticks(scale.high, whole=metric in WHOLE)
        ),
        times=tuple((scale.x(at), text) for at, text in time_ticks(start, end)),
        hints=tuple(_hints(metric, slots, scale, moments)),
        rows=tuple(_rows(metric, slots, scale)),
        summary=_summary(metric, slots, start, end),
    )


def _runs(slots: Sequence[Slot], gap: dt.timedelta) -> Iterator[list[Slot]]:
    """Stretches without a hole: slots with values, each no further than `gap` from the one before."""
    run: list[Slot] = []
    for slot in slots:
        if run and (slot.mean is None or slot.at - run[-1].at > gap):
            yield run
            run = []
        if slot.mean is not None:
            run.append(slot)
    if run:
        yield run


def _band_path(slots: Sequence[Slot], scale: Scale, gap: dt.timedelta) -> str:
    """The `d` of what lies between the lowest and the highest, where those differ."""
    parts = []
    for run in _runs(slots, gap):
        if all(slot.low == slot.high for slot in run):
            continue
        above = [f"{scale.x(slot.at):g},{scale.y(slot.high or 0.0):g}" for slot in run]
        below = [f"{scale.x(slot.at):g},{scale.y(slot.low or 0.0):g}" for slot in reversed(run)]
        parts.append("M" + " L".join([*above, *below]) + "Z")
    return " ".join(parts)


def _in_sight(
    slots: Sequence[Slot], lines: Sequence[tuple[str, float]]
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The thresholds that are drawn, and those too high for it; the mildest is always drawn."""
    top = max((slot.high for slot in slots if slot.high is not None), default=0.0)
    first = lines[0][1] if lines else 0.0
    if top <= 0 or first / FIRST_IN_SIGHT <= top:
        top = max(top, first)
    near = [line for line in lines if line[1] / IN_SIGHT <= top]
    return near, [line for line in lines if line not in near]


def _thresholds(metric: str, lines: Sequence[tuple[str, float]], scale: Scale) -> Iterator[Threshold]:
    """The lines; where two lie close the label of the second stands beside that of the first."""
    before: Threshold | None = None
    for level, limit in lines:
        y, x = scale.y(limit), 2.0
        if before is not None and abs(before.y - y) < LINE_HEIGHT:
            x = before.label_x + LETTER * len(before.label)
        before = Threshold(y, f"{level} {describe_value(metric, limit)}", level, x)
        yield before


def _unanswered(
    slots: Sequence[Slot], scale: Scale, interval: dt.timedelta, step: dt.timedelta
) -> Iterator[Shade]:
    """Where checks failed; what touches is one stretch. A failed check stands for its interval."""
    width = max(interval, step)
    begun: float | None = None
    ended = 0.0
    for slot in slots:
        if not slot.unanswered:
            continue
        left, right = scale.x(slot.at - width / 2), scale.x(slot.at + width / 2)
        if begun is None:
            begun = left
        elif left > ended + 0.2:
            yield Shade(begun, round(max(ended - begun, 1.0), 1))
            begun = left
        ended = right
    if begun is not None:
        yield Shade(begun, round(max(ended - begun, 1.0), 1))


def _marks(moments: Sequence[Moment], scale: Scale) -> Iterator[Mark]:
    """The moments from left to right; a label takes the first row where it lies on no other.

    Where there is room for some, incidents and rollbacks come before releases, and new before old.
    """
    shown = [moment for moment in moments if scale.covers(moment.at)]
    taken: dict[int, list[tuple[float, float]]] = {row: [] for row in LABEL_ROWS}
    places: dict[Moment, tuple[int, bool]] = {}
    for moment in sorted(shown, key=lambda one: (KINDS.index(one.kind), -one.at.timestamp())):
        x, width = scale.x(moment.at), 8 + LETTER * len(moment.label)
        sides = [(x, x + width, False)] if x <= LAST_QUARTER * scale.box[0] else []
        sides += [(x - width, x, True)] if x >= width else []
        for row, (left, right, before) in itertools.product(LABEL_ROWS, sides):
            if all(right <= begin or left >= end for begin, end in taken[row]):
                taken[row].append((left, right))
                places[moment] = (row, before)
                break
    for moment in sorted(shown, key=lambda one: one.at):
        row_of, before = places.get(moment, (None, False))
        yield Mark(scale.x(moment.at), moment.label, moment.kind, row_of, before)


def _columns(slots: Sequence[Slot], scale: Scale, count: int) -> Iterator[tuple[int, list[Slot]]]:
    """The slots in `count` columns of equal width, the empty ones left out."""
    columns: dict[int, list[Slot]] = {}
    for slot in slots:
        columns.setdefault(min(int(scale.x(slot.at) / scale.box[0] * count), count - 1), []).append(slot)
    yield from columns.items()


def _hints(metric: str, slots: Sequence[Slot], scale: Scale, moments: Sequence[Moment]) -> Iterator[Hint]:
    width = scale.box[0] / HINTS
    for column, found in _columns(slots, scale, HINTS):
        row = _row(metric, found, scale)
        said = row.mean if row.low == row.high else f"{row.mean}, {row.low} to {row.high}"
        if row.unanswered:
            said += f"; {row.unanswered} of {sum(slot.samples for slot in found)} without an answer"
        begin, end = column * width, (column + 1) * width
        happened = [m.text or m.label for m in moments if scale.covers(m.at) and begin <= scale.x(m.at) < end]
        yield Hint(round(begin, 1), round(width, 1), f"{row.text} UTC: {'; '.join([said, *happened])}")


def _axis_text(metric: str, value: float) -> str:
    return describe_value(metric, value).removesuffix(" in 5 min")


def _rows(metric: str, slots: Sequence[Slot], scale: Scale) -> Iterator[Row]:
    for _column, found in _columns(slots, scale, ROWS):
        yield _row(metric, found, scale)


def _row(metric: str, slots: Sequence[Slot], scale: Scale) -> Row:
    means = [slot.mean for slot in slots if slot.mean is not None]
    exact = scale.end - scale.start <= dt.timedelta(hours=1)
    day = scale.end - scale.start > dt.timedelta(days=1)
    first, last = (f"{at:%H:%M:%S}" if exact else f"{at:%H:%M}" for at in (slots[0].at, slots[-1].at))
    when = first if first == last else f"{first} to {last}"
    return Row(
        text=f"{day_text(slots[-1].at)}, {when}" if day else when,
        mean=describe_value(metric, _mean(means)),
        low=describe_value(metric, min((s.low for s in slots if s.low is not None), default=None)),
        high=describe_value(metric, max((s.high for s in slots if s.high is not None), default=None)),
        unanswered=sum(slot.unanswered for slot in slots),
    )


def _mean(values: Sequence[float]) -> float | None:
    """Between the smallest and the largest: rounding of the largest numbers would leave them for infinity."""
    if not values:
        return None
    mean = sum(value / len(values) for value in values)
    return min(max(mean, min(values)), max(values))


def _summary(metric: str, slots: Sequence[Slot], start: dt.datetime, end: dt.datetime) -> str:
    """What the picture shows, for those who hear the page."""
    lows = [slot.low for slot in slots if slot.low is not None]
    if not lows:
        return "Nothing was measured in this time."
    highs = [slot.high for slot in slots if slot.high is not None]
    between = f"between {describe_value(metric, min(lows))} and {describe_value(metric, max(highs))}"
    failed = sum(slot.unanswered for slot in slots)
    checks, span = sum(slot.samples for slot in slots), duration_text((end - start).total_seconds())
    said = f"{checks} checks in {span}, {between}"
    return f"{said}, {failed} without an answer." if failed else f"{said}."
