"""The figures as people read them: in words, and as bars, one a month, inside an SVG's box."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from incidents.selectors.axes import value_ticks
from incidents.values import duration_text
from rollbacks.rules.insights import (
    FIGURES,
    Change,
    Figure,
    Figures,
    change_between,
    month_after,
    value_of,
)
from rollbacks.selectors.insights import Group, Insights

BOX = (360.0, 110.0)
HEADROOM = 0.14  # of the height: where the last month's value stands
GAP = 0.24  # of a bar's place
LABELS = 12  # months that are named below, at most
_ROUND_SECONDS = (
    1,
    5,
    10,
    30,
    60,
    120,
    300,
    600,
    1800,
    3600,
    7200,
    14_400,
    28_800,
    86_400,
    2 * 86_400,
    7 * 86_400,
)
NOTHING = "–"

Address = Callable[..., str]
"""(figure, start, end) -> where the incidents or rollbacks behind it are listed."""


@dataclass(frozen=True)
class Bar:
    """A month: its bar, the mark of its median, and what it says. `height` is 0 where there is no value."""

    x: float
    y: float
    width: float
    height: float
    median_y: float | None
    label: str
    month: str
    text: str
    median: str
    base: str
    url: str
    last: bool


@dataclass(frozen=True)
class FigureCard:
    """One figure in total, how it moved since the span before, and its months."""

    key: str
    label: str
    definition: str
    text: str
    median: str
    base: str
    change: str
    direction: str
    tone: str
    url: str
    bars: tuple[Bar, ...]
    last: Bar | None
    ticks: tuple[tuple[float, str], ...]
    box: tuple[float, float]


@dataclass(frozen=True)
class GroupLine:
    """A severity, service or trigger, with every figure in words; `url` shows it alone."""

    label: str
    url: str
    cells: tuple[tuple[str, str], ...]


def draw_figures(found: Insights, address: Address) -> tuple[FigureCard, ...]:
    """A card for each figure, those of incidents first."""
    return tuple(_card(figure, found, address) for figure in FIGURES.values())


def group_lines(
    groups: Sequence[Group], months: float, address: Callable[[str, str], str], alone: Callable[[str], str]
) -> tuple[GroupLine, ...]:
    """Each group as a line; `address` is given its key and the figure's."""
    return tuple(
        GroupLine(
            group.key.capitalize() or "No service",
            alone(group.key) if group.key else "",
            tuple(
                (
                    value_text(figure, value_of(figure, group.figures, months)),
                    address(group.key, figure.key) if group.key else "",
                )
                for figure in FIGURES.values()
            ),
        )
        for group in groups
    )


def value_text(figure: Figure, value: float | None) -> str:
    """A value for people: `12`, `83 %`, `1 h 20 min`; a dash where there is none."""
    if value is None:
        return NOTHING
    if figure.unit == "ratio":
        return f"{value * 100:.3g} %"
    if figure.unit == "seconds":
        return duration_text(value)
    return f"{value:,.0f}" if figure.unit == "count" or value == int(value) else f"{value:,.1f}"


def change_text(figure: Figure, change: Change | None) -> str:
    """`3 fewer than before`, `12 min faster`, `up 4 points`."""
    if change is None:
        return "nothing to compare with"
    if change.direction == "same":
        return "as before"
    up = change.direction == "up"
    if figure.unit == "ratio":
        points = f"{max(change.amount * 100, 0.1):.1f}".removesuffix(".0")
        return f"{'up' if up else 'down'} {points} point{'s' if points != '1' else ''}"
    if figure.unit == "seconds":
        return f"{duration_text(change.amount)} {'slower' if up else 'faster'}"
    return f"{value_text(figure, change.amount)} {'more' if up else 'fewer'}"


