"""This app's numbers for /metrics, by queries over live rollbacks and over the last thirty days alone."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator

from prometheus_client import Metric

from core.clock import utcnow
from core.operation.metrics import gauge, gauges
from rollbacks.models import Rollback
from rollbacks.rules.insights import FIGURES
from rollbacks.selectors.insights import figures_for_everybody
from rollbacks.services.automation import current_switch
from rollbacks.states import LIVE_STATES

SPAN = dt.timedelta(days=30)
_COUNTED = "drills and restricted incidents left out"


def collect() -> Iterator[Metric]:
    """Live rollbacks by state (one per service at the most), and the switch of automation."""
    states = Counter(
        Rollback.objects.filter(state__in=LIVE_STATES, drill=False).values_list("state", flat=True)
    )
    yield gauges(
        "firebreak_rollbacks",
        "Rollbacks that have not ended, drills left out.",
        "state",
        ((str(state), float(states[state])) for state in LIVE_STATES),
    )
    yield gauge(
        "firebreak_automation_armed",
        "1 while rollbacks may start by themselves.",
        float(current_switch().armed),
    )
    yield from _insights()


def _insights() -> Iterator[Metric]:
    """What happened in the last thirty days; a figure without anything to divide by has no sample."""
    now = utcnow()
    found = figures_for_everybody(now - SPAN, now, now=now)
    yield gauge(
        "firebreak_incidents_30_days",
        f"Incidents declared in the last 30 days, {_COUNTED}.",
        found.incidents,
    )
    yield gauge(
        "firebreak_rollbacks_30_days",
        f"Rollbacks asked for in the last 30 days, whatever became of them, {_COUNTED}.",
        found.rollbacks,
    )
    for name, key in (
        ("firebreak_response_attainment_ratio", "response_attainment"),
        ("firebreak_rollback_success_ratio", "rollback_success_rate"),
        ("firebreak_rollback_false_positive_ratio", "false_positive_rate"),
    ):
        figure = FIGURES[key]
        yield gauge(name, _meaning(figure.definition), getattr(found, figure.field))
    for name, key in (
        ("firebreak_time_to_acknowledge_seconds", "mtta"),
        ("firebreak_time_to_recovery_seconds", "mttr"),
        ("firebreak_time_to_roll_back_seconds", "time_to_rollback"),
    ):
        figure = FIGURES[key]
        both = {"mean": getattr(found, figure.field), "median": getattr(found, figure.median)}
        yield gauges(name, _meaning(figure.definition), "statistic", both.items())


def _meaning(definition: str) -> str:
    return f"{definition} Of the last 30 days, {_COUNTED}."
