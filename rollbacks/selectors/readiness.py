"""How ready a service is to be rolled back: its drills, when, how they ended, how long each part took."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.actors import Actor
from rollbacks.models import Rollback, RollbackStep
from rollbacks.selectors.rollback_page import rollback_url
from rollbacks.states import UNSETTLED_STEPS, Phase, RollbackState

# A drill that was cancelled or pre-empted shows nothing; one that was never approved neither.
_SHOWS_SOMETHING = (RollbackState.SUCCEEDED, RollbackState.FAILED, RollbackState.RESOLVED_BY_HAND)


@dataclass(frozen=True)
class Rehearsal:
    """The last drill of a procedure on a service that came to an end of its own.

    Times are seconds, None where the drill did not come so far. `detect`: from the incident's start until
    somebody asked; `decide`: until it was approved; then the phases, from their first step's start to their
    last step's end. `failed_step` is a position.
    """

    ref: str
    url: str
    procedure: str
    ended_at: dt.datetime
    succeeded: bool
    failed_step: int | None
    detect_seconds: float
    decide_seconds: float | None
    validate_seconds: float | None
    execute_seconds: float | None
    verify_seconds: float | None


def last_rehearsals(actor: Actor, service_ids: Iterable[int]) -> Mapping[tuple[int, str], Rehearsal]:
    """The last drills that the actor may see, by service and procedure (two queries)."""
    drills = (
        Rollback.objects.visible_to(actor)
        .filter(service__in=list(service_ids), drill=True, state__in=_SHOWS_SOMETHING)
        .exclude(started_at=None)
        .order_by("service_id", "procedure", "-completed_at")
        .distinct("service_id", "procedure")
        .select_related("incident")
        .prefetch_related("steps")
    )
    return {(drill.service_id, drill.procedure): _rehearsal(drill) for drill in drills}


def rehearsal_text(rehearsal: Rehearsal | None, *, now: dt.datetime) -> str:
    """`Rehearsed 94 days ago, failed at step 3`, or `Never rehearsed`."""
    if rehearsal is None:
        return "Never rehearsed"
    days = (now - rehearsal.ended_at).days
    when = {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")
    if rehearsal.succeeded:
        return f"Rehearsed {when}"
    return f"Rehearsed {when}, failed" + (
        f" at step {rehearsal.failed_step}" if rehearsal.failed_step else ""
    )


def _rehearsal(drill: Rollback) -> Rehearsal:
    steps = list(drill.steps.all())
    assert drill.completed_at is not None
    bad = (step.position for step in steps if step.state in UNSETTLED_STEPS and not step.tolerated)
    return Rehearsal(
        ref=drill.ref,
        url=rollback_url(drill.ref),
        procedure=drill.procedure,
        ended_at=drill.completed_at,
        succeeded=drill.state == RollbackState.SUCCEEDED,
        failed_step=next(bad, None),
        detect_seconds=(drill.requested_at - drill.incident.started_at).total_seconds(),
        decide_seconds=_between(drill.requested_at, drill.approved_at),
        validate_seconds=_phase_seconds(steps, Phase.VALIDATE),
        execute_seconds=_phase_seconds(steps, Phase.EXECUTE),
        verify_seconds=_phase_seconds(steps, Phase.VERIFY),
    )


def _phase_seconds(steps: Sequence[RollbackStep], phase: Phase) -> float | None:
    own = [step for step in steps if step.phase == phase]
    begun = min((step.started_at for step in own if step.started_at), default=None)
    return _between(begun, max((step.finished_at for step in own if step.finished_at), default=None))


def _between(start: dt.datetime | None, end: dt.datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
