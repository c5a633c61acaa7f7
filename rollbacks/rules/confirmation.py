"""Whether a single critical measurement was confirmed by those after it, before anything is changed."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from incidents.states import MonitorLevel


class Answer(enum.Enum):
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    OPEN = "open"


@dataclass(frozen=True)
class Judged:
    """`critical` of the `measured` measurements that count were critical."""

    answer: Answer
    critical: int
    measured: int


def judge_breach(levels: Sequence[MonitorLevel], *, needed: int, of: int) -> Judged:
    """Judge by the levels of the breaching measurement and those after it, in order; only `of` count.

    What is confirmed or refuted once stays so, whatever comes later. Source: rulings, Thresholds; the
    order of work: 2 of 3.
    """
    counted = levels[:of]
    critical = sum(level is MonitorLevel.CRITICAL for level in counted)
    if critical >= needed:
        answer = Answer.CONFIRMED
    elif len(counted) - critical > of - needed:
        answer = Answer.REFUTED
    else:
        answer = Answer.OPEN
    return Judged(answer, critical, len(counted))


def seconds_to_confirm(within: float, *, interval_seconds: int, pushed: bool) -> float:
    """How long a breach may wait for its confirmation.

    Nobody can ask a push source for its next measurements: it gets the time that two more need.
    """
    return max(within, 2.0 * interval_seconds + 10.0) if pushed else within
