"""The figures of what happened: what each means, over which span, and how it moved. Pure.

Source: rulings, Figures.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

DEFAULT_MONTHS = 12
PERIODS = (3, 6, 12)  # months that the page offers, the one under way among them
YEARS = range(2000, 2101)
BY = ("severity", "service", "trigger")
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")

Unit = Literal["count", "seconds", "ratio", "per_month"]
Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Figures:
    """What was counted and measured in one span, drills left out; durations are in seconds.

    A mean, a median or a ratio is None where there is nothing to divide by.
    """

    incidents: int = 0
    acknowledged: int = 0
    mtta_seconds: float | None = None
    mtta_median_seconds: float | None = None
    resolved: int = 0
    mttr_seconds: float | None = None
    mttr_median_seconds: float | None = None
    responses_due: int = 0
    responses_in_time: int = 0
    rollbacks: int = 0
    rollbacks_decided: int = 0
    rollbacks_succeeded: int = 0
    mean_time_to_rollback_seconds: float | None = None
    median_time_to_rollback_seconds: float | None = None
    judged: int = 0
    judged_false: int = 0

    @property
    def response_attainment(self) -> float | None:
        return _ratio(self.responses_in_time, self.responses_due)

    @property
    def rollback_success_rate(self) -> float | None:
        return _ratio(self.rollbacks_succeeded, self.rollbacks_decided)

    @property
    def false_positive_rate(self) -> float | None:
        return _ratio(self.judged_false, self.judged)

    def frequency(self, months: float) -> float | None:
        """Rollbacks a month over so many months."""
        return self.rollbacks / months if months > 0 else None


@dataclass(frozen=True)
class Figure:
    """One figure: `field` (and `median`) is where it stands in Figures.

    `base` says what it rests on, such as `12 resolved`, and `base_field` where that number stands.
    """

    key: str
    label: str
    unit: Unit
    about: Literal["incidents", "rollbacks"]
    better: Better
    field: str
    definition: str
    base: str = ""
    base_field: str = ""
    median: str = ""


FIGURES = {
    one.key: one
    for one in (
        Figure(
            "incidents",
            "Incidents",
            "count",
            "incidents",
            "lower",
            "incidents",
            "Incidents declared. One that was reopened counts once, in the month of its first declaration.",
        ),
        Figure(
            "response_attainment",
            "Response attainment",
            "ratio",
            "incidents",
            "higher",
            "response_attainment",
            "Acknowledged in time ÷ due. Due: acknowledged, or the response time ran out. In time: before it"
            " ran out, as it stood then.",
            "due",
            "responses_due",
        ),
        Figure(
            "mtta",
            "Time to acknowledge",
            "seconds",
            "incidents",
            "lower",
            "mtta_seconds",
            "Acknowledged − declared, of what was acknowledged.",
            "acknowledged",
            "acknowledged",
            "mtta_median_seconds",
        ),
        Figure(
            "mttr",
            "Time to recovery",
            "seconds",
            "incidents",
            "lower",
            "mttr_seconds",
            "Resolved − declared, of what is resolved. Reopened: from the first declaration to the last"
            " resolution.",
            "resolved",
            "resolved",
            "mttr_median_seconds",
        ),
        Figure(
            "rollback_frequency",
            "Rollbacks a month",
            "per_month",
            "rollbacks",
            "lower",
            "rollbacks",
            "Rollbacks asked for, whatever became of them, ÷ months. The month under way counts with its"
            " share so far.",
            "asked for",
            "rollbacks",
        ),
        Figure(
            "rollback_success_rate",
            "Rollback success",
            "ratio",
            "rollbacks",
            "higher",
            "rollback_success_rate",
            "Succeeded ÷ (succeeded + failed + handed over + resolved by hand). What was rejected, expired or"
            " cancelled is none of these.",
            "ended so",
            "rollbacks_decided",
        ),
        Figure(
            "time_to_rollback",
            "Time to roll back",
            "seconds",
            "rollbacks",
            "lower",
            "mean_time_to_rollback_seconds",
            "Completed − asked for, of those that succeeded.",
            "succeeded",
            "rollbacks_succeeded",
            "median_time_to_rollback_seconds",
        ),
        Figure(
            "false_positive_rate",
            "False positives",
            "ratio",
            "rollbacks",
            "lower",
            "false_positive_rate",
            "Judged unnecessary ÷ judged, of those that automation started.",
            "judged",
            "judged",
        ),
    )
}


@dataclass(frozen=True)
class Scope:
    """What is looked at: declared or asked for from `start` until before `end`; empty filters: everything.

    `trigger` narrows rollbacks to those started so, and incidents to those with such a rollback.
    """

    start: dt.datetime
    end: dt.datetime
    services: tuple[str, ...] = ()
    severity: str = ""
    trigger: str = ""

    @property
    def narrowed(self) -> bool:
        return bool(self.services or self.severity or self.trigger)


@dataclass(frozen=True)
class Change:
    """How a figure differs from the span before: `direction` is up, down or same."""

    direction: Literal["up", "down", "same"]
    amount: float
    tone: Literal["better", "worse", "neutral"]


class WrongSpan(ValueError):
    """The text is no day or moment, or the span is empty."""


def read_bound(text: str, *, last: bool) -> dt.datetime:
    """`2026-11-23` stands for the whole day of UTC, an RFC 3339 time for itself; raises WrongSpan.

    A last day is part of the span, so that its bound is the midnight after it.
    """
    try:
        if _DAY.match(text):
            day = dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), dt.UTC)
            return _known(day) + dt.timedelta(days=1 if last else 0)
        at = dt.datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise WrongSpan("Give a day such as 2026-11-23, or a time with its offset: 2026-11-23T10:00:00Z.")
        return _known(at).astimezone(dt.UTC)
    except WrongSpan:
        raise
    except (ValueError, OverflowError) as error:
        raise WrongSpan("Give a day such as 2026-11-23, or a time such as 2026-11-23T10:00:00Z.") from error


def bound_text(at: dt.datetime, *, last: bool) -> str:
    """What `read_bound` was given, as short as it goes."""
    if at.time() != dt.time():
        return at.isoformat().replace("+00:00", "Z")
    return f"{at - dt.timedelta(days=1) if last else at:%Y-%m-%d}"


def span(
    first: dt.datetime | None, last: dt.datetime | None, now: dt.datetime
) -> tuple[dt.datetime, dt.datetime]:
    """From where to where; without an end until now, without a start the months of DEFAULT_MONTHS.

    What has not happened yet is no part of it. Raises WrongSpan where nothing is left.
    """
    end = now if last is None else min(last, now)
    start = months_back(end, DEFAULT_MONTHS - 1) if first is None else first
    if start >= end:
        raise WrongSpan("The beginning must lie before the end, and before now.")
    return start, end


def month_of(at: dt.datetime) -> dt.datetime:
    """The first moment of its month of UTC."""
    at = at.astimezone(dt.UTC)
    return dt.datetime(at.year, at.month, 1, tzinfo=dt.UTC)


def month_after(month: dt.datetime) -> dt.datetime:
    return dt.datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=dt.UTC)


def months_back(at: dt.datetime, count: int) -> dt.datetime:
    """The first moment of the month `count` months before that of `at`."""
    at = at.astimezone(dt.UTC)
    years, month = divmod(at.year * 12 + at.month - 1 - count, 12)
    return dt.datetime(years, month + 1, 1, tzinfo=dt.UTC)


def months_between(start: dt.datetime, end: dt.datetime) -> Iterator[dt.datetime]:
    """Every month of UTC that the span touches, the oldest first."""
    month = month_of(start)
    while month < end:
        yield month
        month = month_after(month)


def months_covered(start: dt.datetime, end: dt.datetime) -> float:
    """How many months the span is long: each month counts with the share of it that is covered."""
    total = 0.0
    for month in months_between(start, end):
        after = month_after(month)
        total += (min(end, after) - max(start, month)) / (after - month)
    return total


def value_of(figure: Figure, figures: Figures, months: float) -> float | None:
    """The figure's value, a frequency for so many months."""
    if figure.unit == "per_month":
        return figures.frequency(months)
    value = getattr(figures, figure.field)
    return None if value is None else float(value)


