"""What the authority and admission rules need to know."""

from __future__ import annotations

from core.actors import Actor
from incidents.models import Incident, Monitor, Release, Responder, RoleGrant, Service
from incidents.states import Metric, MonitorLevel, ReleaseState, Role
from rollbacks.models import Rollback
from rollbacks.rules.admission import Situation
from rollbacks.rules.authority import Person
from rollbacks.services.automation import current_switch
from rollbacks.states import END_STATES


def person_on_incident(actor: Actor, incident: Incident) -> Person:
    """The actor with the roles held on this incident by a grant that still stands."""
    if actor.user_id is None:
        return Person(actor.kind, None, frozenset())
    granted = set(
        RoleGrant.objects.filter(user_id=actor.user_id, user__is_active=True).values_list("role", flat=True)
    )
    held = set(
        Responder.objects.filter(incident=incident, user_id=actor.user_id, until__isnull=True)
        .exclude(role="")
        .values_list("role", flat=True)
    )
    roles = {Role(role) for role in held & granted}
    if Role.ENGINEERING_MANAGER in granted:
        roles.add(Role.ENGINEERING_MANAGER)
    return Person(actor.kind, actor.user_id, frozenset(roles))


def candidate_targets(service: Service) -> list[Release]:
    """Releases to return to, the default first: verified good ones, newest first, never the live one."""
    return list(
        Release.objects.filter(service=service, state=ReleaseState.GOOD, good_at__isnull=False).order_by(
            "-deployed_at", "-pk"
        )[:20]
    )


def why_not_target(rollback: Rollback) -> str:
    """Why the rollback's target may not be returned to any more; empty when it may."""
    if rollback.returns != "version":
        return ""
    if rollback.target_version in [release.version for release in candidate_targets(rollback.service)]:
        return ""
    return f"{rollback.target_version} is no longer a verified good release"


def live_release(service: Service) -> Release | None:
    return Release.objects.filter(service=service, state=ReleaseState.LIVE).first()


def situation_of(service: Service, *, metric: str) -> Situation:
    """What automation knows about a service whose `metric` exceeded its threshold."""
    live = live_release(service)
    targets = candidate_targets(service)
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
        target_version=targets[0].version if targets else None,
        reached_by_rollback=bool(
            live and ended.filter(target_version=version, mutated_at__gt=since).exists()
        ),
        tried_before=bool(live and ended.filter(from_version=version, requested_at__gt=since).exists()),
        metric=metric,
        has_symptom=symptom.exists(),
    )
