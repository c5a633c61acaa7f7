"""How well a service performs, as one number from 0 to 100.

Source: seed, Performance Rollback Triggers (the thresholds and when they mean a rollback) and Performance
Rollback Procedure ("below a score of 70"); the seed does not say how the score is made, this module does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from incidents.playbook import Limits
from incidents.states import metric_name

WELL = 100
AT_THE_LAST_LIMIT = 50
"""Also the highest score there is while something is critical."""


@dataclass(frozen=True)
class Part:
    """What one metric contributes; `score` is 0..100."""

    metric: str
    value: float
    score: float
    is_warning: bool
    is_critical: bool


@dataclass(frozen=True)
class Score:
    """`value` is 0..100, or None where too little is measured: that is no low score, a person decides."""

    value: int | None
    parts: tuple[Part, ...]
    reason: str


def performance_score(
    values: Mapping[str, float | None],
    limits: Mapping[str, Limits],
    *,
    warnings_that_make_critical: int = 3,
) -> Score:
    """Score what is measured (`values`, in the units of `limits`) against a policy's limits.

    Each measured metric scores 100 up to its first limit, falls evenly to 50 at its last one and to 0
    at twice the last; the score is their mean, rounded down. One metric above its critical limit, or
    `warnings_that_make_critical` above their first, hold it at 50 at most. All comparisons are strict, as
    everywhere. Without half of the policy's metrics there is no score.
    """
    parts = tuple(
        _part(metric, value, limits[metric])
        for metric in sorted(limits)
        if (value := values.get(metric)) is not None and not math.isnan(value)
    )
    if not parts or 2 * len(parts) < len(limits):
        unmeasured = set(limits) - {part.metric for part in parts}
        missing = ", ".join(sorted(map(metric_name, unmeasured)))
        return Score(None, parts, f"too little is measured for a score: no recent value of {missing}")
    mean = sum(part.score for part in parts) / len(parts)
    warnings = sum(part.is_warning for part in parts)
    held = any(part.is_critical for part in parts) or warnings >= warnings_that_make_critical
    value = math.floor(min(mean, AT_THE_LAST_LIMIT) if held else mean)
    return Score(value, parts, _reason(parts, warnings, warnings_that_make_critical))


def _part(metric: str, value: float, limits: Limits) -> Part:
    given = [limit for limit in (limits.warning, limits.high, limits.critical) if limit is not None]
    first, last = min(given), max(given)
    return Part(
        metric,
        value,
        _falling(value, first, last),
        is_warning=value > first,
        is_critical=limits.critical is not None and value > limits.critical,
    )


def _falling(value: float, first: float, last: float) -> float:
    if value <= first:
        return WELL
    if value <= last:
        return WELL - (WELL - AT_THE_LAST_LIMIT) * (value - first) / (last - first)
    if last == 0:
        return 0.0
    return max(0.0, AT_THE_LAST_LIMIT * (2 - value / last))


def _reason(parts: tuple[Part, ...], warnings: int, warnings_that_make_critical: int) -> str:
    said = ", ".join(f"{metric_name(part.metric)} {part.score:.0f}" for part in parts)
    if critical := [metric_name(part.metric) for part in parts if part.is_critical]:
        return f"{said}; {', '.join(critical)} above critical"
    if warnings >= warnings_that_make_critical:
        return f"{said}; {warnings} warnings at once are critical"
    return said
