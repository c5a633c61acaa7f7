"""Commands that ask for a rollback and decide about the asking."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from core.access import require
from core.actors import Actor, ActorKind
from core.assurance import require_assurance
from core.errors import Conflict, Invalid, NotAllowed
from core.models.counters import next_reference
from incidents.models import Incident, Service
from incidents.services.holds import place_hold
from incidents.services.incidents import lock_incident
from rollbacks import policy
from rollbacks.models import Rollback, RollbackStep
from rollbacks.playbook import Procedure
from rollbacks.rules.authority import (
    Case,
    Verdict,
    judge_approval,
    judge_plan,
    persons_behind,
    seconds_left,
)
from rollbacks.selectors.authority import case_of, demands_on, person_on_incident
from rollbacks.selectors.targets import no_target_text, targets_of, why_live_lacks
from rollbacks.services.drills import preempt_drill
from rollbacks.services.endings import HOLD, end_rollback, lock_rollback
from rollbacks.services.runners import wake_runner
from rollbacks.states import ApprovalDecision, RollbackState, Trigger
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_rollback


class RollbackUnderWay(Conflict):
    """The service has a live rollback already: one at a time."""

    code = "rollback_under_way"


class TargetUnverified(Conflict):
    """There is no release that may be returned to, or the one asked for is none."""

    code = "target_unverified"


class ApprovalRefused(NotAllowed):
    """This person may not approve this rollback."""

    code = "approval_refused"


@transaction.atomic
def request_rollback(
    *,
    incident_id: int,
    service: str,
    reason: str,
    actor: Actor,
    now: dt.datetime,
    procedure: str = "",
    target_version: str = "",
    parameters: Mapping[str, str] | None = None,
    expected_duration_seconds: int | None = None,
    expected_impact: str | None = None,
    automatic_allowed: bool = False,
) -> Rollback:
    """Ask for a rollback; it is approved at once where the authority rule says so.

    The plan (procedure, target, parameters) is fixed here. Raises RollbackUnderWay,
    TargetUnverified, Invalid, or Conflict when the incident is not open.
    """
    if actor.kind is not ActorKind.AUTOMATION:
        require(actor, "request_rollback")
    if not reason.strip():
        raise Invalid({"reason": "Say why."})
    subject = _lock_service(service)  # locks are taken in the order service, incident, rollback, stream
    incident = _open_incident(incident_id, actor, subject)
    key = procedure or subject.procedure
    if not key:
        raise Invalid({"procedure": f"{subject.slug} has no procedure of its own; name one."})
    plan = policy.procedure(key)
    values = policy.checked_parameters(key, parameters or {})
    source, target = choose_versions(subject, incident, key, plan, target_version)
    digest = policy.digest(key)
    rollback = insert_rollback(
        ref=next_reference("RB", now),
        incident=incident,
        service=subject,
        procedure=key,
        procedure_digest=digest,
        plan_digest=policy.plan_digest(
            procedure_digest=digest, service=subject.slug, target_version=target, parameters=values
        ),
        trigger=Trigger.AUTOMATED if actor.kind is ActorKind.AUTOMATION else Trigger.MANUAL,
        from_version=source,
        target_version=target,
        returns=plan.returns,
        queue=plan.queue,
        people=plan.people,
        parameters=values,
        reason=reason,
        expected_duration_seconds=expected_duration_seconds or int(plan.expected_duration),
        expected_impact=plan.expected_impact if expected_impact is None else expected_impact,
        drill=incident.drill,
        requested_by=actor.label,
        requested_by_user_id=actor.user_id,
        requested_by_token=actor.kind is ActorKind.TOKEN,
        requested_at=now,
    )
    copy_steps(rollback)
    place_hold(
        incident=incident,
        kind=HOLD,
        reference=rollback.ref,
        reason=f"{rollback.ref} is under way",
        now=now,
    )
    case = Case(demands_on(incident, plan), person_on_incident(actor, incident), admitted=automatic_allowed)
    record_request(rollback, judge_plan(case), actor, now)
    return rollback


class PlanChanged(Conflict):
    """The plan was edited after it was read."""

    code = "plan_changed"


def require_plan(rollback: Rollback, plan_digest: str | None) -> None:
    """Raises PlanChanged where the plan is another one than was read; None expects nothing."""
    if plan_digest is not None and plan_digest != rollback.plan_digest:
        raise PlanChanged(f"{rollback.ref} was edited after you read it. Look again.", state=rollback.state)


@transaction.atomic
def approve_rollback(
    *, rollback_id: int, actor: Actor, now: dt.datetime, reason: str = "", plan_digest: str | None = None
) -> Rollback:
    """Approve the plan as it stands; it may run once everybody who is asked for stands behind it.

    Raises ApprovalRefused, PlanChanged where the plan is another one than `plan_digest`, or Conflict when
    nothing awaits approval or this person gave it already.
    """
    rollback = lock_rollback(rollback_id, actor)
    require_plan(rollback, plan_digest)
    verdict = _decide(rollback, actor, now, ApprovalDecision.APPROVED, reason)
    case = case_of(rollback, now)
    plan = judge_plan(case)
    if plan.allowed:
        let_run(rollback, now=now, seconds=seconds_left(case))
    else:  # the page and If-Match see that something has changed
        Rollback.objects.filter(pk=rollback.pk).update(version=F("version") + 1)
        rollback.refresh_from_db()
    said = f"approved by {actor.label}" + (f": {reason}" if reason else "") + f". {verdict.reason}"
    record_on_rollback(
        rollback,
        "rollback.approved" if plan.allowed else "rollback.approval_given",
        said if plan.allowed else f"{said} {plan.reason}",
        actor=actor,
        now=now,
        data={"state": rollback.state, "persons": len(persons_behind(case)), "reason": reason[:500]},
    )
    return rollback


@transaction.atomic
def reject_rollback(*, rollback_id: int, reason: str, actor: Actor, now: dt.datetime) -> Rollback:
    """Say no; whoever may approve may reject."""
    if not reason.strip():
        raise Invalid({"reason": "Say why not."})
    rollback = lock_rollback(rollback_id, actor)
    _decide(rollback, actor, now, ApprovalDecision.REJECTED, reason)
    end_rollback(
        rollback,
        RollbackState.REJECTED,
        f"rejected by {actor.label}: {reason}",
        actor=actor,
        now=now,
    )
    return rollback


@transaction.atomic
def cancel_rollback(*, rollback_id: int, reason: str, actor: Actor, now: dt.datetime) -> Rollback:
    """Stop a rollback: at once before it runs, else between two steps.

    Once something has been changed, stopping leads to needs_attention, never silently to an end.
    """
    require(actor, "request_rollback")
    if not reason.strip():
        raise Invalid({"reason": "Say why it is cancelled."})
    rollback = lock_rollback(rollback_id, actor)
    waiting = (RollbackState.REQUESTED, RollbackState.AWAITING_APPROVAL, RollbackState.APPROVED)
    if rollback.state in waiting:
        end_rollback(
            rollback,
            RollbackState.CANCELLED,
            f"cancelled by {actor.label}: {reason}",
            actor=actor,
            now=now,
        )
        return rollback
    if rollback.state not in (
        RollbackState.VALIDATING,
        RollbackState.EXECUTING,
        RollbackState.VERIFYING,
    ):
        raise Conflict(f"{rollback.ref} is {rollback.state}: it cannot be cancelled.", state=rollback.state)
    if rollback.cancel_requested_at is None:
        Rollback.objects.filter(pk=rollback.pk).update(
            cancel_requested_at=now, cancel_requested_by=actor.label, due_at=now
        )
        rollback.refresh_from_db()
        record_on_rollback(
            rollback,
            "rollback.cancel_requested",
            f"{actor.label} asked to stop: {reason}",
            actor=actor,
            now=now,
        )
        wake_runner(rollback)
    return rollback


def _lock_service(slug: str) -> Service:
    service = Service.objects.select_for_update(no_key=True).filter(slug=slug).first()
    if service is None:
        raise Invalid({"service": "No such service."})
    return service


def _open_incident(incident_id: int, actor: Actor, service: Service) -> Incident:
    incident = lock_incident(incident_id, actor)
    if not incident.is_open:
        raise Conflict(f"{incident.ref} is {incident.status}; reopen it first.", state=incident.status)
    if not incident.services.filter(pk=service.pk).exists():
        raise Invalid({"service": f"{service.slug} is not among the services of {incident.ref}."})
    return incident


def choose_versions(
    service: Service, incident: Incident, key: str, plan: Procedure, asked: str
) -> tuple[str, str]:
    """What is left and where it goes: the same version twice where the version stays."""
    targets = targets_of(service, kind=incident.kind, procedure=key, also=asked)
    live = targets.live
    if live is None:
        raise TargetUnverified(
            f"No live release of {service.slug} is recorded, so there is nothing to leave."
        )
    if plan.returns != "version":
        if asked:
            raise Invalid(
                {"target_version": f"{plan.name} returns the {plan.returns}; the version stays {live}."}
            )
        if missing := why_live_lacks(service, key):
            raise TargetUnverified(f"{plan.name} cannot run: {missing}.")
        return live, live
    if asked == live:
        raise Invalid({"target_version": f"{asked} is live already."})
    target = asked or targets.default
    if target is None:
        raise TargetUnverified(f"{service.slug} has {no_target_text(targets, incident.kind)}.")
    if why_not := targets.why_not(target):
        raise TargetUnverified(f"{target} of {service.slug} is no target: {why_not}.")
    if not policy.is_safe_word(target):
        raise Invalid({"target_version": f"{target} is not a version that a command may be given."})
    return live, target


def insert_rollback(*, service: Service, **fields: Any) -> Rollback:
    """A new row, if no other rollback of the service is live; raises RollbackUnderWay."""
    try:
        with transaction.atomic():
            return Rollback.objects.create(service=service, **fields)
    except IntegrityError as error:
        if "one_live_" not in str(error):
            raise
        rows = Rollback.objects.live().filter(service=service, drill=fields["drill"])
        live = rows.select_related("incident").first()
        raise RollbackUnderWay(
            f"{live.told_name if live else 'Another rollback'} of {service} is under way: one at a time.",
            state=live.state if live else None,
        ) from error


def copy_steps(rollback: Rollback) -> None:
    """The steps of its procedure, so that the rollback keeps them whatever becomes of the playbook."""
    RollbackStep.objects.bulk_create(
        RollbackStep(
            rollback=rollback,
            position=position,
            phase=phase,
            key=step.key,
            name=step.name,
            kind=step.kind,
            mutating=step.mutating,
            switches=bool(getattr(step, "switches", False)),
        )
        for position, (phase, step) in enumerate(policy.steps_of(rollback.procedure), start=1)
    )


def record_request(rollback: Rollback, verdict: Verdict, actor: Actor, now: dt.datetime) -> None:
    """It is approved at once, or awaits a person."""
    if not rollback.drill:
        preempt_drill(rollback, actor=actor, now=now)
    valid = policy.automation().approval_valid
    if verdict.allowed:
        let_run(rollback, now=now, seconds=valid)
    else:
        move_rollback(rollback, RollbackState.AWAITING_APPROVAL, **awaiting(now, valid))
    record_on_rollback(
        rollback,
        "rollback.requested",
        f"{rollback.way} of {rollback.service.name} requested. {verdict.reason}",
        actor=actor,
        now=now,
        data={
            "trigger": rollback.trigger,
            "procedure": rollback.procedure,
            "from": rollback.from_version,
            "target": rollback.target_version,
            "state": rollback.state,
            "reason": rollback.reason,
        },
    )


def let_run(rollback: Rollback, *, now: dt.datetime, seconds: float) -> None:
    """It is authorised: a worker may begin it within so many seconds."""
    move_rollback(
        rollback,
        RollbackState.APPROVED,
        approved_at=now,
        approval_expires_at=now + dt.timedelta(seconds=seconds),
        due_at=now,
    )
    wake_runner(rollback)


def awaiting(now: dt.datetime, seconds: float) -> dict[str, Any]:
    """The columns of a rollback that awaits approval for so many seconds from now on."""
    until = now + dt.timedelta(seconds=seconds)
    return {"approved_at": None, "approval_expires_at": until, "due_at": until}


def require_awaiting(rollback: Rollback, now: dt.datetime) -> None:
    """Raise Conflict unless its approval is still asked for."""
    if rollback.state != RollbackState.AWAITING_APPROVAL:
        raise Conflict(f"{rollback.ref} is {rollback.state}: nothing awaits approval.", state=rollback.state)
    if rollback.approval_expires_at is not None and rollback.approval_expires_at <= now:
        raise Conflict(f"{rollback.ref} was not approved in time.", state=rollback.state)


def note_decision(
    rollback: Rollback,
    verdict: Verdict,
    decision: ApprovalDecision,
    reason: str,
    *,
    actor: Actor,
    now: dt.datetime,
) -> None:
    """What a person decided about the plan as it stands; raises Conflict where they did so already."""
    assert actor.user_id is not None  # the rules let only persons decide
    standing = rollback.approvals.filter(user=actor.user_id, decision=decision, voided_at=None)
    if standing.exists():
        raise Conflict(f"You have decided this about {rollback.ref} already.", state=rollback.state)
    rollback.approvals.create(
        user_id=actor.user_id,
        decision=decision,
        role=verdict.role or "",
        reason=reason,
        plan_digest=rollback.plan_digest,
        decided_at=now,
    )


def _decide(
    rollback: Rollback, actor: Actor, now: dt.datetime, decision: ApprovalDecision, reason: str
) -> Verdict:
    require(actor, "decide_rollback")
    verdict = judge_approval(person_on_incident(actor, rollback.incident), case_of(rollback, now))
    if not verdict.allowed:
        raise ApprovalRefused(verdict.reason)
    require_awaiting(rollback, now)
    require_assurance(actor, now)
    note_decision(rollback, verdict, decision, reason, actor=actor, now=now)
    return verdict
