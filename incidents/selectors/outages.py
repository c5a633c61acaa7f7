"""What is known when monitors cannot be measured."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from urllib.parse import urlsplit

from django.db import connection

from incidents import policy
from incidents.models import Monitor, MonitoringOutage, Release, Sample
from incidents.rules.blindness import Blind
from incidents.states import (
    FailureKind,
    MonitorLevel,
    OnMonitoringFailure,
    ReleaseState,
    SampleOutcome,
    metric_name,
)

_BLIND_SERVICES = """
SELECT count(DISTINCT service_id) FILTER (WHERE level = 'unknown'), count(DISTINCT service_id)
  FROM incidents_monitor WHERE enabled
"""
_STILL_BLIND = """
SELECT m.id FROM incidents_monitor m
 WHERE m.level = 'unknown' AND m.enabled
   AND (m.blindness_answered_at IS NULL OR m.blindness_answered_at < m.level_since)
   AND (m.on_monitoring_failure = 'immediate'
        OR m.on_monitoring_failure = 'after_n' AND m.level_since <= %(now)s - make_interval(secs => %(after)s)
        OR m.on_monitoring_failure = 'corroborated' AND EXISTS (
            SELECT 1 FROM incidents_monitor n WHERE n.service_id = m.service_id AND n.id <> m.id AND n.enabled
               AND n.level IN ('high', 'critical', 'unknown')))
 ORDER BY m.level_since LIMIT %(limit)s
"""
_BAD = (MonitorLevel.HIGH, MonitorLevel.CRITICAL)


def current_outage() -> MonitoringOutage | None:
    """The monitoring outage that is going on, with its incident."""
    return MonitoringOutage.objects.select_related("incident").filter(ended_at__isnull=True).first()


def freeze_reason(*, now: dt.datetime) -> str | None:
    """Why automation must not roll anything back just now, as far as the monitoring is concerned."""
    outage = current_outage()
    if outage is None:
        return None
    incident = outage.incident
    name = incident.code_name if incident.restricted else incident.ref
    return f"the monitoring itself fails since {outage.began_at:%H:%M} UTC ({name})"


def blind_services() -> tuple[int, int]:
    """How many services have a monitor without an answer, and how many have one at all (one query)."""
    with connection.cursor() as cursor:
        cursor.execute(_BLIND_SERVICES)
        blind, watched = cursor.fetchone()
    return blind, watched


def still_blind(*, now: dt.datetime, limit: int) -> list[int]:
    """Monitors without an answer that may call for a rollback by now, those that wait longest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            _STILL_BLIND, {"now": now, "limit": limit, "after": policy.thresholds().blindness.after}
        )
        return [monitor_id for (monitor_id,) in cursor.fetchall()]


def blind_of(monitor: Monitor, *, now: dt.datetime) -> Blind:
    """What is known about a monitor without an answer (five queries)."""
    host = source_host(monitor)
    siblings = Monitor.objects.filter(service=monitor.service_id, enabled=True).exclude(pk=monitor.pk)
    live = Release.objects.filter(service=monitor.service_id, state=ReleaseState.LIVE).first()
    return Blind(
        mode=OnMonitoringFailure(monitor.on_monitoring_failure),
        lasts=now - (monitor.level_since or now),
        interval=dt.timedelta(seconds=monitor.interval_seconds),
        failure=_last_failure(monitor),
        outage=current_outage() is not None,
        others_answer=_others_answer(monitor, host),
        evidence=_evidence([one for one in siblings if source_host(one) != host or not host]),
        live_for=now - live.deployed_at if live else None,
    )


def source_host(monitor: Monitor) -> str:
    """Whom the monitor asks: host and port, empty where measurements are pushed."""
    return urlsplit(str(monitor.source.get("url", ""))).netloc


def _last_failure(monitor: Monitor) -> FailureKind | None:
    failed = Sample.objects.filter(monitor=monitor, outcome__in=(SampleOutcome.ERROR, SampleOutcome.STALE))
    kind = failed.order_by("-at", "-pk").values_list("failure", flat=True).first()
    return FailureKind(kind) if kind else None


def _others_answer(monitor: Monitor, host: str) -> bool | None:
    if not host:
        return None
    at_host = Monitor.objects.filter(enabled=True, source__url__icontains=f"//{host}").exclude(
        service=monitor.service_id
    )
    levels = set(at_host.values_list("level", flat=True)[:200])
    return levels != {MonitorLevel.UNKNOWN} if levels else None


def _evidence(others: Sequence[Monitor]) -> tuple[str, ...]:
    """What monitors of the service that ask somebody else say of it."""
    said = [(metric_name(one.metric), MonitorLevel(one.level)) for one in others]
    bad = [f"{metric} is {level.label.lower()}" for metric, level in said if level in _BAD]
    silent = [f"{metric} has no answer either" for metric, level in said if level is MonitorLevel.UNKNOWN]
    return tuple(bad + silent)
