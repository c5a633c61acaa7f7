"""How a rollback ends, whichever command ends it, and how it asks for a person."""

from __future__ import annotations

import datetime as dt

from core.actors import Actor
from core.errors import NotFound
from incidents.models import Incident, Service
from incidents.services.holds import release_hold
from incidents.services.incidents import follow_rollback
from incidents.states import IncidentStatus
from rollbacks.models import Rollback
from rollbacks.states import RollbackState, StepState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_rollback

HOLD = "rollback"
EVENT_OF_END = {
    RollbackState.SUCCEEDED: "rollback.succeeded",
    RollbackState.REJECTED: "rollback.rejected",
    RollbackState.EXPIRED: "rollback.expired",
    RollbackState.CANCELLED: "rollback.cancelled",
    RollbackState.FAILED: "rollback.failed",
    RollbackState.HANDED_OVER: "rollback.handed_over",
    RollbackState.RESOLVED_BY_HAND: "rollback.resolved_by_hand",
}


def lock_service_of(rollback_id: int) -> None:
    """Lock the rollback's service, which comes before its incident; nothing where the rollback is unknown."""
    of_it = Rollback.objects.filter(pk=rollback_id).values("service_id")
    list(Service.objects.select_for_update(no_key=True).filter(pk__in=of_it))


def lock_rollback(rollback_id: int, actor: Actor) -> Rollback:
    """The rollback, locked after its incident, if the actor may see it; raises NotFound."""
    rows = Rollback.objects.all() if actor.is_machine else Rollback.objects.visible_to(actor)
    incident_id = rows.filter(pk=rollback_id).values_list("incident_id", flat=True).first()
    if incident_id is None:
        raise NotFound("No such rollback.")
    Incident.objects.select_for_update(no_key=True).get(pk=incident_id)
    locked = Rollback.objects.select_for_update(of=("self",), no_key=True)
    return locked.select_related("incident", "service").get(pk=rollback_id)


def end_rollback(
    rollback: Rollback, end: RollbackState, summary: str, *, actor: Actor, now: dt.datetime, kind: str = ""
) -> None:
    """Move a locked rollback to an end: the service's lock and the incident's hold are gone.

    The incident goes on to monitoring after a success, else back to investigating. `kind` is the
    event's where it is not the end's usual one.
    """
    had_run = rollback.started_at is not None
    rollback.steps.filter(state=StepState.PENDING).update(state=StepState.SKIPPED)
    move_rollback(
        rollback,
        end,
        completed_at=now,
        outcome=summary[:2000],
        due_at=None,
        lease_until=None,
        lease_owner="",
        attention="",
    )
    release_hold(kind=HOLD, reference=rollback.ref)
    record_on_rollback(
        rollback,
        kind or EVENT_OF_END[end],
        summary,
        actor=actor,
        now=now,
        data={
            "from": rollback.from_version,
            "target": rollback.target_version,
            "trigger": rollback.trigger,
        },
    )
    if had_run:
        succeeded = end is RollbackState.SUCCEEDED
        follow_rollback(
            incident_id=rollback.incident_id,
            to=IncidentStatus.MONITORING if succeeded else IncidentStatus.INVESTIGATING,
            summary=f"{rollback.ref} {rollback.get_state_display().lower()}",
            actor=actor,
            now=now,
        )


def ask_for_a_person(rollback: Rollback, why: str, *, actor: Actor, now: dt.datetime) -> None:
    """Stop in `needs_attention`: the service stays locked until a named person decides."""
    move_rollback(
        rollback,
        RollbackState.NEEDS_ATTENTION,
        attention=why[:2000],
        due_at=None,
        lease_until=None,
        lease_owner="",
    )
    record_on_rollback(
        rollback,
        "rollback.needs_attention",
        f"needs a person: {why}",
        actor=actor,
        now=now,
        data={"why": why[:500]},
    )
    follow_rollback(
        incident_id=rollback.incident_id,
        to=IncidentStatus.INVESTIGATING,
        summary=f"{rollback.ref} needs a person",
        actor=actor,
        now=now,
    )
