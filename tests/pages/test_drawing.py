"""Samples as lines: the arithmetic of sparklines, charts and spans of time."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.playbook import Limits
from incidents.selectors.charts import CHART_BOX, Moment, Point, draw_chart
from incidents.selectors.durations import duration_text

START = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
LIMITS = Limits(high=0.02, critical=0.05)
VALUES = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=30)


def points_of(values: list[float]) -> list[Point]:
    return [Point(START + dt.timedelta(seconds=i), value) for i, value in enumerate(values)]


@given(VALUES)
def test_whatever_was_measured_the_line_stays_in_the_box(values: list[float]) -> None:
    chart = draw_chart(
        metric="queue", label="Queue", level="ok", points=points_of(values), limits=LIMITS, moments=()
    )
    drawn = [tuple(map(float, pair.split(","))) for pair in chart.points.split()]
    assert len(drawn) >= len(values)
    for x, y in drawn:
        assert 0 <= x <= CHART_BOX[0]
        assert 0 <= y <= CHART_BOX[1]
    assert all(0 <= y <= CHART_BOX[1] for y, _label, _level in chart.thresholds)


def test_a_value_above_its_threshold_is_drawn_above_the_line() -> None:
    chart = draw_chart(
        metric="error_rate", label="Error rate", level="critical", points=points_of([0.01, 0.2]), limits=LIMITS,
        moments=[
            Moment(START + dt.timedelta(seconds=1), "2.0.0", "release"),
            Moment(START - dt.timedelta(days=1), "1.9.0", "release"),
        ],
    )  # fmt: skip
    first, last = (float(pair.split(",")[1]) for pair in chart.points.split())
    (high, label, level), (critical, *_rest) = chart.thresholds
    assert (label, level) == ("high 2 %", "high")
    assert 10 < last < critical < high < first < 155  # y grows downwards; the highest uses the box
    assert last < 30
    assert [mark[1] for mark in chart.marks] == ["2.0.0"]
    assert chart.value_text == "20 %"


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
