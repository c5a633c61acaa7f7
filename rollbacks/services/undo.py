"""From one rollback to the next: the way back, or another target. Always two persons decide it."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.access import require
from core.actors import SYSTEM, Actor
from core.assurance import require_assurance
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models.counters import next_reference
from incidents.models import Service
from incidents.services.holds import place_hold
from incidents.services.services import switch_back
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.rules.authority import Verdict
from rollbacks.rules.targets import judge_targets
from rollbacks.selectors.choices import why_no_decision
from rollbacks.selectors.targets import targets_of
from rollbacks.selectors.undo import (
    ledger_around,
    other_targets,
    switched_by_now,
    why_no_hand_over,
    why_no_undo,
)
from rollbacks.services.endings import HOLD, end_rollback, lock_rollback
from rollbacks.services.requests import TargetUnverified, copy_steps, insert_rollback, record_request
from rollbacks.states import RollbackState, Trigger


class NothingToUndo(Conflict):
    """There is no way back from this rollback, or none that Firebreak may go."""

    code = "nothing_to_undo"


@transaction.atomic
def undo_rollback(*, rollback_id: int, reason: str, actor: Actor, now: dt.datetime) -> Rollback:
    """Ask for the way back to the version that the rollback left; returns the new rollback.

    One that needs attention is handed over to it, one that succeeded stays as it is. The new one
    always awaits another person. Raises NothingToUndo, NotAllowed, Invalid or RollbackUnderWay.
    """
    parent = _lock_for_child(rollback_id, reason, actor, now)
    if refusal := why_no_undo(parent, list(parent.steps.all()), ledger_around(parent)):
        raise NothingToUndo(refusal, state=parent.state)
    return _replace(parent, parent.from_version, f"It undoes {parent.ref}", reason, actor, now)


@transaction.atomic
def hand_over(
    *, rollback_id: int, target_version: str, reason: str, actor: Actor, now: dt.datetime
) -> Rollback:
    """Another target for a rollback that needs attention; returns the new rollback.

    It always awaits another person. Raises Conflict, TargetUnverified, NotAllowed or Invalid.
    """
    parent = _lock_for_child(rollback_id, reason, actor, now)
    if refusal := why_no_hand_over(parent):
        raise Conflict(refusal, state=parent.state)
    if target_version == parent.target_version:
        raise Invalid({"target_version": f"{target_version} is where {parent.ref} goes already."})
    if target_version not in [judged.version for judged in other_targets(parent, ledger_around(parent))]:
        raise TargetUnverified(_why_no_target(parent, target_version))
    return _replace(parent, target_version, f"It takes over from {parent.ref}", reason, actor, now)


def _lock_for_child(rollback_id: int, reason: str, actor: Actor, now: dt.datetime) -> Rollback:
    """Locks service, incident, rollback: until the end no other rollback of the service comes between."""
    require(actor, "decide_rollback")
    if not actor.is_person:
        raise NotAllowed("Only a person decides this, never a token.")
    if not reason.strip():
        raise Invalid({"reason": "Say why."})
    found = Rollback.objects.visible_to(actor).filter(pk=rollback_id).values_list("service_id", flat=True)
    service_id = found.first()
    if service_id is None:
        raise NotFound("No such rollback.")
    Service.objects.select_for_update(no_key=True).get(pk=service_id)
    rollback = lock_rollback(rollback_id, actor)
    if refusal := why_no_decision(actor, rollback):
        raise NotAllowed(refusal)
    incident = rollback.incident
    if not incident.is_open:
        raise Conflict(f"{incident.ref} is {incident.status}; reopen it first.", state=incident.status)
    require_assurance(actor, now)
    return rollback


def _replace(
    parent: Rollback, target: str, what: str, reason: str, actor: Actor, now: dt.datetime
) -> Rollback:
    """End the parent where it waits, and insert the child: the service is never without its lock."""
    plan = policy.procedure(parent.procedure)
    values = policy.checked_parameters(parent.procedure, parent.parameters)
    source = _live_version(parent, now)
    ref = next_reference("RB", now)
    if parent.state == RollbackState.NEEDS_ATTENTION:
        said = f"handed over by {actor.label} to {ref}, {source} → {target}: {reason}"
        end_rollback(parent, RollbackState.HANDED_OVER, said, actor=actor, now=now)
    digest = policy.digest(parent.procedure)
    child = insert_rollback(
        ref=ref,
        incident=parent.incident,
        service=parent.service,
        parent=parent,
        procedure=parent.procedure,
        procedure_digest=digest,
        plan_digest=policy.plan_digest(
            procedure_digest=digest, service=parent.service.slug, target_version=target, parameters=values
        ),
        trigger=Trigger.MANUAL,
        from_version=source,
        target_version=target,
        returns=plan.returns,
        queue=plan.queue,
        people=max(plan.people, 2),
        parameters=values,
        reason=reason,
        expected_duration_seconds=int(plan.expected_duration),
        expected_impact=plan.expected_impact,
        drill=parent.drill,
        requested_by=actor.label,
        requested_by_user_id=actor.user_id,
        requested_at=now,
    )
    copy_steps(child)
    place_hold(incident=parent.incident, kind=HOLD, reference=ref, reason=f"{ref} is under way", now=now)
    record_request(child, Verdict(False, f"{what}; another person approves."), actor, now)
    return child


def _live_version(parent: Rollback, now: dt.datetime) -> str:
    """What the child leaves. A switch that succeeded and was not noted yet is noted now."""
    steps, ledger = list(parent.steps.all()), ledger_around(parent)
    live = judge_targets(ledger, security=False).live
    if switched_by_now(parent, steps, ledger) and live != parent.target_version:
        switch_back(
            service_id=parent.service_id,
            from_version=parent.from_version,
            to_version=parent.target_version,
            rollback_ref=parent.ref,
            actor=SYSTEM,
            now=now,
        )
        return parent.target_version
    return live or parent.from_version


def _why_no_target(parent: Rollback, version: str) -> str:
    targets = targets_of(parent.service, kind=parent.incident.kind, procedure=parent.procedure, also=version)
    return f"{version} of {parent.service.slug} is no target: {targets.why_not(version)}."
