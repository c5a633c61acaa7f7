"""Samples as lines: the arithmetic of sparklines, charts, axes and spans of time."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import re
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from incidents.playbook import Limits
from incidents.selectors.axes import TICKS, time_ticks, value_ticks
from incidents.selectors.charts import (
    CHART_BOX,
    HINTS,
    ROWS,
    Chart,
    Moment,
    Scale,
    draw_chart,
    line_path,
    spark_path,
)
from incidents.selectors.series import STEPS, Recent, Slot, gap_after
from incidents.values import duration_text

START = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
LIMITS = Limits(high=0.02, critical=0.05)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.lists(st.one_of(st.none(), FLOATS), max_size=30)
MINUTE = dt.timedelta(minutes=1)


def slots_of(values: Sequence[float | None], *, every: dt.timedelta = MINUTE) -> list[Slot]:
    """One sample each; None is a failed check."""
    return [
        Slot(START + i * every, value, value, value, 1, int(value is None)) for i, value in enumerate(values)
    ]


def draw(slots: Sequence[Slot], **change: Any) -> Chart:
    given: dict[str, Any] = {
        "key": "chart-1", "metric": "error_rate", "label": "Error rate", "level": "ok", "value": 0.1,
        "slots": slots, "start": START, "end": START + dt.timedelta(hours=1), "step": dt.timedelta(seconds=15),
        "interval_seconds": 60, "limits": LIMITS, "moments": (),
    }  # fmt: skip
    return draw_chart(**(given | change))


def points(path: str) -> list[list[tuple[float, float]]]:
    """The points of each stretch of a path."""
    stretches = [part for part in path.split("M") if part]
    return [
        [(float(x), float(y)) for x, y in re.findall(r"([-\d.e]+),([-\d.e]+)", part)] for part in stretches
    ]


@given(VALUES)
@example([sys.float_info.max] * 3)
def test_whatever_was_measured_the_line_stays_in_the_box(values: list[float | None]) -> None:
    chart = draw(slots_of(values), metric="queue")
    drawn = [point for stretch in points(chart.line) for point in stretch]
    assert len(drawn) == sum(value is not None for value in values)
    for x, y in drawn:
        assert 0 <= x <= CHART_BOX[0]
        assert 0 <= y <= CHART_BOX[1]
    assert all(0 <= limit.y <= CHART_BOX[1] for limit in chart.thresholds)
    assert all(0 <= y <= CHART_BOX[1] for y, _text in chart.values)
    assert all(shade.x >= 0 and shade.x + shade.width <= CHART_BOX[0] + 1 for shade in chart.unanswered)
    assert len(chart.hints) <= HINTS and len(chart.rows) <= ROWS
    assert not re.search(r"\b(nan|inf)\b", repr(chart))


@given(st.lists(st.tuples(FLOATS, FLOATS, FLOATS), max_size=20))
def test_the_band_lies_around_the_line(values: list[tuple[float, float, float]]) -> None:
    found = [sorted(three) for three in values]
    slots = [Slot(START + i * MINUTE, low, mean, high) for i, (low, mean, high) in enumerate(found)]
    chart = draw(slots, metric="queue")
    for line, band in zip(points(chart.line), points(chart.band), strict=False):
        above, below = band[: len(line)], band[len(line) :][::-1]
        for (_, high), (_, mean), (_, low) in zip(above, line, below, strict=True):
            assert high <= mean <= low  # y grows downwards


def test_a_value_above_its_threshold_is_drawn_above_the_line() -> None:
    chart = draw(
        slots_of([0.01, 0.14]), level="critical", value=0.14,
        moments=[
            Moment(START + MINUTE, "2.0.0", "release"),
            Moment(START - dt.timedelta(days=1), "1.9.0", "release"),
        ],
    )  # fmt: skip
    (((_, first), (_, last)),) = points(chart.line)
    high, critical = chart.thresholds
    assert (high.label, high.level) == ("high 2 %", "high")
    assert 10 < last < critical.y < high.y < first < 155  # the highest uses the box
    assert last < 30
    assert [mark.label for mark in chart.marks] == ["2.0.0"]
    assert chart.value_text == "14 %"


def test_a_hole_is_drawn_as_a_hole_and_a_lone_value_as_a_dot() -> None:
    values = slots_of([0.01] * 20)
    chart = draw([*values[:5], *values[9:12], values[15]])
    assert [len(stretch) for stretch in points(chart.line)] == [5, 3, 1]
    assert chart.line.endswith("h0")  # a round cap makes it a dot
    assert chart.unanswered == ()  # nobody looked: that is no failed check


def test_a_check_that_is_late_makes_no_hole() -> None:
    late = [Slot(START + dt.timedelta(seconds=s), 1.0, 1.0, 1.0) for s in (0, 60, 130, 180, 283)]
    assert [len(stretch) for stretch in points(draw(late).line)] == [5]
    rare = slots_of([1.0] * 5, every=dt.timedelta(hours=1))
    assert len(points(draw(rare, end=START + dt.timedelta(hours=6), interval_seconds=3600).line)) == 1


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 9]), st.one_of(st.none(), FLOATS)), max_size=30))
def test_a_small_line_is_the_large_one_made_smaller(seen: list[tuple[int, float | None]]) -> None:
    times = [START + n * MINUTE for n in itertools.accumulate(after for after, _value in seen)]
    values = [value for _after, value in seen]
    end = (times or [START])[-1] + MINUTE
    known = [value for value in values if value is not None]
    scale = Scale(
        (times or [START])[0], end, min([0.0, *known]), max(known, default=1.0) or 1.0, (120.0, 32.0)
    )
    slots = [Slot(at, value, value, value) for at, value in zip(times, values, strict=True)]
    recent = Recent([at.timestamp() for at in times], values)
    assert spark_path(recent, scale, 2 * MINUTE) == line_path(slots, scale, 2 * MINUTE)


def test_slots_of_many_samples_are_joined_unless_a_whole_one_is_missing() -> None:
    every = dt.timedelta(minutes=5)
    slots = slots_of([0.01] * 20, every=every)
    del slots[7]
    chart = draw(slots, step=every, end=START + dt.timedelta(hours=2))
    assert [len(stretch) for stretch in points(chart.line)] == [7, 12]


def test_failed_checks_break_the_line_and_are_shaded_together() -> None:
    chart = draw(slots_of([0.01, 0.01, None, None, None, 0.01, None, 0.01]))
    assert [len(stretch) for stretch in points(chart.line)] == [2, 1, 1]
    per_minute = CHART_BOX[0] / 60
    assert [shade.width / per_minute for shade in chart.unanswered] == pytest.approx([3, 1], abs=0.1)
    assert "4 without an answer" in chart.summary
    between = draw(slots_of([0.01, None, 0.01], every=dt.timedelta(seconds=20)))
    assert [len(stretch) for stretch in points(between.line)] == [1, 1]  # however close the others are


def test_a_threshold_far_above_everything_is_named_and_does_not_flatten_the_line() -> None:
    limits = Limits(warning=200, high=5_000, critical=10_000)
    chart = draw(slots_of([100, 150, 120]), metric="response_time", limits=limits)
    assert [limit.level for limit in chart.thresholds] == ["warning"]
    assert chart.beyond_text == "high 5 s, critical 10 s"
    ((first, *_rest),) = points(chart.line)
    assert first[1] < 100  # well up in the picture
    none_near = draw(slots_of([1, 2]), metric="response_time", limits=limits)
    assert none_near.thresholds == ()
    assert none_near.beyond_text == "warning 200 ms, high 5 s, critical 10 s"
    assert len(draw(slots_of([0, 0]), metric="response_time", limits=limits).thresholds) == 1
    reached = draw(slots_of([100, 4_000]), metric="response_time", limits=limits)
    assert [limit.level for limit in reached.thresholds] == ["warning", "high", "critical"]
    assert reached.beyond_text == ""


def test_labels_of_thresholds_that_lie_close_stand_side_by_side() -> None:
    high, critical = draw(slots_of([0.4])).thresholds
    assert high.y - critical.y < 18 and critical.label_x > 50
    high, critical = draw(slots_of([0.04])).thresholds
    assert high.y - critical.y > 18 and high.label_x == critical.label_x == 2


def test_where_less_is_worse_the_thresholds_lie_below() -> None:
    limits = Limits(warning=30, critical=7, direction="below")
    chart = draw(slots_of([80, 79, 5]), metric="days", limits=limits)
    ((_first, well, bad),) = points(chart.line)
    warning, critical = chart.thresholds
    assert well[1] < warning.y < critical.y < bad[1]


def test_nothing_measured_is_said_and_not_drawn() -> None:
    chart = draw([], value=None)
    assert (chart.line, chart.band, chart.rows, chart.hints) == ("", "", (), ())
    assert chart.summary == "Nothing was measured in this time."
    assert [limit.level for limit in chart.thresholds] == ["high", "critical"]
    assert draw([], limits=None).thresholds == ()


def test_labels_of_marks_never_lie_on_each_other() -> None:
    moments = [Moment(START + n * MINUTE, f"2.0.{n}", "release") for n in range(0, 60, 2)]
    chart = draw(slots_of([0.01] * 60), moments=moments)
    assert len(chart.marks) == 30
    labelled = [mark for mark in chart.marks if mark.label_y is not None]
    assert 8 <= len(labelled) < 30
    for y in {mark.label_y for mark in labelled}:
        begun = sorted(mark.x - 45 * mark.before for mark in labelled if mark.label_y == y)
        assert all(after - before >= 44 for before, after in itertools.pairwise(begun))


def test_where_there_is_little_room_an_incident_is_named_before_releases() -> None:
    at = START + dt.timedelta(minutes=30)
    moments = [Moment(at + dt.timedelta(seconds=n), f"2.0.{n}", "release") for n in range(9)]
    moments.append(Moment(at + dt.timedelta(seconds=9), "P0", "incident", "P0 INC-1 declared"))
    chart = draw(slots_of([0.01] * 60), moments=moments)
    assert chart.marks[-1].label_y == -6
    assert [mark.label for mark in chart.marks if mark.label_y is not None] == [
        "2.0.6",
        "2.0.7",
        "2.0.8",
        "P0",
    ]
    assert "P0 INC-1 declared" in next(hint.text for hint in chart.hints if "2.0.8" in hint.text)


def test_the_table_and_the_hints_say_what_the_picture_shows() -> None:
    chart = draw(slots_of([0.01, 0.03, None, 0.02]))
    first = chart.rows[0]
    assert (first.text, first.mean, first.unanswered) == ("12:00:00 to 12:03:00", "2 %", 1)
    assert chart.hints[0].text == "12:00:00 UTC: 1 %"
    assert "12:02:00 UTC: no data; 1 of 1 without an answer" in [hint.text for hint in chart.hints]
    week = draw(slots_of([0.01]), end=START + dt.timedelta(days=7))
    assert week.rows[0].text == "Mon 23 Nov, 12:00"


@given(st.floats(1, 31 * 86_400))
def test_an_axis_of_time_has_a_few_round_marks(seconds: float) -> None:
    end = START + dt.timedelta(seconds=seconds)
    ticks = list(time_ticks(START, end))
    assert len(ticks) <= TICKS + 1
    assert all(START <= at <= end for at, _text in ticks)
    assert len(ticks) >= 2 or seconds < 60


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (1, ["12:00", "12:10", "12:20", "12:30", "12:40", "12:50", "13:00"]),
        (24, ["12:00", "15:00", "18:00", "21:00", "Tue 24 Nov", "03:00", "06:00", "09:00", "12:00"]),
        (72, ["12:00", "Tue 24 Nov", "12:00", "Wed 25 Nov", "12:00", "Thu 26 Nov", "12:00"]),
    ],
)
def test_round_times(hours: int, expected: list[str]) -> None:
    assert [text for _at, text in time_ticks(START, START + dt.timedelta(hours=hours))] == expected


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_an_axis_of_values_has_a_few_round_marks(high: float) -> None:
    ticks = value_ticks(high)
    assert len(ticks) <= 4
    assert all(0 < tick <= high and math.isfinite(tick) for tick in ticks)
    assert len(ticks) >= 2 or high < 1e-290
    assert all(tick % 1 == 0 for tick in value_ticks(high, whole=True))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (86_400, "24 h"),
        (183_600, "2 d 3 h"),
        (-5, "0 s"),
    ],
)
def test_spans_of_time_in_words(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@given(
    st.sampled_from([1, 5, 10, 60, 300]),
    st.sampled_from(STEPS),
    st.lists(st.floats(-0.1, 0.1), min_size=40, max_size=40),
)
def test_checks_that_come_a_little_early_or_late_leave_no_hole(
    interval: int, step: dt.timedelta, early_or_late: list[float]
) -> None:
    """Thinned as the database does it, a slot is where its last sample was."""
    times = [(number + by) * interval for number, by in enumerate(early_or_late, 1)]
    last_of = {int(at / step.total_seconds()): at for at in times}
    apart = [later - earlier for earlier, later in itertools.pairwise(last_of.values())]
    gap = gap_after(interval, step).total_seconds()
    assert max(apart, default=0) <= gap
    if step.total_seconds() <= interval:
        assert gap < 3 * interval, "two checks that did not come are a hole"
