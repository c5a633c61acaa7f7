"""Which incidents of the past are like another one, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOST_SHOWN = 5
LEAST_SCORE = 2.0
# A release that made trouble before says more than anything; a metric alone says nothing.
OF_A_RELEASE, OF_A_SERVICE, OF_A_METRIC, MOST_OF_WORDS = 5.0, 2.0, 1.5, 4.0
LEAST_OF_A_WORD = 0.15  # of words that say less no more is said
# A word that one incident in a thousand has, or that nobody has counted, counts whole.
RARE = 0.001
WORDS_NAMED = 4


@dataclass(frozen=True)
class Traits:
    """What an incident is compared by. `words` are stems, `releases` such as "shop 2.0.0"."""

    key: int
    services: frozenset[int] = frozenset()
    metrics: frozenset[str] = frozenset()
    releases: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Likeness:
    """How alike two incidents are, and what they share, the weightiest words first."""

    key: int
    score: float
    releases: tuple[str, ...]
    services: tuple[int, ...]
    metrics: tuple[str, ...]
    words: tuple[str, ...]


def weight_of(frequency: float | None) -> float:
    """How much a word says, 0..1, by the share of incidents that have it (None: too few to be counted)."""
    if frequency is None or frequency <= RARE:
        return 1.0
    return max(0.0, min(1.0, math.log(frequency) / math.log(RARE)))


def likeness(this: Traits, other: Traits, frequencies: Mapping[str, float]) -> Likeness:
    """What two incidents share; it does not matter which of them is which."""
    weights = {word: weight_of(frequencies.get(word)) for word in this.words & other.words}
    said = {word: weight for word, weight in weights.items() if weight >= LEAST_OF_A_WORD}
    releases, services = this.releases & other.releases, this.services & other.services
    metrics = this.metrics & other.metrics
    score = min(MOST_OF_WORDS, math.fsum(said.values()))
    score += OF_A_RELEASE * bool(releases) + OF_A_SERVICE * bool(services) + OF_A_METRIC * bool(metrics)
    words = sorted(said, key=lambda word: (-said[word], word))
    return Likeness(
        key=other.key,
        score=score,
        releases=tuple(sorted(releases)),
        services=tuple(sorted(services)),
        metrics=tuple(sorted(metrics)),
        words=tuple(words[:WORDS_NAMED]),
    )


def most_alike(this: Traits, others: Iterable[Traits], frequencies: Mapping[str, float]) -> list[Likeness]:
    """The most alike first, of equals the newest; itself is never among them."""
    found = (likeness(this, other, frequencies) for other in others if other.key != this.key)
    enough = [one for one in found if one.score >= LEAST_SCORE]
    return sorted(enough, key=lambda one: (-one.score, -one.key))
