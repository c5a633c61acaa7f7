"""One step that acts: intent committed, effect done, effect read back, outcome committed.

    pending ─► starting ─► running ─► succeeded | failed | timed out | cancelled | unknown
                  │           └► waiting (accepted elsewhere) ─► running
                  └► skipped (its effect was there already)

`starting` has done nothing yet; from `running` on it may have. A worker that dies in either leaves a step
that the next one of the same host takes up: what was begun is waited for or harvested, never begun again.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

from django.conf import settings
from django.db import transaction

from core import live
from core.clock import utcnow
from core.operation import vitals
from rollbacks import supervisor
from rollbacks.executor import commands
from rollbacks.executor.holding import hold
from rollbacks.executor.outcomes import finish_step, settle_badly, skip_step, try_again
from rollbacks.executor.patience import patiently, surviving_the_database
from rollbacks.executor.rehearsing import keep_out_of_production
from rollbacks.executor.streaming import OutputStream, keep_text
from rollbacks.facts import ActingStep, Ending, Invocation, StepResult
from rollbacks.models import Rollback, RollbackStep
from rollbacks.policy import ProcedureChanged
from rollbacks.policy import procedure as procedure_of
from rollbacks.selectors.targets import why_not_target
from rollbacks.states import StepState
from rollbacks.steps import STEPS, command
from rollbacks.supervisor.program import failpoint
from rollbacks.transitions import StaleWorker, move_step

READ_BACK_TRIES = 3
READ_BACK_EVERY_SECONDS = 1.0
TRIES_AFTER_A_DEATH = 3

IsHeld = Callable[[], bool]


def act(rollback_id: int, fence: int, step_id: int, is_held: IsHeld) -> bool:
    """Bring the step as far as it goes; returns whether this worker should go on with the rollback."""
    step = RollbackStep.objects.get(pk=step_id)
    if step.due_at is not None and step.due_at > utcnow():
        return give_back(rollback_id, fence, step.due_at)
    resumed = step.state in (StepState.STARTING, StepState.RUNNING)
    if not resumed:
        step = _start(rollback_id, fence, step)
    failpoint("worker.starting")
    return _Attempt(rollback_id, fence, step, is_held, resumed=resumed).go()


def give_back(rollback_id: int, fence: int, until: dt.datetime) -> bool:
    """Nothing to do before `until`: no worker is held meanwhile."""
    Rollback.objects.filter(pk=rollback_id, fence=fence).update(
        due_at=until, lease_until=None, lease_owner=""
    )
    return False


def _start(rollback_id: int, fence: int, step: RollbackStep) -> RollbackStep:
    """Another attempt, of which nothing is done yet. Its folder is there before the row says so."""
    looks_again = step.state == StepState.WAITING
    step.attempt += not looks_again
    supervisor.prepare(commands.run_dir(Rollback.objects.get(pk=rollback_id), step))
    with transaction.atomic():
        rollback = hold(rollback_id, fence)
        step = rollback.steps.get(pk=step.pk)
        if looks_again:
            move_step(step, StepState.RUNNING, due_at=None, host=settings.HOST_NAME)
            return step
        commands.check_plan(rollback)
        move_step(
            step,
            StepState.STARTING,
            attempt=step.attempt + 1,
            started_at=utcnow(),
            finished_at=None,
            due_at=None,
            host=settings.HOST_NAME,
            exit_code=None,
            output_tail="",
            note="",
        )
        live.poke(f"rollback:{rollback.ref}", f"incident:{rollback.incident.ref}")
    return step


class _Attempt:
    """One attempt of a step by this worker, from wherever it stands."""

    def __init__(
        self, rollback_id: int, fence: int, step: RollbackStep, is_held: IsHeld, *, resumed: bool
    ) -> None:
        self.rollback_id, self.fence, self.step, self.resumed = rollback_id, fence, step, resumed
        self.rollback = Rollback.objects.select_related("incident", "service").get(pk=rollback_id)
        self.said: ActingStep = commands.acting(self.rollback, step)
        self._is_held = is_held

    def go(self) -> bool:
        if self.step.state == StepState.STARTING:
            if (settled := self._before()) is not None:
                return settled
            if why := self._intend():
                return self._commit(settle_badly, state=StepState.FAILED, note=why)
            self.resumed = False  # a step that was only starting has done nothing yet
        failpoint("worker.running")
        return self._conclude(self._run())

    # --- before -----------------------------------------------------------------------------------

    def _before(self) -> bool | None:
        """Look before acting; None when there is something to do."""
        if self.step.compensating:
            return None
        said = self.said
        if said.verify_before and self._probe(said.verify_before).exit_code == 0:
            return self._commit(skip_step, note="its effect was there already")
        check = procedure_of(self.rollback.procedure).target_check
        if said.switches and check:
            found = self._probe(check)
            if found.exit_code != 0:
                why = f"the target is not there any more: {_last_line(found)}"
                return self._commit(settle_badly, state=StepState.FAILED, note=why)
        return None

    @transaction.atomic
    def _intend(self) -> str:
        """From here on the step may have run; or why it must not."""
        rollback = hold(self.rollback_id, self.fence)
        step = rollback.steps.get(pk=self.step.pk)
        keep_out_of_production(rollback, step, self.said)
        if self.said.switches and not step.compensating and (why := why_not_target(rollback)):
            return f"the target is not there any more: {why}"
        now = utcnow()
        move_step(step, StepState.RUNNING)
        if self.said.mutating and rollback.mutated_at is None:
            Rollback.objects.filter(pk=rollback.pk, fence=self.fence).update(mutated_at=now)
        live.poke(f"rollback:{rollback.ref}", f"incident:{rollback.incident.ref}")
        self.step = step
        return ""

    # --- the work ---------------------------------------------------------------------------------

    def _run(self) -> StepResult:
        keep_out_of_production(self.rollback, self.step, self.said)
        kind = STEPS["command" if self.step.compensating else self.step.kind]
        if self.resumed and not kind.resumes and not self.step.memory:
            return StepResult(Ending.UNKNOWN, None, self.step.output_tail, note="the worker died meanwhile")
        invocation = self._prepare()
        stream = OutputStream(self.step, invocation.run_dir / "output")
        result = kind.run(
            invocation,
            report=lambda tail: self._report(stream, tail),
            should_stop=self._should_stop,
        )
        failpoint("worker.ended")
        patiently(lambda: self._keep_output(invocation, stream, result))
        return result

    def _prepare(self) -> Invocation:
        try:
            return commands.prepare(self.rollback, self.step, resumed=self.resumed)
        except ProcedureChanged:
            if not self.resumed or supervisor.forbid(commands.run_dir(self.rollback, self.step)):
                raise
            # Begun while the playbook was the approved one: no person is asked while it still runs.
            return commands.prepare(self.rollback, self.step, resumed=True, begun=True)

    def _report(self, stream: OutputStream, tail: str) -> None:
        vitals.progress()
        if not self._is_held():
            raise StaleWorker("The lease ended: another worker takes this up.")
        with surviving_the_database():
            came = stream.push()
            running = RollbackStep.objects.filter(
                pk=self.step.pk, state=StepState.RUNNING, attempt=self.step.attempt
            )
            if running.exclude(output_tail=tail).update(output_tail=tail) or came:
                live.poke(f"rollback:{self.rollback.ref}")

    def _should_stop(self) -> bool:
        if self.said.mutating:
            return False  # stopping a change half way is worse than waiting for its end
        asked = False
        with surviving_the_database():
            asked = Rollback.objects.filter(pk=self.rollback_id, cancel_requested_at__isnull=False).exists()
        return asked

    def _keep_output(self, invocation: Invocation, stream: OutputStream, result: StepResult) -> None:
        if (invocation.run_dir / "output").exists():
            stream.push(last=True)
        else:
            keep_text(self.step, result.output_tail)

    # --- after ------------------------------------------------------------------------------------

    def _conclude(self, result: StepResult) -> bool:
        facts: dict[str, object] = {
            "exit_code": result.exit_code,
            "output_tail": result.output_tail,
            "note": result.note,
        }
        if result.ending is Ending.LATER:
            return self._later(result)
        if result.ending is Ending.EXITED and result.exit_code == 0:
            if not self.said.verify_after or self.step.compensating or self._has_taken_effect():
                return self._commit(finish_step, **facts)
            facts["note"] = f"it ended well, but {self._read_back}"
            return self._failed(StepState.FAILED, facts)
        if result.ending is Ending.UNKNOWN:
            return self._nobody_knows(facts)
        state = {
            Ending.EXITED: StepState.FAILED,
            Ending.TIMED_OUT: StepState.TIMED_OUT,
            Ending.CANCELLED: StepState.CANCELLED,
        }[result.ending]
        return self._failed(state, facts)

    def _failed(self, state: StepState, facts: dict[str, object]) -> bool:
        again = self.said.repeatable and not self.step.compensating and state != StepState.CANCELLED
        if again and self.step.attempt < self.said.attempts:
            return self._commit(try_again, after_seconds=self._backoff(), **facts)
        return self._commit(settle_badly, state=state, **facts)

    def _nobody_knows(self, facts: dict[str, object]) -> bool:
        """The read-back decides; else what may be repeated is; else a person does."""
        note = str(facts.pop("note"))
        if self.said.verify_after and not self.step.compensating:
            if self._has_taken_effect():
                return self._commit(finish_step, note=f"{note}; {self._read_back}", **facts)
            note = f"{note}; {self._read_back}"
        again = self.said.repeatable and not self.step.compensating
        if again and self.step.attempt < max(self.said.attempts, TRIES_AFTER_A_DEATH):
            return self._commit(try_again, after_seconds=self._backoff(), note=note, **facts)
        return self._commit(settle_badly, state=StepState.UNKNOWN, note=note, **facts)

    @transaction.atomic
    def _later(self, result: StepResult) -> bool:
        rollback = hold(self.rollback_id, self.fence)
        step = rollback.steps.get(pk=self.step.pk)
        due = utcnow() + dt.timedelta(seconds=result.later_seconds)
        changes = {"output_tail": result.output_tail} if result.output_tail else {}
        move_step(step, StepState.WAITING, memory=dict(result.memory), due_at=due, **changes)
        return give_back(self.rollback_id, self.fence, due)

    def _has_taken_effect(self) -> bool:
        """Read back, a few times: an effect may need a moment to show."""
        assert self.said.verify_after is not None
        for number in range(READ_BACK_TRIES):
            if number:
                time.sleep(READ_BACK_EVERY_SECONDS)
            found = self._probe(self.said.verify_after)
            if found.exit_code == 0:
                self._read_back = "its read-back says that it took effect"
                return True
        self._read_back = f"its read-back says no: {_last_line(found)}"[:400]
        return False

    def _probe(self, name: str) -> StepResult:
        invocation = commands.probe(self.rollback, self.step, name)
        supervisor.prepare(invocation.run_dir)

        def report(_tail: str) -> None:
            vitals.progress()
            if not self._is_held():
                raise StaleWorker("The lease ended: another worker takes this up.")

        return command.run(invocation, report=report, should_stop=lambda: False)

    def _backoff(self) -> float:
        return float(self.said.backoff * 2 ** (self.step.attempt - 1))

    def _commit(self, outcome: Callable[..., bool], **values: object) -> bool:
        """Write an outcome, if this worker still holds the rollback; a short absence of the database is
        waited for."""

        @transaction.atomic
        def write() -> bool:
            rollback = hold(self.rollback_id, self.fence)
            step = rollback.steps.get(pk=self.step.pk)
            if "note" in values:
                values["note"] = str(values["note"])[:500]
            go_on = outcome(rollback, step, said=self.said, now=utcnow(), **values)
            live.poke(f"rollback:{rollback.ref}", f"incident:{rollback.incident.ref}")
            return go_on

        failpoint("worker.settling")
        go_on = patiently(write)
        failpoint("worker.settled")
        return go_on


def _last_line(result: StepResult) -> str:
    lines = result.output_tail.strip().splitlines()
    return lines[-1][:300] if lines else f"exit code {result.exit_code}"
