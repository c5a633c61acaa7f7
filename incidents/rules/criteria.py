"""What the criteria recommend. Source: seed, Manual Rollback Criteria; rulings, Thresholds and severities."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from incidents.playbook import Criteria, Criterion, Degradation
from incidents.states import Tier

CHECKED = "decision.criteria_checked"  # the event of a check
MOST_DEGRADED = 1000  # percent that can be given; ten times as slow is a failure, not a degradation
NONE = "none"
JUDGEMENT = "judgement needed"


@dataclass(frozen=True)
class Recommendation:
    """The strongest tier that is met, or "none"; `matched` are the keys of all that is met, strongest first.

    `text` says it for people, also where a measured degradation lies between the tiers.
    """

    recommendation: str
    matched: tuple[str, ...]
    text: str


def recommend(
    criteria: Criteria, ticked: Collection[str], degradation_percent: int | None = None
) -> Recommendation:
    """One met criterion of a tier is enough. A criterion is met when it is ticked or measured."""
    met = [
        (tier, criterion)
        for tier, criterion in _all(criteria)
        if criterion.key in ticked or _is_measured(criterion, degradation_percent)
    ]
    strongest = met[0][0] if met else None
    said = criteria.root[strongest].name if strongest else "No criterion is met"
    if _is_between_tiers(criteria, degradation_percent):
        said += f"; a degradation of {degradation_percent} % is in no tier: {JUDGEMENT}"
    return Recommendation(
        recommendation=strongest.value if strongest else NONE,
        matched=tuple(criterion.key for _tier, criterion in met),
        text=said,
    )


def contradicted(
    criteria: Criteria, ticked: Collection[str], degradation_percent: int | None
) -> tuple[str, ...]:
    """The texts of ticked criteria that the measured degradation does not meet."""
    if degradation_percent is None:
        return ()
    return tuple(
        criterion.text
        for _tier, criterion in _all(criteria)
        if criterion.degradation
        and criterion.key in ticked
        and not _is_measured(criterion, degradation_percent)
    )


def unknown(criteria: Criteria, ticked: Collection[str]) -> tuple[str, ...]:
    """What is ticked, but no criterion."""
    known = {criterion.key for _tier, criterion in _all(criteria)}
    return tuple(key for key in ticked if key not in known)


def _all(criteria: Criteria) -> Iterator[tuple[Tier, Criterion]]:
    """Every criterion with its tier, the strongest first."""
    for tier in Tier:
        for criterion in criteria.root[tier].criteria:
            yield tier, criterion


def _is_measured(criterion: Criterion, percent: int | None) -> bool:
    return (
        percent is not None and criterion.degradation is not None and _holds(criterion.degradation, percent)
    )


def _holds(degradation: Degradation, percent: int) -> bool:
    """Strictly above or strictly below, as every threshold; nothing at all is no degradation."""
    if degradation.above is not None:
        return percent > degradation.above
    return degradation.below is not None and 0 < percent < degradation.below


def _is_between_tiers(criteria: Criteria, percent: int | None) -> bool:
    """There is a degradation, the criteria speak of degradations, and it meets none of them."""
    if not percent:
        return False
    bounds = [criterion.degradation for _tier, criterion in _all(criteria) if criterion.degradation]
    return bool(bounds) and not any(_holds(degradation, percent) for degradation in bounds)