def record_of(figures: Figures, months: float) -> dict[str, int | float | None]:
    """The figures as programs read them, a frequency for so many months."""
    return {
        "incidents": figures.incidents,
        "acknowledged": figures.acknowledged,
        "mtta_seconds": _rounded(figures.mtta_seconds),
        "mtta_median_seconds": _rounded(figures.mtta_median_seconds),
        "resolved": figures.resolved,
        "mttr_seconds": _rounded(figures.mttr_seconds),
        "mttr_median_seconds": _rounded(figures.mttr_median_seconds),
        "responses_due": figures.responses_due,
        "responses_in_time": figures.responses_in_time,
        "response_attainment": _rounded(figures.response_attainment),
        "rollbacks": figures.rollbacks,
        "rollback_frequency_per_month": _rounded(figures.frequency(months)),
        "rollbacks_decided": figures.rollbacks_decided,
        "rollbacks_succeeded": figures.rollbacks_succeeded,
        "rollback_success_rate": _rounded(figures.rollback_success_rate),
        "mean_time_to_rollback_seconds": _rounded(figures.mean_time_to_rollback_seconds),
        "median_time_to_rollback_seconds": _rounded(figures.median_time_to_rollback_seconds),
        "judged": figures.judged,
        "judged_false": figures.judged_false,
        "false_positive_rate": _rounded(figures.false_positive_rate),
    }


def change_between(figure: Figure, now: float | None, before: float | None) -> Change | None:
    """How the figure moved; None where one of both is not there."""
    if now is None or before is None:
        return None
    difference = now - before
    if abs(difference) < 1e-9:
        return Change("same", 0.0, "neutral")
    direction: Literal["up", "down"] = "up" if difference > 0 else "down"
    good = (direction == "down") == (figure.better == "lower")
    return Change(direction, abs(difference), "better" if good else "worse")


def _known(at: dt.datetime) -> dt.datetime:
    if at.year not in YEARS:
        raise WrongSpan(f"The year must lie between {YEARS[0]} and {YEARS[-1]}.")
    return at


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
