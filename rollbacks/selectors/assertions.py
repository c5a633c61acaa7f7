"""What the assert steps judge: each monitor's newest measurement."""

from __future__ import annotations

import datetime as dt

from incidents import policy
from incidents.models import Monitor, Service
from incidents.states import MonitorLevel
from rollbacks.rules.assertions import Facts, Measured
from rollbacks.rules.score import Score, performance_score

RECENT_INTERVALS = 3
PERFORMANCE = "performance"
"""The threshold policy that the score is made of."""


def measured_now(service: Service, *, now: dt.datetime) -> Facts:
    """The service's enabled monitors as they stand (one query); older than three intervals is no answer."""
    monitors = list(Monitor.objects.filter(service=service, enabled=True))
    measured = tuple(Measured(m.metric, _recent_value(m, now), MonitorLevel(m.level)) for m in monitors)
    score = _score(measured)
    return Facts(monitors=measured, score=score.value, score_reason=score.reason)


def _score(measured: tuple[Measured, ...]) -> Score:
    """By the playbook's policy `performance`; where two monitors measure the same, the worse one counts."""
    worst: dict[str, float | None] = {}
    for one in measured:
        if one.value is not None:
            worst[one.metric] = max(one.value, worst.get(one.metric) or one.value)
    thresholds = policy.thresholds()
    policies = thresholds.policies
    judged = policies[PERFORMANCE].metrics if PERFORMANCE in policies else {}
    limits = {str(metric): limit for metric, limit in judged.items()}
    return performance_score(
        worst, limits, warnings_that_make_critical=thresholds.warnings_that_make_critical
    )


def _recent_value(monitor: Monitor, now: dt.datetime) -> float | None:
    oldest = now - dt.timedelta(seconds=RECENT_INTERVALS * monitor.interval_seconds)
    is_recent = monitor.checked_at is not None and monitor.checked_at >= oldest
    return monitor.last_value if is_recent and not monitor.last_error else None
