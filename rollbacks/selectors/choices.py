"""What a person may do about a rollback now, why not, and what would follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from core.actors import Actor
from incidents import policy as incident_policy
from incidents.selectors.actions import Action, why_not_allowed
from rollbacks import policy
from rollbacks.models import Rollback, RollbackStep
from rollbacks.rules.authority import Person, judge_approval
from rollbacks.selectors.decisions import person_on_incident
from rollbacks.states import RUNNING_STATES, UNSETTLED_STEPS, RollbackState, StepState


@dataclass(frozen=True)
class Choice:
    """One way out of `needs_attention`, with its consequence in words."""

    key: str
    label: str
    consequence: str
    url: str
    enabled: bool
    why_not: str
    needs_reason: bool = True
    danger: bool = False


@dataclass(frozen=True)
class Attention:
    """Why a rollback waits for a person: what is known, what is not, and the choices."""

    known: tuple[str, ...]
    unknown: tuple[str, ...]
    choices: tuple[Choice, ...]


def rollback_actions(actor: Actor, rollback: Rollback) -> tuple[Action, ...]:
    """Approve, reject, cancel: as far as the rollback's state has them (two queries at most)."""
    state = RollbackState(rollback.state)
    actions: list[Action] = []
    if state is RollbackState.AWAITING_APPROVAL:
        why_not = why_no_approval(actor, rollback)
        actions.append(_action(rollback, "approve", "Approve", "check-circle", why_not, primary=True))
        actions.append(_action(rollback, "reject", "Reject", "x-circle", why_not))
    if state in (
        RollbackState.REQUESTED,
        RollbackState.AWAITING_APPROVAL,
        RollbackState.APPROVED,
        *RUNNING_STATES,
    ):
        why_not = why_not_allowed(actor, "request_rollback")
        if rollback.cancel_requested_at is not None:
            why_not = f"{rollback.cancel_requested_by} has asked it to stop."
        actions.append(_action(rollback, "cancel", "Cancel", "stop-circle", why_not, danger=True))
    return tuple(actions)


def why_no_approval(actor: Actor, rollback: Rollback) -> str:
    """Why the actor may not decide about this request; empty when they may."""
    if refusal := why_not_allowed(actor, "decide_rollback"):
        return refusal
    incident = rollback.incident
    verdict = judge_approval(
        person_on_incident(actor, incident),
        incident_policy.rollback_authority(incident.severity, incident.security_level),
        policy.automation().approvers,
        requester_id=rollback.requested_by_user_id,
        requested_by_person=not rollback.requested_by_token and rollback.requested_by_user_id is not None,
    )
    return "" if verdict.allowed else verdict.reason


def attention_of(actor: Actor, rollback: Rollback, steps: Sequence[RollbackStep]) -> Attention | None:
    """What a person must know before deciding; None unless the rollback needs attention."""
    step = next((step for step in steps if step.state in UNSETTLED_STEPS), None)
    if rollback.state != RollbackState.NEEDS_ATTENTION or step is None:
        return None
    return Attention(
        known=_known(rollback, step, steps),
        unknown=_unknown(rollback, step),
        choices=_choices(rollback, step, steps, _why_no_decision(actor, rollback)),
    )


def _why_no_decision(actor: Actor, rollback: Rollback) -> str:
    if refusal := why_not_allowed(actor, "decide_rollback"):
        return refusal
    incident = rollback.incident
    authority = incident_policy.rollback_authority(incident.severity, incident.security_level)
    wanted = {*authority.roles, *policy.automation().approvers}
    person: Person = person_on_incident(actor, incident)
    if wanted & person.roles:
        return ""
    return "This is for " + " or ".join(sorted(str(role.label) for role in wanted)) + f" of {incident.ref}."


def _known(rollback: Rollback, step: RollbackStep, steps: Sequence[RollbackStep]) -> tuple[str, ...]:
    done = [other.name for other in steps if other.state == StepState.SUCCEEDED]
    facts = [
        f"{rollback.attention[:1].upper()}{rollback.attention[1:]}." if rollback.attention else "",
        f"{len(done)} of {len(steps)} steps are done" + (f", the last was “{done[-1]}”." if done else "."),
        f"Changes began at {rollback.mutated_at:%H:%M:%S} UTC."
        if rollback.mutated_at
        else "Nothing was changed.",
        f"No other rollback of {rollback.service.name} can start until this one is decided.",
    ]
    if step.state == StepState.FAILED and step.exit_code is not None:
        facts.insert(1, f"“{step.name}” ended with exit code {step.exit_code}; its output stands below.")
    return tuple(fact for fact in facts if fact)


def _unknown(rollback: Rollback, step: RollbackStep) -> tuple[str, ...]:
    if step.state == StepState.UNKNOWN:
        return (
            f"Whether “{step.name}” took effect: look at {rollback.service.name} itself before you choose.",
            f"Which version serves now: {rollback.from_version}, {rollback.target_version}, or both.",
        )
    if step.mutating:
        return (f"How far “{step.name}” came before it stopped.",)
    if rollback.mutated_at is not None:
        return (f"Whether {rollback.service.name} is well on {rollback.target_version}.",)
    return ()


def _choices(
    rollback: Rollback, step: RollbackStep, steps: Sequence[RollbackStep], why_not: str
) -> tuple[Choice, ...]:
    later = [other for other in steps if other.position > step.position]
    follows = f"goes on with “{later[0].name}”" if later else "ends as succeeded"
    skipped = f"The {len(later)} steps after it are skipped; what" if later else "What"
    arguments = {"ref": rollback.ref, "position": step.position}
    return (
        Choice(
            "mark_done",
            "Mark the step done",
            f"You have made sure that “{step.name}” took effect. The rollback {follows}.",
            reverse("rollbacks:mark_done", kwargs=arguments),
            enabled=not why_not,
            why_not=why_not,
        ),
        Choice(
            "abort",
            "Abort, go on by hand",
            f"{skipped} was changed stays as it is, and Firebreak puts nothing back. The service is free for"
            f" another rollback, and {rollback.incident.ref} stays open.",
            reverse("rollbacks:abort", kwargs=arguments),
            enabled=not why_not,
            why_not=why_not,
            danger=True,
        ),
    )


def _action(
    rollback: Rollback,
    key: str,
    label: str,
    icon: str,
    why_not: str,
    *,
    primary: bool = False,
    danger: bool = False,
) -> Action:
    url = reverse(f"rollbacks:{key}", args=[rollback.ref])
    return Action(
        key=key,
        label=label,
        icon=icon,
        url=url,
        enabled=not why_not,
        why_not=why_not,
        primary=primary,
        danger=danger,
    )
