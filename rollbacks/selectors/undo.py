"""Whether a rollback can be undone, or handed over to one that goes elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from incidents.states import IncidentKind, ReleaseState
from rollbacks.models import Rollback, RollbackStep
from rollbacks.rules.targets import Judged, Listed, judge_targets, why_no_return
from rollbacks.selectors.targets import list_ledger, needs_of
from rollbacks.states import UNSETTLED_STEPS, RollbackState, StepState


def ledger_around(rollback: Rollback) -> list[Listed]:
    """The service's ledger with both versions of the rollback (one query)."""
    return list_ledger(rollback.service, rollback.from_version, rollback.target_version)


def switched_by_now(
    rollback: Rollback, steps: Sequence[RollbackStep], ledger: Sequence[Listed]
) -> Listed | None:
    """The target, where it is what runs: by the ledger, or by a switch that is not noted there yet."""
    by_version = {listed.version: listed for listed in ledger}
    target, source = by_version.get(rollback.target_version), by_version.get(rollback.from_version)
    if target is None or target.state is ReleaseState.LIVE:
        return target
    waits = rollback.state == RollbackState.NEEDS_ATTENTION
    behind = source is not None and source.state is ReleaseState.LIVE
    return target if waits and behind and any(_is_done_switch(step) for step in steps) else None


def why_no_undo(rollback: Rollback, steps: Sequence[RollbackStep], ledger: Sequence[Listed]) -> str:
    """Why the way back cannot be asked for; empty when it can. `ledger` is of `ledger_around`.

    What was left need not be good: a person asks for it knowingly, and another one approves. A
    quarantine still stands in the way; whoever wants to go there lifts it first.
    """
    if rollback.state not in (RollbackState.NEEDS_ATTENTION, RollbackState.SUCCEEDED):
        return f"{rollback.ref} is {rollback.get_state_display().lower()}: there is nothing to undo."
    if refusal := _why_no_child(rollback):
        return refusal
    now_live = switched_by_now(rollback, steps, ledger)
    if now_live is None:
        return _why_not_switched(rollback, steps, ledger)
    target = next((listed for listed in ledger if listed.version == rollback.from_version), None)
    needs = needs_of(rollback.procedure)
    why_not = why_no_return(target, now_live, needs=needs) if target else "it is not recorded"
    return f"{rollback.from_version} may not be returned to: {why_not}." if why_not else ""


def why_no_hand_over(rollback: Rollback) -> str:
    """Why another rollback cannot take over from this one; empty when it can."""
    if rollback.state != RollbackState.NEEDS_ATTENTION:
        return f"{rollback.ref} is {rollback.get_state_display().lower()}: there is nothing to hand over."
    return _why_no_child(rollback)


def other_targets(rollback: Rollback, ledger: Sequence[Listed]) -> tuple[Judged, ...]:
    """Where a rollback that takes over from this one may go."""
    security = rollback.incident.kind == IncidentKind.SECURITY
    targets = judge_targets(ledger, security=security, needs=needs_of(rollback.procedure))
    return tuple(judged for judged in targets.candidates if judged.version != rollback.target_version)


def _is_done_switch(step: RollbackStep) -> bool:
    was_so_already = step.state == StepState.SKIPPED and step.attempt > 0
    return step.switches and (step.state == StepState.SUCCEEDED or was_so_already)


def _why_no_child(rollback: Rollback) -> str:
    if rollback.returns != "version":
        return f"{rollback.ref} returned the {rollback.returns}; the version never changed."
    if rollback.parent is not None and rollback.parent.parent_id is not None:
        return f"{rollback.ref} follows two others, each after the one before: go on by hand."
    return ""


def _why_not_switched(rollback: Rollback, steps: Sequence[RollbackStep], ledger: Sequence[Listed]) -> str:
    live = next((listed.version for listed in ledger if listed.state is ReleaseState.LIVE), None)
    if live != rollback.from_version:
        return f"{live or 'nothing'} is live by now: this rollback has nothing to do with it any more."
    if rollback.state == RollbackState.SUCCEEDED:
        return f"{live} is live again: there is nothing to undo."
    unsure = next((step for step in steps if step.switches and step.state in UNSETTLED_STEPS), None)
    if unsure is not None:
        return f"“{unsure.name}” did not succeed: mark it done if it took effect, else abort instead."
    return "Nothing was switched: abort instead."
