"""How bad a measurement is, and when a monitor believes it. Source: seed, both threshold tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from incidents.playbook import Confirmation, Limits, Share
from incidents.states import MonitorLevel, SampleOutcome

FAILED = (SampleOutcome.ERROR, SampleOutcome.STALE)
SAYS_NOTHING = (SampleOutcome.NO_DATA, SampleOutcome.TOO_FEW)
_ORDER = (MonitorLevel.OK, MonitorLevel.WARNING, MonitorLevel.HIGH, MonitorLevel.CRITICAL)
WORST_FIRST = (
    MonitorLevel.CRITICAL,
    MonitorLevel.UNKNOWN,
    MonitorLevel.HIGH,
    MonitorLevel.WARNING,
    MonitorLevel.OK,
)
"""In which order people look: what is known to be critical comes before what nobody can say."""


@dataclass(frozen=True)
class Measured:
    """A past sample as far as the rule needs it; `clear` says that the value is well away from bad."""

    outcome: SampleOutcome
    level: MonitorLevel
    clear: bool = True


def level_of(value: float, limits: Limits | None) -> MonitorLevel:
    """The level of one value. Comparison is strict: exactly at a threshold is still below it."""
    if limits is None:
        return MonitorLevel.OK
    worst_first = (
        (limits.critical, MonitorLevel.CRITICAL),
        (limits.high, MonitorLevel.HIGH),
        (limits.warning, MonitorLevel.WARNING),
    )
    for limit, level in worst_first:
        if limit is not None and _beyond(value, limit, limits):
            return level
    return MonitorLevel.OK


def is_catastrophic(value: float | None, limits: Limits | None) -> bool:
    """Whether the value is so bad that nobody needs to measure again before acting."""
    return (
        value is not None
        and limits is not None
        and limits.catastrophic is not None
        and _beyond(value, limits.catastrophic, limits)
    )


def is_clear(value: float | None, limits: Limits | None, *, share: float) -> bool:
    """Whether a value lies far enough from the lowest threshold to end a complaint (hysteresis)."""
    if value is None or limits is None:
        return True
    lowest = next(v for v in (limits.warning, limits.high, limits.critical) if v is not None)
    if limits.direction == "below":
        return value >= lowest / share
    return value <= lowest * share


def _beyond(value: float, limit: float, limits: Limits) -> bool:
    return value > limit if limits.direction == "above" else value < limit


def not_raised(level: MonitorLevel, current: MonitorLevel) -> MonitorLevel:
    """The level of a sample that is no new evidence: it may keep a complaint up, not make it worse."""
    if current is MonitorLevel.UNKNOWN:
        return MonitorLevel.OK
    return min(level, current, key=rank)


def counted_before(
    value: float, at: dt.datetime, *, mark: tuple[float, dt.datetime] | None, window: dt.timedelta
) -> bool:
    """Whether a count over a window shows only events that were acted upon already.

    `mark` is the high-water mark: the count that was acted upon, and when. A burst stays in a window of
    five minutes for five minutes; only what comes on top of it is new.
    """
    return mark is not None and at - mark[1] < window and value <= mark[0]


def rank(level: MonitorLevel) -> int:
    """0 is well, 3 is critical; "no answer" ranks with critical, since nobody can say."""
    return 3 if level is MonitorLevel.UNKNOWN else _ORDER.index(level)


def worst_of(found: Iterable[MonitorLevel]) -> MonitorLevel | None:
    """What a service is called by the levels of its monitors; None without any."""
    return min(found, key=WORST_FIRST.index, default=None)


def believed_level(
    newest_first: Sequence[Measured], *, current: MonitorLevel, rules: Confirmation
) -> MonitorLevel:
    """The monitor's level after its latest samples.

    No data and too little of it say nothing, neither good nor bad. A level rises when enough of the
    latest answers are at it or worse, the newest a bad one; it falls only after `rules.clear` good answers
    in a row, and becomes UNKNOWN after `rules.unanswered` failed checks in a row.
    """
    if not newest_first or newest_first[0].outcome in SAYS_NOTHING:
        return current
    if newest_first[0].outcome in FAILED:
        silent = newest_first[: rules.unanswered]
        all_failed = len(silent) == rules.unanswered and all(s.outcome in FAILED for s in silent)
        return MonitorLevel.UNKNOWN if all_failed else current
    answers = [sample for sample in newest_first if sample.outcome is SampleOutcome.OK]
    risen = _risen([answer.level for answer in answers], rules)
    if current is MonitorLevel.UNKNOWN:
        return risen
    # What was bad before it was well is still among the latest answers: a good one makes nothing worse.
    if answers[0].level is not MonitorLevel.OK and rank(risen) >= rank(current):
        return risen
    good = answers[: rules.clear]
    over = len(good) == rules.clear and all(one.level is MonitorLevel.OK and one.clear for one in good)
    return MonitorLevel.OK if over else current


def _risen(answers: Sequence[MonitorLevel], rules: Confirmation) -> MonitorLevel:
    shares: tuple[tuple[MonitorLevel, Share], ...] = (
        (MonitorLevel.CRITICAL, rules.critical),
        (MonitorLevel.HIGH, rules.high),
        (MonitorLevel.WARNING, rules.warning),
    )
    for level, share in shares:
        if sum(rank(answer) >= rank(level) for answer in answers[: share.of]) >= share.needed:
            return level
    return MonitorLevel.OK


def asks_for_rechecks(newest_first: Sequence[Measured], *, current: MonitorLevel) -> bool:
    """Whether the latest sample is a first bad one: a failed check after answers, or a critical value
    of a monitor that was not critical."""
    if not newest_first:
        return False
    latest = newest_first[0]
    if latest.outcome in FAILED:
        return current is not MonitorLevel.UNKNOWN and all(s.outcome not in FAILED for s in newest_first[1:2])
    return latest.level is MonitorLevel.CRITICAL and current is not MonitorLevel.CRITICAL


def samples_needed(rules: Confirmation) -> int:
    """How many of the latest samples `believed_level` looks at."""
    return max(rules.critical.of, rules.high.of, rules.warning.of, rules.clear, rules.unanswered)
