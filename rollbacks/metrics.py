"""This app's numbers for /metrics, by queries over live rollbacks alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import Metric

from core.operation.metrics import gauge, gauges
from rollbacks.models import Rollback
from rollbacks.services.automation import current_switch
from rollbacks.states import LIVE_STATES


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
