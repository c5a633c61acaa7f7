"""The gate before anything is changed: a single critical measurement waits for those after it.

The checks that change nothing run meanwhile, so a rollback that is confirmed has lost no time. What waits is
the row, with the time of its next look: no worker is held, and one that dies leaves nothing behind.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core import live
from core.actors import SYSTEM
from rollbacks.executor.acting import give_back
from rollbacks.executor.holding import hold
from rollbacks.models import Rollback
from rollbacks.rules.confirmation import Answer, Judged
from rollbacks.selectors.breaches import judge_breach_of
from rollbacks.services.decisions import end_unconfirmed
from rollbacks.states import BreachCheck
from rollbacks.supervisor.program import failpoint
from rollbacks.timeline import record_on_rollback

LOOK_EVERY_SECONDS = 1.0


def is_open(rollback: Rollback) -> bool:
    """Whether it still waits for measurements."""
    return rollback.breach_check == BreachCheck.WAITING


def has_an_answer(rollback: Rollback, now: dt.datetime) -> bool:
    """Whether the measurements have answered by now, or their time is over (one query)."""
    return judge_breach_of(rollback).answer is not Answer.OPEN or _is_late(rollback, now)


def settle(rollback_id: int, fence: int, now: dt.datetime) -> bool:
    """Go on with a rollback whose breach is confirmed; end one that is not, with nothing changed."""
    go_on = _settle(rollback_id, fence, now)
    failpoint("worker.confirmed")
    return go_on


@transaction.atomic
def _settle(rollback_id: int, fence: int, now: dt.datetime) -> bool:
    rollback = hold(rollback_id, fence)
    judged = judge_breach_of(rollback)
    if judged.answer is Answer.CONFIRMED:
        _note(rollback, BreachCheck.CONFIRMED)
        record_on_rollback(
            rollback,
            "rollback.breach_confirmed",
            f"confirmed: {_counted(judged)} critical",
            actor=SYSTEM,
            now=now,
            data={"critical": judged.critical, "measured": judged.measured},
        )
        failpoint("worker.confirming")
        return True
    refuted = judged.answer is Answer.REFUTED
    _note(rollback, BreachCheck.REFUTED if refuted else BreachCheck.TIMED_OUT)
    end_unconfirmed(rollback, judged, now=now)
    failpoint("worker.confirming")
    return False


def wait(rollback: Rollback, fence: int, now: dt.datetime) -> bool:
    """Nothing more can be done before the answer: look again soon."""
    assert rollback.breach_check_until is not None
    failpoint("worker.unconfirmed")
    live.poke(f"rollback:{rollback.ref}")
    look = now + dt.timedelta(seconds=LOOK_EVERY_SECONDS)
    return give_back(rollback.pk, fence, min(look, max(now, rollback.breach_check_until)))


def _is_late(rollback: Rollback, now: dt.datetime) -> bool:
    return rollback.breach_check_until is None or rollback.breach_check_until <= now


def _note(rollback: Rollback, answer: BreachCheck) -> None:
    Rollback.objects.filter(pk=rollback.pk, fence=rollback.fence).update(breach_check=answer)
    rollback.refresh_from_db()


def _counted(judged: Judged) -> str:
    return f"{judged.critical} of {judged.measured} measurements {'is' if judged.critical == 1 else 'are'}"
