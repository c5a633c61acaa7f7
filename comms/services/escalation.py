"""The commands of the ladder: clocks kept by what happens, and whoever is due paged by one event each."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection
from dataclasses import replace

from django.db import transaction
from django.db.models import Exists, OuterRef

from comms.models import EscalationClock
from comms.rules.escalation import (
    Climb,
    Ladder,
    climb_of,
    counts_from,
    due_at,
    look_again_at,
    moved_by_hand,
    next_step,
    stepped,
)
from comms.selectors.escalation import addressees_label, ladder_of, situation_of, standing, told_by
from comms.states import ClockKind
from comms.timeline import record_paged
from core import hints
from core.models import Event
from core.operation import vitals
from incidents.models import Incident

BATCH = 500
logger = logging.getLogger(__name__)


class _Failed(Exception):
    """An incident whose clocks could not be looked at; why is its cause."""

    def __init__(self, incident: int) -> None:
        super().__init__(incident)
        self.incident = incident


@transaction.atomic
def keep_clocks(*, event: Event, now: dt.datetime) -> None:
    """Start, move and end the clocks of the incident that the event is about; the same event does no more.

    After reopening, nobody is paged for a pause: what was overdue before is not overdue at once.
    """
    incident = Incident.objects.select_for_update(no_key=True).filter(stream_id=event.stream_id).first()
    if incident is None:
        return
    _keep(incident, quiet_since=event.occurred_at if event.kind == "incident.reopened" else None, now=now)
    hints.wake("comms.sweep_escalations")


def climb_ladders(*, now: dt.datetime) -> int:
    """Page whoever is due, each rung once, however many processes do this; returns how many pages.

    The row's time is only when to look: what the incident says decides. An incident that cannot be looked
    at keeps nobody else from being paged, and stays overdue, which is shown.
    """
    _adopt(now)
    paged, failed = 0, set[int]()
    for _number in range(BATCH):
        try:
            found = _look_at_one(now, failed)
        except _Failed as failure:
            logger.error("the clocks of incident %s failed", failure.incident, exc_info=failure.__cause__)
            failed.add(failure.incident)
            continue
        if found is None:
            break
        paged += found
        vitals.progress()
    return paged


@transaction.atomic
def _adopt(now: dt.datetime) -> None:
    """Clocks for open incidents without any: declared before there were clocks, or their event was parked."""
    clocks = EscalationClock.objects.filter(incident=OuterRef("pk"))
    rows = Incident.objects.open().filter(~Exists(clocks), declared_at__lte=now).order_by("pk")
    for incident in rows.select_for_update(skip_locked=True, no_key=True)[:BATCH]:
        long_open = incident.declared_at < now - dt.timedelta(minutes=5)
        try:
            with transaction.atomic():
                _keep(incident, quiet_since=now if long_open else None, now=now)
        except Exception:
            logger.exception("incident %s gets no clocks", incident.pk)


def _keep(incident: Incident, *, quiet_since: dt.datetime | None, now: dt.datetime) -> None:
    """Every clock of the locked incident as it should be now."""
    rows = {row.kind: row for row in EscalationClock.objects.filter(incident=incident)}
    situation = situation_of(incident)
    for kind in ClockKind:
        since, row = counts_from(kind, situation), rows.get(kind)
        if since is None:
            if row is not None:
                row.delete()
            continue
        ladder = ladder_of(incident, kind)
        before = standing(row) if row else Climb(since, ladder.name, last_at=quiet_since)
        climb = climb_of(before, since=since, ladder=ladder)
        _store(row or EscalationClock(incident=incident, kind=kind), climb, ladder, now)


@transaction.atomic
def _look_at_one(now: dt.datetime, failed: Collection[int]) -> int | None:
    """Page those who are due on one incident; None when nothing is due that nobody else looks at.

    Raises _Failed, and stores nothing of it.
    """
    due = EscalationClock.objects.filter(due_at__lte=now)
    # The incident first, as every command on it does: who acknowledges in this moment is waited for or waits.
    locked = Incident.objects.select_for_update(skip_locked=True, no_key=True)
    incident = locked.filter(pk__in=due.values("incident")).exclude(pk__in=failed).order_by("pk").first()
    if incident is None:
        return None
    try:
        return sum(
            _look_at(clock, incident, now) for clock in due.filter(incident=incident).order_by("due_at")
        )
    except Exception as error:
        raise _Failed(incident.pk) from error


def _look_at(clock: EscalationClock, incident: Incident, now: dt.datetime) -> bool:
    """Page the next rung if it is due indeed; in every case the clock says when to look again."""
    kind = ClockKind(clock.kind)
    since = counts_from(kind, situation_of(incident))
    if since is None:
        clock.delete()
        return False
    ladder = ladder_of(incident, kind)
    climb = climb_of(standing(clock), since=since, ladder=ladder)
    due = due_at(climb, ladder)
    if due is None or due > now:
        _store(clock, climb, ladder, now)
        return False
    by_hand = incident.escalated_to if kind is not ClockKind.UPDATE else ""
    empty, told = told_by(ladder, incident, by_hand=by_hand, now=now)
    climb = moved_by_hand(climb, ladder, asked_at=incident.escalated_at, told=told)
    due = due_at(climb, ladder)
    step = next_step(climb, ladder, empty=empty)
    if due is None or due > now or step is None:
        _store(clock, climb if step is not None else replace(climb, done=ladder.steps), ladder, now)
        return False
    round_number, rung = divmod(step, len(ladder.rungs))
    record_paged(
        incident,
        kind,
        to=ladder.rungs[rung],
        who=addressees_label(ladder.rungs[rung]),
        rung=rung + 1,
        round_number=round_number + 1,
        since=since,
        now=now,
    )
    _store(clock, stepped(climb, step, now), ladder, now)
    return True


def _store(clock: EscalationClock, climb: Climb, ladder: Ladder, now: dt.datetime) -> None:
    clock.counts_from, clock.ladder = climb.counts_from, climb.ladder
    clock.done, clock.last_at = climb.done, climb.last_at
    clock.due_at = look_again_at(climb, ladder, now)
    clock.save()
