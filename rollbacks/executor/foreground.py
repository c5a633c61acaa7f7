"""A brokerless run: one rollback brought to its end by the process that was asked to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connection, connections

from core import shutdown
from core.clock import utcnow
from rollbacks import policy
from rollbacks.executor.lease import claim
from rollbacks.executor.patience import AWAY
from rollbacks.executor.run import run_claimed
from rollbacks.models import Rollback, RollbackStep
from rollbacks.selectors.runners import SHOWN
from rollbacks.services.recovery import flag_lost_rollbacks
from rollbacks.states import END_STATES, RUNNABLE_STATES, RollbackState, StepState

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.5
LOST_EVERY_SECONDS = 5.0
OVER = (*END_STATES, RollbackState.NEEDS_ATTENTION)

Tell = Callable[[str], None]


def why_not_run(rollback: Rollback) -> str:
    """Why this host cannot run it now; empty when it can."""
    if rollback.state not in RUNNABLE_STATES:
        said = rollback.get_state_display().lower()
        if rollback.state in (RollbackState.REQUESTED, RollbackState.AWAITING_APPROVAL):
            return f"{rollback.ref} is not approved: it is {said}. Only what people approved is run."
        return f"{rollback.ref} is {said}: there is nothing to run."
    own = policy.digests().get(rollback.procedure)
    if own != rollback.procedure_digest:
        has = f"has it with digest {own[:SHOWN]}…" if own else "does not have it"
        return (
            f"{rollback.ref} was approved with the procedure {rollback.procedure} of digest"
            f" {rollback.procedure_digest[:SHOWN]}…, and the playbook of {settings.HOST_NAME} {has}."
        )
    return ""


def run_to_the_end(rollback_id: int, *, tell: Tell) -> RollbackState:
    """Run it whatever its queue, through waits and soaks, telling each change; returns how it stands then.

    Returns before the end when the process is asked to stop: between two steps.
    """
    over = threading.Event()
    worker = threading.Thread(target=_work, args=(rollback_id, over), name=f"rollback {rollback_id}")
    watch = _Watch(rollback_id, tell)
    worker.start()
    try:
        while not watch.is_over() and worker.is_alive():
            time.sleep(LOOK_EVERY_SECONDS)
    finally:
        over.set()
        worker.join()
    watch.is_over()
    return watch.state


def _work(rollback_id: int, over: threading.Event) -> None:
    lost_at = time.monotonic()
    try:
        while not over.is_set() and not shutdown.requested():
            try:
                if claimed := claim(only=rollback_id):
                    run_claimed(*claimed)
                elif time.monotonic() - lost_at > LOST_EVERY_SECONDS:  # perhaps nobody else looks
                    lost_at = time.monotonic()
                    flag_lost_rollbacks(now=utcnow())
            except AWAY as error:
                logger.warning("the database is away: %s", error)
                connection.close()
            over.wait(LOOK_EVERY_SECONDS)
    finally:
        connections.close_all()


class _Watch:
    """Tells what changed since the last look, whoever changed it."""

    def __init__(self, rollback_id: int, tell: Tell) -> None:
        self._rollback_id, self._tell = rollback_id, tell
        self._told: dict[int, tuple[str, int]] = {}
        self.state = RollbackState.APPROVED

    def is_over(self) -> bool:
        try:
            rollback = Rollback.objects.get(pk=self._rollback_id)
            steps = list(rollback.steps.exclude(state=StepState.PENDING, attempt=0).defer("output_tail"))
        except AWAY as error:
            logger.warning("the database is away: %s", error)
            connection.close()
            return False
        for step in steps:
            self._tell_step(step)
        if rollback.state != self.state:
            self.state = RollbackState(rollback.state)
            self._tell(f"{rollback.ref}: {self.state.label.lower()}")
        return self.state in OVER

    def _tell_step(self, step: RollbackStep) -> None:
        now_in = (step.state, step.attempt)
        if self._told.get(step.position) == now_in:
            return
        self._told[step.position] = now_in
        said = [str(StepState(step.state).label).lower()]
        if step.attempt > 1:
            said.append(f"attempt {step.attempt}")
        if step.state == StepState.WAITING and step.due_at:
            said.append(f"until {step.due_at:%H:%M:%S} UTC")
        if step.note:
            said.append(step.note)
        self._tell(f"  {step.position:2} {step.name}: {', '.join(said)}")