def base_text(figure: Figure, figures: Figures) -> str:
    """What the figure rests on: `9 of 12 due`, `12 resolved`; nothing for a plain number."""
    if not figure.base:
        return ""
    number = getattr(figures, figure.base_field)
    if figure.unit == "ratio":
        part = {
            "response_attainment": figures.responses_in_time,
            "rollback_success_rate": figures.rollbacks_succeeded,
            "false_positive_rate": figures.judged_false,
        }[figure.key]
        return f"{part:,} of {number:,} {figure.base}"
    return f"{number:,} {figure.base}"


def _card(figure: Figure, found: Insights, address: Address) -> FigureCard:
    value = value_of(figure, found.total, found.months_covered)
    change = change_between(figure, value, value_of(figure, found.before, found.months_before))
    bars, ticks = _bars(figure, found, address)
    return FigureCard(
        key=figure.key,
        label=figure.label,
        definition=figure.definition,
        text=value_text(figure, value),
        median=_median_text(figure, found.total),
        base=base_text(figure, found.total),
        change=change_text(figure, change),
        direction=change.direction if change else "",
        tone={"better": "ok", "worse": "critical"}.get(change.tone if change else "", "neutral"),
        url=address(figure.key, found.scope.start, found.scope.end),
        bars=bars,
        last=next((bar for bar in reversed(bars) if bar.height), None),
        ticks=ticks,
        box=BOX,
    )


def _bars(
    figure: Figure, found: Insights, address: Address
) -> tuple[tuple[Bar, ...], tuple[tuple[float, str], ...]]:
    values = [value_of(figure, month.figures, 1.0) for month in found.monthly]
    medians = [getattr(month.figures, figure.median) if figure.median else None for month in found.monthly]
    known = [value for value in (*values, *medians) if value is not None]
    top = 1.0 if figure.unit == "ratio" else max(known, default=0.0) or 1.0
    place = BOX[0] / max(len(found.monthly), 1)
    every = -(-len(found.monthly) // LABELS)

    def height(of: float) -> float:
        return round(of / top * BOX[1] * (1 - HEADROOM), 1)

    bars = []
    for number, month in enumerate(found.monthly):
        value, median, last = values[number], medians[number], number == len(found.monthly) - 1
        tall = 0.0 if value is None else max(height(value), 1.0)
        start = max(month.start, found.scope.start)
        end = min(month_after(month.start), found.scope.end)
        bars.append(
            Bar(
                x=round((number + GAP / 2) * place, 1),
                y=round(BOX[1] - tall, 1),
                width=round(place * (1 - GAP), 1),
                height=tall,
                median_y=None if median is None else round(BOX[1] - height(median), 1),
                label=f"{month.start:%b}" if (len(found.monthly) - 1 - number) % every == 0 else "",
                month=f"{month.start:%B %Y}{' so far' if last and end < month_after(month.start) else ''}",
                text=value_text(figure, value),
                median=_median_text(figure, month.figures),
                base=base_text(figure, month.figures),
                url=address(figure.key, start, end),
                last=last,
            )
        )
    return tuple(bars), tuple(
        (round(BOX[1] - height(at), 1), value_text(figure, at)) for at in _ticks(figure, top)
    )


def _ticks(figure: Figure, top: float) -> list[float]:
    if figure.unit == "ratio":
        return [0.5, 1.0]
    if figure.unit == "seconds":
        step = next((step for step in _ROUND_SECONDS if top / step <= 3), None)
        return value_ticks(top)[-2:] if step is None else [step * n for n in (1, 2, 3) if step * n <= top]
    return value_ticks(top, whole=True)


def _median_text(figure: Figure, figures: Figures) -> str:
    if not figure.median:
        return ""
    value = getattr(figures, figure.median)
    return NOTHING if value is None else duration_text(value)


def span_text(start: dt.datetime, end: dt.datetime) -> str:
    """`1 Apr 2025 to 20 Mar 2026`, of UTC, both days included."""
    last = end - dt.timedelta(microseconds=1)
    return f"{start.day} {start:%b %Y} to {last.day} {last:%b %Y}"
