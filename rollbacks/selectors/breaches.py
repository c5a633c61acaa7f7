"""What a monitor measured around a breach, as far as its confirmation needs it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import QuerySet

from incidents.models import Sample
from incidents.states import MonitorLevel, SampleOutcome
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.rules.confirmation import Judged, judge_breach
from rollbacks.states import END_STATES, BreachCheck


@dataclass(frozen=True)
class Answered:
    """One measurement that a source did answer with."""

    at: dt.datetime
    level: MonitorLevel
    value: float | None


def answers_since(monitor: int, at: dt.datetime, *, count: int) -> list[Answered]:
    """The first so many answers at or after a moment, in order (one query)."""
    return _answered(_answers(monitor).filter(at__gte=at).order_by("at", "pk")[:count])


def answers_until(monitor: int, at: dt.datetime, *, count: int) -> list[Answered]:
    """The last so many answers up to a moment, the newest first (one query)."""
    return _answered(_answers(monitor).filter(at__lte=at).order_by("-at", "-pk")[:count])


def judge_breach_of(rollback: Rollback) -> Judged:
    """How far the breach that started the rollback is confirmed by now (one query)."""
    wanted = policy.automation().confirmation
    answered: list[Answered] = []
    if rollback.monitor is not None and rollback.breach_at is not None:
        answered = answers_since(rollback.monitor, rollback.breach_at, count=wanted.of)
    return judge_breach([each.level for each in answered], needed=wanted.needed, of=wanted.of)


def confirming_text(rollback: Rollback) -> str:
    """How far the confirmation is while the rollback waits for it; else empty (one query then)."""
    if rollback.breach_check != BreachCheck.WAITING or rollback.state in END_STATES:
        return ""
    needed = policy.automation().confirmation.needed
    return f"Confirming: {judge_breach_of(rollback).critical} of {needed} critical measurements"


def _answers(monitor: int) -> QuerySet[Sample]:
    return Sample.objects.filter(monitor=monitor, outcome=SampleOutcome.OK)


def _answered(rows: QuerySet[Sample]) -> list[Answered]:
    return [
        Answered(at, MonitorLevel(level), value)
        for at, level, value in rows.values_list("at", "level", "value")
    ]
