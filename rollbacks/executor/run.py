"""Running due rollbacks step by step: intent committed, effect done, outcome committed."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import transaction

from core import live, shutdown
from core.actors import SYSTEM
from core.clock import utcnow
from core.errors import FirebreakError, NotFound
from core.logs import about
from incidents.models import Service
from incidents.services.incidents import follow_rollback
from incidents.services.services import switch_back
from incidents.states import IncidentStatus
from rollbacks.executor import commands, confirming
from rollbacks.executor.acting import IsHeld, act
from rollbacks.executor.holding import hold
from rollbacks.executor.lease import Lease, claim
from rollbacks.executor.outcomes import skip_step
from rollbacks.executor.rehearsing import is_only_rehearsed, rehearse
from rollbacks.executor.undoing import undo_next
from rollbacks.executor.waiting import WAITING_KINDS
from rollbacks.models import Rollback, RollbackStep
from rollbacks.selectors.authority import why_not_authorised
from rollbacks.selectors.decisions import live_release
from rollbacks.selectors.progress import has_switched, next_step
from rollbacks.selectors.targets import why_not_target
from rollbacks.services.endings import ask_for_a_person, end_rollback
from rollbacks.states import BUSY_STEPS, PHASE_STATE, Phase, RollbackState, StepState
from rollbacks.supervisor.program import failpoint
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import StaleWorker, move_rollback, move_step

logger = logging.getLogger(__name__)

_ENTERED = {
    Phase.VALIDATE: "checks before anything is changed",
    Phase.EXECUTE: "all checks passed; what has to change is changed now",
    Phase.VERIFY: "everything is changed; what users see is verified now",
}


def run_due(*, now: dt.datetime) -> int:
    """Take up due rollbacks one after the other and run each as far as it goes; returns how many."""
    taken = 0
    while not shutdown.requested() and (claimed := claim()):
        run_claimed(*claimed)
        taken += 1
    return taken


def run_claimed(rollback_id: int, fence: int) -> None:
    """Run one that this process has claimed as far as it goes."""
    ref, incident = Rollback.objects.values_list("ref", "incident__ref").get(pk=rollback_id)
    with about(rollback=ref, incident=incident), Lease(rollback_id, fence) as lease:
        try:
            failpoint("worker.claimed")
            while lease.is_held and _advance(rollback_id, fence, lambda: lease.is_held):
                pass
        except (StaleWorker, NotFound):
            logger.warning("rollback %s was taken over; this worker stops", rollback_id)
        except FirebreakError as error:
            _give_to_a_person(rollback_id, fence, error.message)
        except Exception as error:
            logger.exception("rollback %s stopped on an error", rollback_id)
            _give_to_a_person(rollback_id, fence, f"an unexpected error: {type(error).__name__}: {error}")


def _advance(rollback_id: int, fence: int, is_held: IsHeld) -> bool:
    """Do the next thing; returns whether this worker should go on with this rollback."""
    now = utcnow()
    rollback = _read(rollback_id, fence)
    if rollback.state == RollbackState.APPROVED:
        return _begin(rollback_id, fence, now)
    busy = rollback.steps.filter(state__in=BUSY_STEPS).first()
    if busy is not None:  # what was begun comes before everything else
        return act(rollback_id, fence, busy.pk, is_held)
    if rollback.cancel_requested_at is not None:
        return _stop_on_request(rollback_id, fence, now)
    if shutdown.requested():
        return _hand_back(rollback_id, fence)
    if confirming.is_open(rollback) and confirming.has_an_answer(rollback, now):
        return confirming.settle(rollback_id, fence, now)
    if rollback.compensating:
        return undo_next(rollback_id, fence, is_held, now)
    step = next_step(rollback)
    if step is None:
        return _succeed(rollback_id, fence, now)
    if PHASE_STATE[Phase(step.phase)] != rollback.state:
        if confirming.is_open(rollback):  # what changes nothing is done; what changes something must wait
            return confirming.wait(rollback, fence, now)
        return _enter_phase(rollback_id, fence, Phase(step.phase), now)
    if why := _why_not_needed(rollback, step):
        return _pass_over(rollback_id, fence, step.pk, why, now)
    if rollback.drill and is_only_rehearsed(commands.declared(rollback, step)):
        return rehearse(rollback_id, fence, step.pk, now)
    if step.kind in WAITING_KINDS:
        return WAITING_KINDS[step.kind](rollback_id, fence, step.pk, now)
    return act(rollback_id, fence, step.pk, is_held)


def _why_not_needed(rollback: Rollback, step: RollbackStep) -> str:
    condition = commands.declared(rollback, step).only_if_failed
    if condition is None or rollback.steps.filter(key=condition, tolerated=True).exists():
        return ""
    return f"“{condition}” did not fail"


@transaction.atomic
def _pass_over(rollback_id: int, fence: int, step_id: int, why: str, now: dt.datetime) -> bool:
    rollback = hold(rollback_id, fence)
    step = rollback.steps.get(pk=step_id)
    return skip_step(rollback, step, said=commands.declared(rollback, step), now=now, note=why)


def _read(rollback_id: int, fence: int) -> Rollback:
    rollback = Rollback.objects.select_related("incident", "service").get(pk=rollback_id)
    if rollback.fence != fence:
        raise StaleWorker("Another worker holds this rollback.", state=rollback.state)
    return rollback


@transaction.atomic
def _begin(rollback_id: int, fence: int, now: dt.datetime) -> bool:
    """From approved to validating, if what was approved still stands."""
    rollback = hold(rollback_id, fence)
    refusal = _why_not_now(rollback, now)
    if refusal:
        end_rollback(rollback, RollbackState.FAILED, f"not started: {refusal}", actor=SYSTEM, now=now)
        return False
    follow_rollback(
        incident_id=rollback.incident_id,
        to=IncidentStatus.ROLLBACK_INITIATED,
        summary=f"{rollback.ref} runs",
        actor=SYSTEM,
        now=now,
    )
    move_rollback(rollback, RollbackState.VALIDATING, started_at=now, due_at=now)
    record_on_rollback(
        rollback,
        "rollback.started",
        f"{rollback.from_version} → {rollback.target_version} of {rollback.service.name} started",
        actor=SYSTEM,
        now=now,
        data={
            "trigger": rollback.trigger,
            "from": rollback.from_version,
            "target": rollback.target_version,
        },
    )
    return True


def _why_not_now(rollback: Rollback, now: dt.datetime) -> str:
    """Authority, approval, target and playbook are judged again at the moment of execution."""
    commands.check_playbook(rollback)
    live_now = live_release(rollback.service)
    if live_now is None or live_now.version != rollback.from_version:
        return f"{rollback.from_version} is no longer live"
    if why := why_not_target(rollback):
        return why
    if why := commands.why_not_as_requested(rollback):
        return why
    return why_not_authorised(rollback, now)


@transaction.atomic
def _enter_phase(rollback_id: int, fence: int, phase: Phase, now: dt.datetime) -> bool:
    """The phase before is done. After execution the ledger says what is live now."""
    service_id = Rollback.objects.values_list("service_id", flat=True).get(pk=rollback_id)
    Service.objects.select_for_update(no_key=True).get(pk=service_id)
    rollback = hold(rollback_id, fence)
    move_rollback(rollback, PHASE_STATE[phase], due_at=now)
    record_on_rollback(
        rollback, "rollback.phase_entered", _ENTERED[phase], actor=SYSTEM, now=now, data={"phase": phase}
    )
    if phase is Phase.VERIFY and has_switched(rollback):
        switch_back(
            service_id=service_id,
            from_version=rollback.from_version,
            to_version=rollback.target_version,
            rollback_ref=rollback.ref,
            actor=SYSTEM,
            now=now,
        )
    live.poke(f"rollback:{rollback.ref}", f"incident:{rollback.incident.ref}")
    return True


@transaction.atomic
def _stop_on_request(rollback_id: int, fence: int, now: dt.datetime) -> bool:
    rollback = hold(rollback_id, fence)
    who = rollback.cancel_requested_by
    if rollback.mutated_at is None:
        rollback.steps.filter(state=StepState.WAITING).update(state=StepState.CANCELLED, finished_at=now)
        end_rollback(
            rollback,
            RollbackState.CANCELLED,
            f"cancelled by {who}; nothing was changed",
            actor=SYSTEM,
            now=now,
        )
        return False
    step = next_step(rollback)
    if step is not None and step.state in (StepState.PENDING, StepState.WAITING):
        move_step(step, StepState.CANCELLED, finished_at=now, note=f"stopped by {who}"[:500])
    Rollback.objects.filter(pk=rollback.pk).update(cancel_requested_at=None)
    rollback.refresh_from_db()
    ask_for_a_person(rollback, f"{who} stopped it after changes had begun", actor=SYSTEM, now=now)
    return False


@transaction.atomic
def _succeed(rollback_id: int, fence: int, now: dt.datetime) -> bool:
    rollback = hold(rollback_id, fence)
    started = rollback.started_at or now
    seconds = int((now - started).total_seconds())
    end_rollback(
        rollback,
        RollbackState.SUCCEEDED,
        f"{_what_is_back(rollback)}, verified, after {seconds} s",
        actor=SYSTEM,
        now=now,
    )
    return False


def _what_is_back(rollback: Rollback) -> str:
    name = rollback.service.name
    if rollback.drill:
        return f"the drill of {name} is through"
    if rollback.returns != "version":
        return f"the {rollback.returns} of {name} is back"
    if has_switched(rollback):
        return f"{name} is back on {rollback.target_version}"
    return f"{name} is well again without leaving {rollback.from_version}"


def _hand_back(rollback_id: int, fence: int) -> bool:
    """This process stops: whoever comes next may take the rollback up at once."""
    Rollback.objects.filter(pk=rollback_id, fence=fence).update(lease_until=None, lease_owner="")
    return False


@transaction.atomic
def _give_to_a_person(rollback_id: int, fence: int, why: str) -> None:
    """Something this worker cannot decide: clean rollbacks fail, changed ones wait for a person."""
    try:
        rollback = hold(rollback_id, fence)
    except (StaleWorker, NotFound):
        return
    now = utcnow()
    may_fail = (RollbackState.APPROVED, RollbackState.VALIDATING)
    clean = rollback.mutated_at is None and (rollback.drill or rollback.state in may_fail)
    step = next_step(rollback)
    if step is not None and step.state in BUSY_STEPS:
        move_step(step, StepState.FAILED if clean else StepState.UNKNOWN, finished_at=now, note=why[:500])
    elif step is not None and step.state in (StepState.PENDING, StepState.WAITING):
        move_step(step, StepState.CANCELLED, finished_at=now, note=why[:500])
    if clean:
        end_rollback(rollback, RollbackState.FAILED, why, actor=SYSTEM, now=now)
    else:
        ask_for_a_person(rollback, why, actor=SYSTEM, now=now)
