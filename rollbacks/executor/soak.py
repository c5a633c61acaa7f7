"""The soak: a row that waits while the service's monitors are watched; no worker is held."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core import live
from incidents.models import Sample
from incidents.states import MonitorLevel, SampleOutcome, metric_name
from rollbacks import policy
from rollbacks.executor.holding import hold
from rollbacks.executor.outcomes import finish_step, settle_badly
from rollbacks.models import Rollback, RollbackStep
from rollbacks.playbook import SoakStep
from rollbacks.rules.soak import SoakVerdict, Watched, judge_soak
from rollbacks.states import StepState
from rollbacks.transitions import move_step

LOOK_EVERY_SECONDS = 2


@transaction.atomic
def watch_soak(rollback_id: int, fence: int, step_id: int, now: dt.datetime) -> bool:
    """Start or continue a soak; gives the rollback back until the next look. Returns whether to go on."""
    rollback = hold(rollback_id, fence)
    step = rollback.steps.get(pk=step_id)
    declared = _declared(rollback, step)
    if step.state == StepState.PENDING:
        move_step(
            step,
            StepState.WAITING,
            started_at=now,
            due_at=now + dt.timedelta(seconds=declared.duration),
            attempt=step.attempt + 1,
            note="",
        )
    assert step.started_at is not None
    assert step.due_at is not None
    verdict, reason = judge_soak(
        samples_since(rollback, step.started_at),
        started_at=step.started_at,
        ends_at=step.due_at,
        settle_seconds=declared.settle,
        now=now,
    )
    if verdict is SoakVerdict.WATCHING:
        _look_again(rollback, fence, now)
        live.poke(f"rollback:{rollback.ref}")
        return False
    if verdict is SoakVerdict.PASSED:
        return finish_step(rollback, step, said=declared, now=now, note=reason)
    return settle_badly(rollback, step, said=declared, state=StepState.FAILED, now=now, note=reason)


def samples_since(rollback: Rollback, since: dt.datetime) -> dict[str, list[Watched]]:
    """The samples of the service's enabled monitors since a moment, by the monitor's name."""
    watching = rollback.service.monitors.filter(enabled=True)
    monitors = {m.pk: f"{metric_name(m.metric)} ({m.pk})" for m in watching}
    found: dict[str, list[Watched]] = {name: [] for name in monitors.values()}
    for sample in Sample.objects.filter(monitor__in=monitors, at__gte=since).order_by("at")[:5000]:
        watched = Watched(sample.at, SampleOutcome(sample.outcome), MonitorLevel(sample.level))
        found[monitors[sample.monitor_id]].append(watched)
    return found


def _declared(rollback: Rollback, step: RollbackStep) -> SoakStep:
    _phase, declared = policy.steps_of(rollback.procedure)[step.position - 1]
    assert isinstance(declared, SoakStep)
    return declared


def _look_again(rollback: Rollback, fence: int, now: dt.datetime) -> None:
    Rollback.objects.filter(pk=rollback.pk, fence=fence).update(
        due_at=now + dt.timedelta(seconds=LOOK_EVERY_SECONDS), lease_until=None, lease_owner=""
    )
