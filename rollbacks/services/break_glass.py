"""The command that lets one person decide alone, in the open."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.access import require
from core.actors import Actor
from core.assurance import require_assurance
from core.errors import Invalid
from rollbacks.models import Rollback
from rollbacks.rules.authority import judge_break_glass, seconds_left
from rollbacks.selectors.authority import case_of, person_on_incident
from rollbacks.services.endings import lock_rollback
from rollbacks.services.requests import (
    ApprovalRefused,
    let_run,
    note_decision,
    require_awaiting,
    require_plan,
)
from rollbacks.states import GLASS_BROKEN, ApprovalDecision
from rollbacks.timeline import record_on_rollback

SHORTEST_REASON = 10


@transaction.atomic
def break_glass(
    *, rollback_id: int, reason: str, actor: Actor, now: dt.datetime, plan_digest: str | None = None
) -> Rollback:
    """Let a rollback run although another person is missing; management is told at once.

    For whoever may decide the incident's rollback, in person; never for a database. Raises
    ApprovalRefused, Invalid, PlanChanged where the plan is another one than `plan_digest`, or Conflict when
    nothing awaits approval.
    """
    require(actor, "decide_rollback")
    if len(reason.strip()) < SHORTEST_REASON:
        raise Invalid({"reason": f"Say why in at least {SHORTEST_REASON} characters: it will be reviewed."})
    rollback = lock_rollback(rollback_id, actor)
    require_plan(rollback, plan_digest)
    require_awaiting(rollback, now)
    verdict = judge_break_glass(person_on_incident(actor, rollback.incident), case_of(rollback, now))
    if not verdict.allowed:
        raise ApprovalRefused(verdict.reason)
    require_assurance(actor, now)
    note_decision(rollback, verdict, ApprovalDecision.BROKE, reason, actor=actor, now=now)
    Rollback.objects.filter(pk=rollback.pk).update(break_glass=True)
    let_run(rollback, now=now, seconds=seconds_left(case_of(rollback, now)))
    record_on_rollback(
        rollback,
        GLASS_BROKEN,
        f"{actor.label} broke the glass and decided it alone: {reason} To be reviewed afterwards.",
        actor=actor,
        now=now,
        data={"reason": reason[:500], "role": verdict.role or "", "to_review": True},
    )
    return rollback
