"""Running due rollbacks step by step: intent committed, effect done, outcome committed."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import transaction

from core import live, shutdown
from core.actors import AUTOMATION, SYSTEM, actor_for_user
from core.clock import utcnow
from core.errors import FirebreakError, NotFound
from core.logs import about
from core.operation import vitals
from incidents import policy as incident_policy
from incidents.models import Service
from incidents.services.incidents import follow_rollback
from incidents.services.services import switch_back
from incidents.states import IncidentStatus
from rollbacks import policy
from rollbacks.executor import commands
from rollbacks.executor.holding import hold
from rollbacks.executor.lease import Lease, claim
from rollbacks.executor.outcomes import finish_step, step_failed
from rollbacks.executor.patience import patiently, surviving_the_database
from rollbacks.executor.soak import watch_soak
from rollbacks.facts import Ending, Invocation, StepResult
from rollbacks.models import Rollback, RollbackStep
from rollbacks.rules.authority import judge_request
from rollbacks.selectors.decisions import candidate_targets, live_release, person_on_incident
from rollbacks.services.endings import ask_for_a_person, end_rollback
from rollbacks.states import PHASE_STATE, SOAK, Phase, RollbackState, StepState, Trigger
from rollbacks.steps import STEPS
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import StaleWorker, move_rollback, move_step

logger = logging.getLogger(__name__)


def run_due(*, now: dt.datetime) -> int:
    """Take up due rollbacks one after the other and run each as far as it goes; returns how many."""
    taken = 0
    while not shutdown.requested() and (claimed := claim()):
        _run(*claimed)
        taken += 1
    return taken


def _run(rollback_id: int, fence: int) -> None:
    ref, incident = Rollback.objects.values_list("ref", "incident__ref").get(pk=rollback_id)
    with about(rollback=ref, incident=incident), Lease(rollback_id, fence) as lease:
        try:
            while lease.is_held and _advance(rollback_id, fence):
                pass
        except (StaleWorker, NotFound):
            logger.warning("rollback %s was taken over; this worker stops", rollback_id)
        except FirebreakError as error:
            _give_to_a_person(rollback_id, fence, error.message)
        except Exception as error:
            logger.exception("rollback %s stopped on an error", rollback_id)
            _give_to_a_person(rollback_id, fence, f"an unexpected error: {type(error).__name__}: {error}")


def _advance(rollback_id: int, fence: int) -> bool:
    """Do the next thing; returns whether this worker should go on with this rollback."""
    now = utcnow()
    rollback = _read(rollback_id, fence)
    if rollback.state == RollbackState.APPROVED:
        return _begin(rollback_id, fence, now)
    if rollback.cancel_requested_at is not None:
        return _stop_on_request(rollback_id, fence, now)
    if shutdown.requested():
        return _hand_back(rollback_id, fence)
    step = rollback.steps.exclude(state__in=(StepState.SUCCEEDED, StepState.SKIPPED)).first()
    if step is None:
        return _succeed(rollback_id, fence, now)
    if PHASE_STATE[Phase(step.phase)] != rollback.state:
        return _enter_phase(rollback_id, fence, Phase(step.phase), now)
    if step.kind == SOAK:
        return watch_soak(rollback_id, fence, step.pk, now)
    return _run_step(rollback_id, fence, step.pk)


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
    if rollback.approval_expires_at is not None and rollback.approval_expires_at < now:
        return "its approval has expired"
    live_now = live_release(rollback.service)
    if live_now is None or live_now.version != rollback.from_version:
        return f"{rollback.from_version} is no longer live"
    if rollback.target_version not in [release.version for release in candidate_targets(rollback.service)]:
        return f"{rollback.target_version} is no longer a verified good release"
    digest = policy.plan_digest(
        procedure_digest=rollback.procedure_digest,
        service=rollback.service.slug,
        target_version=rollback.target_version,
        parameters=rollback.parameters,
    )
    if digest != rollback.plan_digest:
        return "the plan was edited after it was requested"
    return _why_not_authorised(rollback)


def _why_not_authorised(rollback: Rollback) -> str:
    incident = rollback.incident
    authority = incident_policy.rollback_authority(incident.severity, incident.security_level)
    approvals = list(
        rollback.approvals.filter(decision="approved", plan_digest=rollback.plan_digest).select_related(
            "user"
        )
    )
    if approvals:
        wanted = set(policy.automation().approvers) if authority.approval else set(authority.roles)
        still = [a for a in approvals if wanted & person_on_incident(actor_for_user(a.user), incident).roles]
        return "" if still else "nobody who approved holds the role any more"
    if rollback.trigger == Trigger.AUTOMATED:
        allowed = not judge_request(
            person_on_incident(AUTOMATION, incident), authority, automatic_allowed=True
        ).needs_approval
        return "" if allowed else "automation may not decide this"
    requester = rollback.requested_by_user
    if requester is None:
        return "the account that requested it is gone"
    verdict = judge_request(
        person_on_incident(actor_for_user(requester), incident), authority, automatic_allowed=False
    )
    return verdict.reason if verdict.needs_approval else ""


@transaction.atomic
def _enter_phase(rollback_id: int, fence: int, phase: Phase, now: dt.datetime) -> bool:
    """The phase before is done. After execution the ledger says what is live now."""
    service_id = Rollback.objects.values_list("service_id", flat=True).get(pk=rollback_id)
    Service.objects.select_for_update(no_key=True).get(pk=service_id)
    rollback = hold(rollback_id, fence)
    move_rollback(rollback, PHASE_STATE[phase], due_at=now)
    if phase is Phase.VERIFY:
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


def _run_step(rollback_id: int, fence: int, step_id: int) -> bool:
    rollback, step, invocation = _start_step(rollback_id, fence, step_id)

    def report(output_tail: str) -> None:
        vitals.progress()
        with surviving_the_database(), transaction.atomic():
            running = RollbackStep.objects.filter(pk=step.pk, state=StepState.RUNNING, attempt=step.attempt)
            if running.exclude(output_tail=output_tail).update(output_tail=output_tail):
                live.poke(f"rollback:{rollback.ref}")

    def should_stop() -> bool:
        if step.mutating:
            return False  # stopping a change half way is worse than waiting for its end
        asked = False
        with surviving_the_database():
            asked = Rollback.objects.filter(pk=rollback.pk, cancel_requested_at__isnull=False).exists()
        return asked

    result = STEPS[step.kind].run(invocation, report=report, should_stop=should_stop)
    return patiently(lambda: _settle(rollback_id, fence, step, result))


@transaction.atomic
def _start_step(rollback_id: int, fence: int, step_id: int) -> tuple[Rollback, RollbackStep, Invocation]:
    """Commit the intent: from here on the step may have run."""
    now = utcnow()
    rollback = hold(rollback_id, fence)
    step = rollback.steps.get(pk=step_id)
    invocation = commands.prepare(rollback, step)
    move_step(step, StepState.STARTING)
    RollbackStep.objects.filter(pk=step.pk).update(attempt=step.attempt + 1)
    step.refresh_from_db()
    move_step(step, StepState.RUNNING, started_at=now, output_tail="")
    if step.mutating and rollback.mutated_at is None:
        Rollback.objects.filter(pk=rollback.pk, fence=fence).update(mutated_at=now)
    live.poke(f"rollback:{rollback.ref}", f"incident:{rollback.incident.ref}")
    return rollback, step, invocation


@transaction.atomic
def _settle(rollback_id: int, fence: int, step: RollbackStep, result: StepResult) -> bool:
    now = utcnow()
    rollback = hold(rollback_id, fence)
    changes = {"exit_code": result.exit_code, "output_tail": result.output_tail}
    if result.ending is Ending.EXITED and result.exit_code == 0:
        finish_step(rollback, step, now=now, **changes)
        return True
    state = {
        Ending.EXITED: StepState.FAILED,
        Ending.TIMED_OUT: StepState.TIMED_OUT,
        Ending.CANCELLED: StepState.CANCELLED,
    }[result.ending]
    move_step(step, state, finished_at=now, **changes)
    step_failed(rollback, step, now=now)
    return False


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
    step = rollback.steps.exclude(state__in=(StepState.SUCCEEDED, StepState.SKIPPED)).first()
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
        f"{rollback.service.name} is back on {rollback.target_version}, verified, after {seconds} s",
        actor=SYSTEM,
        now=now,
    )
    return False


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
    if rollback.mutated_at is None and rollback.state in (
        RollbackState.APPROVED,
        RollbackState.VALIDATING,
    ):
        end_rollback(rollback, RollbackState.FAILED, why, actor=SYSTEM, now=now)
        return
    step = rollback.steps.exclude(state__in=(StepState.SUCCEEDED, StepState.SKIPPED)).first()
    if step is not None and step.state in (StepState.RUNNING, StepState.STARTING):
        move_step(step, StepState.UNKNOWN, finished_at=now, note=why[:500])
    elif step is not None and step.state in (StepState.PENDING, StepState.WAITING):
        move_step(step, StepState.CANCELLED, finished_at=now, note=why[:500])
    ask_for_a_person(rollback, why, actor=SYSTEM, now=now)
