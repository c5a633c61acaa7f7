"""Where an axis is marked: round times and round values."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator

TICKS = 8  # of a time axis, at most
DAY = 86_400
_ROUND = (
    10,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    14_400,
    21_600,
    43_200,
    DAY,
    2 * DAY,
    5 * DAY,
)


def time_ticks(start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, str]]:
    """Round times of UTC between two moments, with what stands there: `14:10`, at midnight the day."""
    span = (end - start).total_seconds()
    step = next((step for step in _ROUND if span / step <= TICKS), _ROUND[-1])
    at = math.ceil(start.timestamp() / step) * step
    while at <= end.timestamp():
        moment = dt.datetime.fromtimestamp(at, dt.UTC)
        midnight = at % DAY == 0
        yield (
            moment,
            day_text(moment) if midnight else f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}",
        )
        at += step


def day_text(at: dt.datetime) -> str:
    """`Mon 23 Nov`, of UTC."""
    at = at.astimezone(dt.UTC)
    return f"{at:%a} {at.day} {at:%b}"


def value_ticks(high: float, *, whole: bool = False) -> list[float]:
    """Up to four round values up to `high`, zero left out; with `whole` no fractions."""
    rough = high / 4
    if not math.isfinite(rough) or rough < 1e-300:
        return []
    if whole:
        rough = max(rough, 1.0)
    size = 10.0 ** math.floor(math.log10(rough))
    steps = (size * factor for factor in (1, 2, 2.5, 5, 10))
    step = next(step for step in steps if step >= rough and not (whole and step % 1))
    return [step * n for n in range(1, 5) if step * n <= high]
