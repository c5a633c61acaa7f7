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
from rollbacks.selectors.undo import ledger_around, other_targets, why_no_hand_over, why_no_undo
from rollbacks.states import (
    END_STATES,
    RUNNING_STATES,
    UNSETTLED_STEPS,
    RollbackState,
    StepState,
    Trigger,
)


@dataclass(frozen=True)
class Choice:
    """One way out of `needs_attention`, with its consequence in words.

    `options` are the releases to choose from, as (version, label), where the choice asks for one.
    """

    key: str
    label: str
    consequence: str
    url: str
    enabled: bool
    why_not: str
    needs_reason: bool = True
    danger: bool = False
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Attention:
    """Why a rollback waits for a person: what is known, what is not, and the choices."""

    known: tuple[str, ...]
    unknown: tuple[str, ...]
    choices: tuple[Choice, ...]


def rollback_actions(actor: Actor, rollback: Rollback, steps: Sequence[RollbackStep]) -> tuple[Action, ...]:
    """Approve, reject, cancel, undo, judge: as far as the state has them (four queries at most)."""
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
    if state is RollbackState.SUCCEEDED:
        why_not = why_no_decision(actor, rollback) or why_no_undo(rollback, steps, ledger_around(rollback))
        actions.append(_action(rollback, "undo", "Undo…", "arrow-uturn-right", why_not, danger=True))
    if state in END_STATES and (rollback.started_at or rollback.trigger == Trigger.AUTOMATED):
        label = "Judge…" if rollback.false_positive is None else "Judge anew…"
        why_not = why_not_allowed(actor, "decide_rollback")
        actions.append(_action(rollback, "judge", label, "scale", why_not))
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
        choices=_choices(rollback, step, steps, why_no_decision(actor, rollback)),
    )


def why_no_decision(actor: Actor, rollback: Rollback) -> str:
    """Why the actor may not decide how a rollback goes on; empty when they may."""
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
        *_ways_elsewhere(rollback, steps, why_not),
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


def _ways_elsewhere(rollback: Rollback, steps: Sequence[RollbackStep], why_not: str) -> tuple[Choice, ...]:
    """Back to where it began, or to another release (one query)."""
    ledger = ledger_around(rollback)
    targets = other_targets(rollback, ledger)
    why_no_way = why_not or why_no_undo(rollback, steps, ledger)
    nowhere = "" if targets else f"No other release of {rollback.service.name} may be gone to."
    why_no_other = why_not or why_no_hand_over(rollback) or nowhere
    hands_over = (
        f"{rollback.ref} ends here and a new rollback takes its place, so that no other can come between."
        " It waits until another person approves."
    )
    return (
        Choice(
            "undo",
            f"Undo: back to {rollback.from_version}",
            f"{hands_over} It may go to {rollback.from_version} although that was left.",
            reverse("rollbacks:undo", args=[rollback.ref]),
            enabled=not why_no_way,
            why_not=why_no_way,
            danger=True,
        ),
        Choice(
            "hand_over",
            "Go to another release",
            hands_over,
            reverse("rollbacks:hand_over", args=[rollback.ref]),
            enabled=not why_no_other,
            why_not=why_no_other,
            options=tuple((judged.version, f"{judged.version}: {judged.why}") for judged in targets),
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
