"""What must hold after every fault, whatever was broken (architecture, Invariants)."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import Counter

import psutil

from core.models import Event
from core.verification import verify_stream
from incidents.models import Release
from rollbacks.models import Rollback
from rollbacks.states import END_STATES, RollbackState, StepState
from tests.rollbacks.workshop import Workshop

PAGED_WITHIN = dt.timedelta(seconds=60)
KNOWN_BY_PROOF = ("took effect", "marked done")


def check(workshop: Workshop, *rollbacks: Rollback) -> None:
    """Every invariant that a rollback's life can break; call when nothing runs any more."""
    for rollback in rollbacks:
        rollback.refresh_from_db()
        _is_at_rest(rollback)
        _commands_ran_at_most_once(workshop, rollback)
        _ends_are_final(rollback)
        _success_is_proved(rollback)
        _nothing_of_it_runs(workshop, rollback)
        assert verify_stream(rollback.incident.stream.name) == (1, [])
    live = Counter(r.service_id for r in Rollback.objects.live().filter(drill=False))
    assert all(count == 1 for count in live.values())


def _is_at_rest(rollback: Rollback) -> None:
    waits = (RollbackState.NEEDS_ATTENTION, RollbackState.AWAITING_APPROVAL)
    assert rollback.state in (*END_STATES, *waits), f"{rollback.ref} is still {rollback.state}"
    busy = rollback.steps.filter(state__in=("starting", "running"))
    assert not busy.exists(), f"{rollback.ref} rests, but {list(busy)} does not"


def _commands_ran_at_most_once(workshop: Workshop, rollback: Rollback) -> None:
    ran = Counter(line for line in workshop.runs if line[0] == rollback.ref)
    for step in rollback.steps.filter(kind="command", mutating=True):
        said = workshop.declared(step.key)
        if said.get("repeatable"):
            continue
        times = ran[(rollback.ref, str(said["command"]))]
        assert times <= 1, f"{step.key} of {rollback.ref} ran {times} times"
        proved = any(word in step.note for word in KNOWN_BY_PROOF)
        if step.state == StepState.SUCCEEDED and not proved:
            assert times == 1, f"{step.key} of {rollback.ref} is said to be done, and did not run"


def _ends_are_final(rollback: Rollback) -> None:
    kinds = [f"rollback.{end}" for end in END_STATES]
    ends = Event.objects.filter(
        stream=rollback.incident.stream, kind__in=kinds, data__rollback=rollback.ref
    ).count()
    assert ends == (1 if rollback.state in END_STATES else 0), f"{rollback.ref} ended {ends} times"
    if rollback.state == RollbackState.NEEDS_ATTENTION:
        assert Event.objects.filter(kind="rollback.needs_attention", data__rollback=rollback.ref).exists()


def _success_is_proved(rollback: Rollback) -> None:
    if rollback.state != RollbackState.SUCCEEDED:
        return
    live = Release.objects.get(service=rollback.service, state="live")
    assert live.version == rollback.target_version
    assert not rollback.steps.exclude(state__in=("succeeded", "skipped", "rehearsed")).exists()


def _nothing_of_it_runs(workshop: Workshop, rollback: Rollback) -> None:
    home = str(workshop.folder.parent)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            theirs = process.environ()
            left = (theirs.get("FIREBREAK_ROLLBACK"), theirs.get("HOME")) == (rollback.ref, home)
            assert not left or process.status() == psutil.STATUS_ZOMBIE, (
                f"{process} of {rollback.ref} runs on"
            )
