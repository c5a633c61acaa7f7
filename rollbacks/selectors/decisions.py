"""What the authority and admission rules need to know."""

from __future__ import annotations

from incidents.models import Monitor, Release, Service
from incidents.states import IncidentKind, Metric, MonitorLevel, ReleaseState
from rollbacks.models import Rollback
from rollbacks.rules.admission import Situation
from rollbacks.selectors.authority import person_on_incident as person_on_incident
from rollbacks.selectors.targets import targets_of
from rollbacks.services.automation import current_switch
from rollbacks.states import END_STATES, RollbackState

DID_NOT_SUCCEED = (RollbackState.FAILED, RollbackState.HANDED_OVER, RollbackState.RESOLVED_BY_HAND)


def live_release(service: Service) -> Release | None:
    return Release.objects.filter(service=service, state=ReleaseState.LIVE).first()


def situation_of(
    service: Service, *, metric: str, kind: str = IncidentKind.OPERATIONAL, procedure: str = ""
) -> Situation:
    """What automation knows about a service whose `metric` exceeded its threshold.

    `kind` is the incident's, `procedure` what would run (without it, the service's own).
    """
    live = live_release(service)
    targets = targets_of(service, kind=kind, procedure=procedure)
    target = targets.default
    running = Rollback.objects.live().filter(service=service, drill=False).first()
    version = live.version if live else None
    ended = Rollback.objects.filter(service=service, drill=False, state__in=END_STATES)
    since = live.recorded_at if live else None
    symptom = Monitor.objects.filter(
        service=service, metric__in=(Metric.ERROR_RATE, Metric.RESPONSE_TIME), enabled=True
    ).exclude(level__in=(MonitorLevel.OK, MonitorLevel.UNKNOWN))
    return Situation(
        armed=current_switch().armed,
        auto_rollback=service.auto_rollback,
        live_rollback=running.ref if running else None,
        live_version=version,
        live_deployed_at=live.deployed_at if live else None,
        target_version=target,
        reached_by_rollback=bool(
            live and ended.filter(target_version=version, mutated_at__gt=since).exists()
        ),
        tried_before=bool(live and ended.filter(from_version=version, requested_at__gt=since).exists()),
        metric=metric,
        has_symptom=symptom.exists(),
        passed_over=targets.passed_over,
        target_failed=_failed_to_reach(service, target) if target else None,
    )


def _failed_to_reach(service: Service, version: str) -> str | None:
    """The last rollback to the version, if it did not succeed."""
    tried = (RollbackState.SUCCEEDED, *DID_NOT_SUCCEED)
    rows = Rollback.objects.filter(service=service, drill=False, target_version=version, state__in=tried)
    last = rows.order_by("-completed_at").first()
    return last.ref if last is not None and last.state in DID_NOT_SUCCEED else None
