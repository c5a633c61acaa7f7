"""What the admission rule needs to know, and what was decided by it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from core.actors import Actor
from core.events import rfc3339
from core.playbook import get_playbook
from incidents.models import Monitor, Release, Service
from incidents.selectors.outages import freeze_reason
from incidents.selectors.quiet import maintenance_of
from incidents.states import OPEN_STATUSES, IncidentKind, Metric, MonitorLevel, ReleaseState
from rollbacks import policy
from rollbacks.facts import Breach
from rollbacks.models import Decision, Rollback
from rollbacks.rules.admission import DAY_SECONDS, LATELY_SECONDS, Limits, Situation
from rollbacks.selectors.authority import person_on_incident as person_on_incident
from rollbacks.selectors.targets import targets_of
from rollbacks.selectors.trust import false_positives_of
from rollbacks.services.automation import current_switch
from rollbacks.states import END_STATES, RUNNABLE_STATES, UNCONFIRMED, RollbackState, Trigger, Verdict

DID_NOT_SUCCEED = (RollbackState.FAILED, RollbackState.HANDED_OVER, RollbackState.RESOLVED_BY_HAND)


def decision_records(actor: Actor) -> QuerySet[Decision]:
    """The decisions that the actor may see, the newest first."""
    return Decision.objects.visible_to(actor).select_related("service", "incident", "rollback")


def unconfirmed_breaches(*, now: dt.datetime) -> QuerySet[Decision]:
    """Breaches of the last day that were not confirmed, of monitors that are critical all the same.

    Only where nothing was decided about the monitor since, and the incident is still open.
    """
    ended = Decision.objects.filter(
        verdict=Verdict.REFUSED,
        rollback__isnull=False,
        rollback__breach_check__in=UNCONFIRMED,
        at__gt=now - dt.timedelta(seconds=DAY_SECONDS),
        incident__status__in=OPEN_STATUSES,
    )
    since = Decision.objects.filter(
        service=OuterRef("service"), monitor=OuterRef("monitor"), pk__gt=OuterRef("pk")
    )
    critical = Monitor.objects.filter(pk=OuterRef("monitor"), level=MonitorLevel.CRITICAL, enabled=True)
    return ended.filter(~Exists(since), Exists(critical))


def live_release(service: Service) -> Release | None:
    return Release.objects.filter(service=service, state=ReleaseState.LIVE).first()


def situation_of(
    service: Service,
    *,
    metric: str,
    now: dt.datetime,
    kind: str = IncidentKind.OPERATIONAL,
    procedure: str = "",
    monitor: int | None = None,
    by_itself: bool = True,
) -> Situation:
    """What automation knows about a service whose `metric` exceeded its threshold.

    `kind` is the incident's, `procedure` what would run (without it, the service's own), `monitor` who
    measured it. `by_itself`: nobody would be asked.
    """
    live = live_release(service)
    key = procedure or service.procedure
    targets = targets_of(service, kind=kind, procedure=procedure)
    target = targets.default
    running = Rollback.objects.live().filter(service=service, drill=False).select_related("incident").first()
    version = live.version if live else None
    # One whose breach was not confirmed has changed nothing, and says nothing about release or target.
    ended = Rollback.objects.filter(service=service, drill=False, state__in=END_STATES).exclude(
        breach_check__in=UNCONFIRMED
    )
    last = ended.filter(started_at__isnull=False).select_related("incident").order_by("-completed_at").first()
    since = live.recorded_at if live else None
    symptom = Monitor.objects.filter(
        service=service, metric__in=(Metric.ERROR_RATE, Metric.RESPONSE_TIME), enabled=True
    ).exclude(level__in=(MonitorLevel.OK, MonitorLevel.UNKNOWN))
    today = now - dt.timedelta(seconds=DAY_SECONDS)
    situation = Situation(
        armed=True,
        auto_rollback=service.auto_rollback,
        live_rollback=running.told_name if running else None,
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
        by_itself=by_itself,
        returns=policy.procedure(key).returns if key in get_playbook()["procedures"] else "version",
        last_rollback=last.told_name if last else None,
        last_ended_at=last.completed_at if last else None,
        started_today=_started(today)
        .filter(service=service)
        .exclude(rollback__breach_check__in=UNCONFIRMED)
        .count(),
        false_positives=false_positives_of(service.pk, now=now).get(monitor, 0) if monitor else 0,
        freeze=freeze_reason(now=now),
        maintenance=maintenance_of(service.pk, now=now),
    )
    return with_the_brake(situation, now=now)


def with_the_brake(situation: Situation, *, now: dt.datetime) -> Situation:
    """The same, with the switch and the counts of all services as they are now (four queries)."""
    at_work = Q(state__in=RUNNABLE_STATES, trigger=Trigger.AUTOMATED, drill=False)
    lately = now - dt.timedelta(seconds=LATELY_SECONDS)
    return replace(
        situation,
        armed=current_switch().armed,
        running=Rollback.objects.filter(at_work).count(),
        started_lately=_started(lately).count(),
        services=Service.objects.count(),
    )


def evidence_of(
    breach: Breach,
    situation: Situation | None,
    limits: Limits,
    *,
    procedure: str,
    value: float | None,
    now: dt.datetime,
) -> dict[str, Any]:
    """What was known, as a decision keeps it; without a situation nothing more was asked."""
    known: dict[str, Any] = {
        "level": breach.level,
        "effect": breach.effect,
        "value": value,
        "measured_at": _text(breach.at),
        "catastrophic": breach.catastrophic,
    }
    if situation is None:
        return known
    deployed = situation.live_deployed_at
    return known | {
        "procedure": procedure,
        "live_version": situation.live_version,
        "live_deployed_at": _text(deployed),
        "live_age_seconds": None if deployed is None else int((now - deployed).total_seconds()),
        "recent_release_seconds": int(limits.recent_release),
        "target_version": situation.target_version,
        "armed": situation.armed,
        "auto_rollback": situation.auto_rollback,
        "live_rollback": situation.live_rollback,
        "last_rollback": situation.last_rollback,
        "last_rollback_ended_at": _text(situation.last_ended_at),
        "cooldown_seconds": int(limits.cooldown),
        "started_in_24_hours": situation.started_today,
        "started_in_24_hours_allowed": limits.per_day,
        "running": situation.running,
        "running_allowed": limits.at_once(situation.services),
        "started_in_ten_minutes": situation.started_lately,
        "started_in_ten_minutes_allowed": limits.starts_in_ten_minutes,
        "false_positives": situation.false_positives,
        "false_positives_allowed": limits.false_positives,
        "freeze": situation.freeze,
        "maintenance": situation.maintenance,
    }


def _started(since: dt.datetime) -> QuerySet[Decision]:
    return Decision.objects.filter(verdict=Verdict.STARTED, at__gt=since)


def _text(at: dt.datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _failed_to_reach(service: Service, version: str) -> str | None:
    """The last rollback to the version, if it did not succeed."""
    tried = (RollbackState.SUCCEEDED, *DID_NOT_SUCCEED)
    rows = Rollback.objects.filter(service=service, drill=False, target_version=version, state__in=tried)
    last = rows.select_related("incident").order_by("-completed_at").first()
    return last.told_name if last is not None and last.state in DID_NOT_SUCCEED else None
