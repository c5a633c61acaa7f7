"""How bad a measurement is, and when a monitor believes it. Source: seed, both threshold tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from incidents.playbook import Confirmation, Limits, Share
from incidents.states import MonitorLevel, SampleOutcome

FAILED = (SampleOutcome.ERROR,)
_ORDER = (MonitorLevel.OK, MonitorLevel.WARNING, MonitorLevel.HIGH, MonitorLevel.CRITICAL)


@dataclass(frozen=True)
class Measured:
    """A past sample as far as the rule needs it."""

    outcome: SampleOutcome
    level: MonitorLevel


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
        if limit is not None and (value > limit if limits.direction == "above" else value < limit):
            return level
    return MonitorLevel.OK


def rank(level: MonitorLevel) -> int:
    """0 is well, 3 is critical; "no answer" ranks with critical, since nobody can say."""
    return 3 if level is MonitorLevel.UNKNOWN else _ORDER.index(level)


def believed_level(
    newest_first: Sequence[Measured], *, current: MonitorLevel, rules: Confirmation
) -> MonitorLevel:
    """The monitor's level after its latest samples.

    No data says nothing, neither good nor bad. A level rises when enough of the latest answers are
    at it or worse, falls only after `rules.clear` good answers in a row, and becomes UNKNOWN after
    `rules.unanswered` failed checks in a row.
    """
    if not newest_first or newest_first[0].outcome is SampleOutcome.NO_DATA:
        return current
    if newest_first[0].outcome is SampleOutcome.ERROR:
        silent = newest_first[: rules.unanswered]
        all_failed = len(silent) == rules.unanswered and all(s.outcome is SampleOutcome.ERROR for s in silent)
        return MonitorLevel.UNKNOWN if all_failed else current
    answers = [sample.level for sample in newest_first if sample.outcome is SampleOutcome.OK]
    risen = _risen(answers, rules)
    if current is MonitorLevel.UNKNOWN:
        return risen
    if rank(risen) >= rank(current):
        return risen
    good = answers[: rules.clear]
    is_clear = len(good) == rules.clear and all(level is MonitorLevel.OK for level in good)
    return MonitorLevel.OK if is_clear else current


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


def samples_needed(rules: Confirmation) -> int:
    """How many of the latest samples `believed_level` looks at."""
    return max(rules.critical.of, rules.high.of, rules.warning.of, rules.clear, rules.unanswered)
