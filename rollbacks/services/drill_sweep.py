"""Drills that are due: planned by the calendar, reminded of, begun, moved on and ended."""

from __future__ import annotations

import datetime as dt
import logging

from core.actors import SYSTEM
from core.errors import Conflict
from rollbacks.models import Drill
from rollbacks.services.drill_planning import (
    DrillNotNow,
    give_way,
    lapse_drill,
    plan_by_calendar,
    remind_of_drill,
    tell_of_lapses,
)
from rollbacks.services.drill_running import finish_drill, send_inject, start_drill
from rollbacks.states import DrillState

AT_ONCE = 50
logger = logging.getLogger(__name__)


def look_after_drills(*, now: dt.datetime) -> int:
    """Do what is due, each in a transaction of its own; returns how much was done."""
    done = int(plan_by_calendar(now=now)) + int(tell_of_lapses(now=now))
    for pk in list(Drill.objects.due(now).order_by("due_at").values_list("pk", flat=True)[:AT_ONCE]):
        try:
            done += _look_after(pk, now)
        except Exception:  # whatever it is, one that cannot go on keeps no other from it
            logger.exception("drill %s could not go on", pk)
    return done


def _look_after(drill_id: int, now: dt.datetime) -> int:
    drill = Drill.objects.get(pk=drill_id)
    if drill.state == DrillState.PLANNED:
        if drill.starts_at > now:
            return int(remind_of_drill(drill_id=drill_id, now=now))
        return int(lapse_drill(drill_id=drill_id, now=now)) or _begin(drill_id, now)
    done = 0
    while send_inject(drill_id=drill_id, now=now):
        done += 1
    if drill.deadline_at is not None and drill.deadline_at <= now:
        outcome = "its longest time was over"
        finish_drill(drill_id=drill_id, actor=SYSTEM, now=now, outcome=outcome, ended_at=drill.deadline_at)
        done += 1
    return done


def _begin(drill_id: int, now: dt.datetime) -> int:
    """A planned drill whose service is busy in earnest is not held; one of the calendar is a week later."""
    try:
        start_drill(drill_id=drill_id, actor=SYSTEM, now=now)
    except DrillNotNow as why:
        try:
            give_way(drill_id=drill_id, reason=why.message, now=now)
        except Conflict:  # another process began or cancelled it meanwhile
            return 0
    return 1
