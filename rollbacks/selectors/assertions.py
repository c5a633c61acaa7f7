"""What the assert steps judge: each monitor's newest measurement."""

from __future__ import annotations

import datetime as dt

from incidents.models import Monitor, Service
from incidents.states import MonitorLevel
from rollbacks.rules.assertions import Facts, Measured

RECENT_INTERVALS = 3


def measured_now(service: Service, *, now: dt.datetime) -> Facts:
    """The service's enabled monitors as they stand (one query); older than three intervals is no answer."""
    monitors = list(Monitor.objects.filter(service=service, enabled=True))
    return Facts(
        monitors=tuple(Measured(m.metric, _recent_value(m, now), MonitorLevel(m.level)) for m in monitors),
        score=None,
        score_reason="no score yet",
    )


def _recent_value(monitor: Monitor, now: dt.datetime) -> float | None:
    oldest = now - dt.timedelta(seconds=RECENT_INTERVALS * monitor.interval_seconds)
    is_recent = monitor.checked_at is not None and monitor.checked_at >= oldest
    return monitor.last_value if is_recent and not monitor.last_error else None
