"""Whether a service has stayed well while it was watched."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incidents.states import MonitorLevel, SampleOutcome


class SoakVerdict(enum.Enum):
    WATCHING = "watching"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True)
class Watched:
    """One sample of one monitor inside the soak."""

    at: dt.datetime
    outcome: SampleOutcome
    level: MonitorLevel


def judge_soak(
    samples: Mapping[str, Sequence[Watched]],
    *,
    started_at: dt.datetime,
    ends_at: dt.datetime,
    settle_seconds: float,
    now: dt.datetime,
) -> tuple[SoakVerdict, str]:
    """Judge by each monitor's samples after the settling time; returns the verdict and its reason.

    A critical sample fails at once. At the end every monitor must have answered and its last answer
    must be well; a monitor that has not answered yet extends the watch up to its planned length
    again, then it fails: no data is never good.
    """
    counted_from = started_at + dt.timedelta(seconds=settle_seconds)
    late = ends_at + (ends_at - started_at)
    waiting = []
    for name, seen in samples.items():
        answers = [s for s in seen if s.at >= counted_from and s.outcome is SampleOutcome.OK]
        if any(s.level is MonitorLevel.CRITICAL for s in answers):
            return SoakVerdict.FAILED, f"{name} was critical during the soak"
        if not answers or max(answers, key=lambda s: s.at).level is not MonitorLevel.OK:
            waiting.append(name)
    if now < ends_at:
        return SoakVerdict.WATCHING, "watching"
    if not waiting:
        return (
            SoakVerdict.PASSED,
            f"{len(samples)} monitor{'s' if len(samples) > 1 else ''} stayed well"
            if samples
            else "no monitor to watch",
        )
    if now < late:
        return SoakVerdict.WATCHING, f"waiting for a good answer of {', '.join(sorted(waiting))}"
    return SoakVerdict.FAILED, f"no good answer of {', '.join(sorted(waiting))} during the soak"
