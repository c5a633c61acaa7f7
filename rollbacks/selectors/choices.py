"""What a person may do about a rollback now, why not, and what would follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from core.actors import Actor
from incidents.selectors.actions import Action, why_not_allowed
from rollbacks.models import Rollback, RollbackStep
from rollbacks.rules.authority import Case, either, judge_approval, judge_break_glass
from rollbacks.selectors.authority import demands_of, person_on_incident
from rollbacks.selectors.undo import ledger_around, other_targets, why_no_hand_over, why_no_undo
from rollbacks.states import (
    END_STATES,
    RUNNING_STATES,
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


def rollback_actions(
    actor: Actor, rollback: Rollback, steps: Sequence[RollbackStep], case: Case
) -> tuple[Action, ...]:
    """Approve, reject, edit, cancel, undo, judge: as far as the state has them (four queries at most)."""
    state = RollbackState(rollback.state)
    actions: list[Action] = []
    if state is RollbackState.AWAITING_APPROVAL:
        actions += _decisions(actor, rollback, case)
    if state in (RollbackState.AWAITING_APPROVAL, RollbackState.APPROVED):
        why_not = why_not_allowed(actor, "request_rollback")
        actions.append(_action(rollback, "edit", "Edit…", "pencil-square", why_not))
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


def _decisions(actor: Actor, rollback: Rollback, case: Case) -> list[Action]:
    """What may be said of a request (two queries at most)."""
    person = person_on_incident(actor, rollback.incident)
    refusal = why_not_allowed(actor, "decide_rollback")
    approval, breaking = judge_approval(person, case), judge_break_glass(person, case)
    no_rejection = refusal or ("" if approval.allowed else approval.reason)
    given = any(given.person == person and given.about_this_plan for given in case.approvals)
    no_approval = no_rejection or ("You approved it; another person is still missing." if given else "")
    no_breaking = refusal or ("" if breaking.allowed else breaking.reason)
    return [
        _action(rollback, "approve", "Approve", "check-circle", no_approval, primary=True),
        _action(rollback, "reject", "Reject", "x-circle", no_rejection),
        _action(rollback, "break_glass", "Break glass…", "fire", no_breaking, danger=True),
    ]


def attention_of(actor: Actor, rollback: Rollback, steps: Sequence[RollbackStep]) -> Attention | None:
    """What a person must know before deciding; None unless the rollback needs attention."""
    waiting = [step for step in steps if step.waits_for_a_decision]
    # Undoing goes backwards: there the last one stands in the way.
    step = waiting[-1 if rollback.compensating else 0] if waiting else None
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
    deciding = demands_of(rollback).deciding
    if set(deciding) & person_on_incident(actor, rollback.incident).roles:
        return ""
    return f"This is for {either(deciding)} of {rollback.incident.ref}."


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
    done = f"You have made sure that “{step.name}” took effect. The rollback {follows}."
    again = f"“{step.name}” runs once more, whatever it did before, and the rollback goes on from there."
    if rollback.compensating:
        done = f"You have made sure that “{step.name}” is undone. What was changed before it is undone next."
        again = f"“{step.name}” is undone once more, whatever the undoing did before."
    skipped = f"The {len(later)} steps after it are skipped; what" if later else "What"
    arguments = {"ref": rollback.ref, "position": step.position}
    return (
        Choice(
            "mark_done",
            "Mark the step done",
            done,
            reverse("rollbacks:mark_done", kwargs=arguments),
            enabled=not why_not,
            why_not=why_not,
        ),
        Choice(
            "retry",
            "Try the step again",
            again,
            reverse("rollbacks:retry", kwargs=arguments),
            enabled=not why_not,
            why_not=why_not,
            danger=step.mutating,
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
