"""Commands that ask for a rollback and decide about the asking."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from core import hints
from core.access import require
from core.actors import Actor, ActorKind
from core.assurance import require_assurance
from core.errors import Conflict, Invalid, NotAllowed
from core.models.counters import next_reference
from incidents import policy as incident_policy
from incidents.models import Incident, Service
from incidents.services.holds import place_hold
from incidents.services.incidents import lock_incident
from rollbacks import policy
from rollbacks.models import Approval, Rollback, RollbackStep
from rollbacks.playbook import Procedure
from rollbacks.rules.authority import Verdict, judge_approval, judge_request
from rollbacks.selectors.decisions import person_on_incident
from rollbacks.selectors.targets import no_target_text, targets_of, why_live_lacks
from rollbacks.services.endings import HOLD, end_rollback, lock_rollback
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
    source, target = _versions(subject, incident, key, plan, target_version)
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
    authority = incident_policy.rollback_authority(incident.severity, incident.security_level)
    verdict = judge_request(
        person_on_incident(actor, incident), authority, automatic_allowed=automatic_allowed
    )
    record_request(rollback, verdict, actor, now)
    return rollback


@transaction.atomic
def approve_rollback(*, rollback_id: int, actor: Actor, now: dt.datetime, reason: str = "") -> Rollback:
    """Approve the plan as it stands; raises ApprovalRefused or IllegalMove."""
    rollback = lock_rollback(rollback_id, actor)
    verdict = _decide(rollback, actor, now, ApprovalDecision.APPROVED, reason)
    valid = dt.timedelta(seconds=policy.automation().approval_valid)
    move_rollback(
        rollback,
        RollbackState.APPROVED,
        approved_at=now,
        approval_expires_at=now + valid,
        due_at=now,
    )
    record_on_rollback(
        rollback,
        "rollback.approved",
        f"approved by {actor.label}. {verdict.reason}",
        actor=actor,
        now=now,
    )
    hints.wake("rollbacks.run_due")
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
        hints.wake("rollbacks.run_due")
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


def _versions(service: Service, incident: Incident, key: str, plan: Procedure, asked: str) -> tuple[str, str]:
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
        live = Rollback.objects.live().filter(service=service, drill=fields["drill"]).first()
        raise RollbackUnderWay(
            f"{live.ref if live else 'Another rollback'} of {service} is under way: one at a time.",
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
    valid = dt.timedelta(seconds=policy.automation().approval_valid)
    if verdict.needs_approval:
        move_rollback(
            rollback,
            RollbackState.AWAITING_APPROVAL,
            approval_expires_at=now + valid,
            due_at=now + valid,
        )
    else:
        move_rollback(
            rollback,
            RollbackState.APPROVED,
            approved_at=now,
            approval_expires_at=now + valid,
            due_at=now,
        )
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
    if not verdict.needs_approval:
        hints.wake("rollbacks.run_due")


def _decide(
    rollback: Rollback, actor: Actor, now: dt.datetime, decision: ApprovalDecision, reason: str
) -> Verdict:
    require(actor, "decide_rollback")
    incident = rollback.incident
    verdict = judge_approval(
        person_on_incident(actor, incident),
        incident_policy.rollback_authority(incident.severity, incident.security_level),
        policy.automation().approvers,
        requester_id=rollback.requested_by_user_id,
        requested_by_person=not rollback.requested_by_token and rollback.requested_by_user_id is not None,
    )
    if not verdict.allowed or actor.user_id is None:
        raise ApprovalRefused(verdict.reason)
    if rollback.state != RollbackState.AWAITING_APPROVAL:
        raise Conflict(f"{rollback.ref} is {rollback.state}: nothing awaits approval.", state=rollback.state)
    require_assurance(actor, now)
    Approval.objects.create(
        rollback=rollback,
        user_id=actor.user_id,
        decision=decision,
        role=verdict.role or "",
        reason=reason,
        plan_digest=rollback.plan_digest,
        decided_at=now,
    )
    return verdict
