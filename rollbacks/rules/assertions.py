"""Firebreak's own judgement of a service by what its monitors say."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from incidents.states import MonitorLevel, metric_name


class Judgement(enum.Enum):
    HOLDS = "holds"
    FAILS = "fails"
    UNCLEAR = "unclear"
    """Too little is measured: a person decides."""


@dataclass(frozen=True)
class Measured:
    """One monitor's newest measurement; `value` is None when it has none that is recent."""

    metric: str
    value: float | None
    level: MonitorLevel


@dataclass(frozen=True)
class Facts:
    """What is measured of a service; `score` is the performance score, None where it cannot be told."""

    monitors: Sequence[Measured]
    score: int | None
    score_reason: str


def judge(that: str, facts: Facts, *, at_least: int) -> tuple[Judgement, str]:
    """Whether `that` (a word of the playbook's assert step) holds, and why."""
    if that == "performance_score":
        return _judge_score(facts, at_least)
    if not facts.monitors:
        return Judgement.UNCLEAR, "no monitor watches the service"
    silent = sorted(metric_name(m.metric) for m in facts.monitors if m.value is None)
    if silent:
        return Judgement.UNCLEAR, f"no recent measurement of {', '.join(silent)}"
    if that == "monitors_answer":
        return Judgement.HOLDS, f"{len(facts.monitors)} monitors answer"
    unwell = (m for m in facts.monitors if m.level is not MonitorLevel.OK)
    bad = sorted(f"{metric_name(m.metric)} is {m.level}" for m in unwell)
    if bad:
        return Judgement.FAILS, "; ".join(bad)
    return Judgement.HOLDS, f"{len(facts.monitors)} monitors are well"


def _judge_score(facts: Facts, at_least: int) -> tuple[Judgement, str]:
    if facts.score is None:
        return Judgement.UNCLEAR, facts.score_reason
    verdict = Judgement.HOLDS if facts.score >= at_least else Judgement.FAILS
    return verdict, f"performance score {facts.score}, {at_least} is enough: {facts.score_reason}"
