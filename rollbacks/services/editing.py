"""The command that changes a rollback before it runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F

from core.access import require
from core.actors import Actor
from core.errors import Conflict, Invalid, NotAllowed
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.rules.authority import judge_plan, seconds_left
from rollbacks.selectors.authority import case_of
from rollbacks.services.endings import lock_rollback
from rollbacks.services.requests import awaiting, choose_versions, let_run
from rollbacks.states import RollbackState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_rollback

EDITABLE_STATES = (RollbackState.AWAITING_APPROVAL, RollbackState.APPROVED)
PLAN = ("target_version", "parameters")
WORDS = ("reason", "expected_duration_seconds", "expected_impact")


@transaction.atomic
def edit_rollback(
    *, rollback_id: int, changes: Mapping[str, Any], actor: Actor, now: dt.datetime
) -> Rollback:
    """Change where it goes, by which parameters, or what is said of it; only what is given changes.

    Another target or other parameters are another plan: every approval is void, and the plan is the
    editor's as if they had asked for it. Parameters that are not given stay. Raises Conflict once it
    runs, Invalid, NotAllowed, TargetUnverified or ProcedureChanged.
    """
    require(actor, "request_rollback")
    if not actor.is_person:
        raise NotAllowed("Only a person edits a rollback; a token cancels it and asks anew.")
    if unknown := set(changes) - {*PLAN, *WORDS}:
        raise Invalid(dict.fromkeys(unknown, "This is not edited."))
    rollback = lock_rollback(rollback_id, actor)
    if rollback.state not in EDITABLE_STATES:
        raise Conflict(
            f"{rollback.ref} is {rollback.state}: it is not edited any more.", state=rollback.state
        )
    words, plan = _other_words(rollback, changes), _other_plan(rollback, changes)
    if not words and not plan:
        return rollback
    before = {name: str(getattr(rollback, name)) for name in plan if name in PLAN}
    void = _make_void(rollback, now) if plan else []
    if plan:
        _await_anew(rollback, {**words, **plan, "edited_by_user_id": actor.user_id}, now)
    else:
        Rollback.objects.filter(pk=rollback.pk).update(**words, version=F("version") + 1)
        rollback.refresh_from_db()
    said = [f"{name.replace('_', ' ')} {was} → {getattr(rollback, name)}" for name, was in before.items()]
    said += [name.replace("_", " ") for name in words]
    lost = f"; no longer valid: what {', '.join(void)} decided" if void else ""
    record_on_rollback(
        rollback,
        "rollback.edited",
        f"{actor.label} changed {', '.join(said)}{lost}",
        actor=actor,
        now=now,
        data={
            "changed": sorted({*before, *words}),
            "other_plan": bool(plan),
            "void": void,
            "state": rollback.state,
            "target": rollback.target_version,
        },
    )
    return rollback


def _other_words(rollback: Rollback, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is said differently from now."""
    given = {name: changes[name] for name in WORDS if changes.get(name) is not None}
    if "reason" in given and not given["reason"].strip():
        raise Invalid({"reason": "Say why."})
    return {name: value for name, value in given.items() if value != getattr(rollback, name)}


def _other_plan(rollback: Rollback, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Target, parameters and digest where they differ from now; empty where the plan stays."""
    key, target = rollback.procedure, changes.get("target_version") or rollback.target_version
    given = {**rollback.parameters, **(changes.get("parameters") or {})}
    if target == rollback.target_version and given == rollback.parameters:
        return {}
    procedure = policy.procedure(key)
    if policy.digest(key) != rollback.procedure_digest:
        raise policy.ProcedureChanged(
            f"The playbook's {key} is another one by now: cancel {rollback.ref} and ask anew.",
            state=rollback.state,
        )
    parameters = policy.checked_parameters(key, given)
    if target != rollback.target_version:
        source, target = choose_versions(rollback.service, rollback.incident, key, procedure, target)
        if source != rollback.from_version:
            raise Conflict(
                f"{source} is live by now: cancel {rollback.ref} and ask anew.", state=rollback.state
            )
    digest = policy.plan_digest(
        procedure_digest=rollback.procedure_digest,
        service=rollback.service.slug,
        target_version=target,
        parameters=parameters,
    )
    now = {"target_version": target, "parameters": parameters}
    changed = {name: value for name, value in now.items() if value != getattr(rollback, name)}
    return {**changed, "plan_digest": digest} if changed else {}


def _make_void(rollback: Rollback, now: dt.datetime) -> list[str]:
    """Every decision about the plan as it was; returns whose."""
    standing = rollback.approvals.filter(voided_at=None)
    names = list(standing.order_by("decided_at").values_list("user__username", flat=True))
    standing.update(voided_at=now)
    return names


def _await_anew(rollback: Rollback, changes: dict[str, Any], now: dt.datetime) -> None:
    """Back to awaiting approval with another plan, and on at once where its editor may decide it alone."""
    columns = {**changes, **awaiting(now, policy.automation().approval_valid), "break_glass": False}
    columns |= {"breach_check": "", "breach_check_until": None}  # the plan is a person's now
    if rollback.state == RollbackState.APPROVED:
        move_rollback(rollback, RollbackState.AWAITING_APPROVAL, **columns)
    else:
        Rollback.objects.filter(pk=rollback.pk).update(**columns, version=F("version") + 1)
        rollback.refresh_from_db()
    case = case_of(rollback, now)
    if judge_plan(case).allowed:
        let_run(rollback, now=now, seconds=seconds_left(case))
