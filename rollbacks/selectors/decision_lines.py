"""Decisions as pages show them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from incidents.selectors.cards import incident_url
from incidents.states import metric_name
from rollbacks.models import Decision
from rollbacks.selectors.rollback_page import rollback_url
from rollbacks.states import Verdict

# What a line needs of a decision, its service, incident and rollback: they have a hundred columns.
SHOWN = ("at", "verdict", "metric", "reasons", "service__name", "incident__ref", "rollback__ref")


@dataclass(frozen=True)
class DecisionLine:
    """One decision with its reasons in words."""

    at: dt.datetime
    verdict: str
    label: str
    metric: str
    reasons: tuple[str, ...]
    service: str
    incident_ref: str
    incident_url: str
    rollback_ref: str
    rollback_url: str


def decision_lines(decisions: Iterable[Decision]) -> tuple[DecisionLine, ...]:
    """Of decisions whose service, incident and rollback are loaded (no further query)."""
    return tuple(_line(decision) for decision in decisions)


def _line(decision: Decision) -> DecisionLine:
    rollback = decision.rollback
    return DecisionLine(
        at=decision.at,
        verdict=decision.verdict,
        label=str(Verdict(decision.verdict).label),
        metric=metric_name(decision.metric),
        reasons=tuple(reason["text"] for reason in decision.reasons),
        service=decision.service.name,
        incident_ref=decision.incident.ref,
        incident_url=incident_url(decision.incident.ref),
        rollback_ref=rollback.ref if rollback else "",
        rollback_url=rollback_url(rollback.ref) if rollback else "",
    )
