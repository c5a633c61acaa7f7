"""Commands on a drill that is held: begin, let something happen, end, and write down what was learned."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from django.db import IntegrityError, transaction
from django.db.models import F

from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid
from core.models import Event
from incidents.models import Incident
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.people import bring_along
from incidents.timeline import record_on_incident
from rollbacks.models import Drill, Rollback
from rollbacks.rules.drills import score
from rollbacks.selectors.drills import drill_targets, drill_url, run_of, scorecard_json
from rollbacks.services.drill_planning import cancel_planned, lock_drill
from rollbacks.services.drills import stop_rehearsal
from rollbacks.states import DrillState
from rollbacks.transitions import move_drill

NOTES_LENGTH = 20_000


class DrillNotNow(Conflict):
    """A real incident is open on the service, or another drill runs there."""

    code = "drill_not_now"


@transaction.atomic
def start_drill(*, drill_id: int, actor: Actor, now: dt.datetime) -> Drill:
    """Begin: its incident is declared, with its participants on it. One that has begun is as it was.

    All of it is one transaction: a process that dies leaves a planned drill. Raises DrillNotNow.
    """
    require(actor, "command")
    drill = lock_drill(drill_id, actor)
    if drill.state == DrillState.RUNNING:
        return drill
    if why := why_not_now(drill):
        raise DrillNotNow(why, state=drill.state)
    plan = drill.plan
    incident = declare_incident(
        actor=actor,
        now=now,
        title=plan["title"],
        severity=plan["severity"],
        description=plan["description"],
        kind=plan["kind"],
        security_level=plan["security_level"],
        services=[drill.service.slug],
        drill=True,
    )
    people = set(drill.participants.values_list("pk", flat=True))
    people |= {drill.planned_by_user_id} if drill.planned_by_user_id else set()
    there = set(incident.responders.values_list("user_id", flat=True))
    bring_along(incident, sorted(people - there), actor=actor, now=now)
    deadline = now + dt.timedelta(seconds=plan["longest_seconds"])
    try:
        with transaction.atomic():
            move_drill(
                drill,
                DrillState.RUNNING,
                incident=incident,
                started_at=now,
                deadline_at=deadline,
                due_at=_next_look(drill, now, deadline, sent=0),
            )
    except IntegrityError as error:
        if "one_running_drill_per_service" not in str(error):
            raise
        raise DrillNotNow(f"Another drill runs on {drill.service.name}.", state=drill.state) from error
    _record(drill, "drill.started", f"Drill begun: {drill.name}", actor, now, page_people=drill.page_people)
    return drill


@transaction.atomic
def send_inject(*, drill_id: int, now: dt.datetime) -> bool:
    """Let the next thing of the scenario happen if it is time for it."""
    drill = lock_drill(drill_id, SYSTEM)
    if drill.state != DrillState.RUNNING or drill.injects_sent >= len(drill.injects):
        return False
    assert drill.started_at is not None
    assert drill.deadline_at is not None
    number = drill.injects_sent
    inject = drill.injects[number]
    if drill.started_at + dt.timedelta(seconds=inject["at_seconds"]) > now:
        return False
    Drill.objects.filter(pk=drill.pk).update(
        injects_sent=number + 1,
        due_at=_next_look(drill, drill.started_at, drill.deadline_at, sent=number + 1),
        version=F("version") + 1,
    )
    _record(
        drill,
        "drill.inject",
        inject["text"],
        SYSTEM,
        now,
        source="scenario",
        number=number + 1,
        look=inject["look"],
    )
    return True


@transaction.atomic
def finish_drill(
    *,
    drill_id: int,
    actor: Actor,
    now: dt.datetime,
    notes: str = "",
    outcome: str = "",
    ended_at: dt.datetime | None = None,
) -> Drill:
    """End a drill that runs and keep its scorecard; its incident is resolved, its rollback stopped.

    What is still open then was not done. Raises IllegalMove when it does not run.
    """
    require(actor, "respond")
    drill = lock_drill(drill_id, actor)
    end = ended_at or now
    if drill.state == DrillState.RUNNING:
        run = replace(run_of(drill), ended_at=end)
        within = drill.plan["answer_within_seconds"]
        card = scorecard_json(score(drill_targets(drill), run, answer_within=within, now=end))
    else:
        card = None  # the move is refused
    why = outcome or f"ended by {actor.label}"
    move_drill(
        drill,
        DrillState.FINISHED,
        ended_at=end,
        due_at=None,
        outcome=why[:500],
        scorecard=card,
        notes=_checked(notes) or drill.notes,
    )
    _end_incident(drill, f"The drill is over: {why}", actor=actor, now=now)
    said = f"Drill over ({why})" if not (card and card["passed"]) else f"Drill passed ({why})"
    names = sorted(drill.participants.values_list("username", flat=True))  # courses count it for them
    _record(
        drill, "drill.finished", said, actor, now, passed=bool(card and card["passed"]), participants=names
    )
    return drill


@transaction.atomic
def cancel_drill(*, drill_id: int, reason: str, actor: Actor, now: dt.datetime) -> Drill:
    """It is not held, or broken off: no scorecard. Raises IllegalMove when it is over."""
    require(actor, "command")
    if not reason.strip():
        raise Invalid({"reason": "Say why it is cancelled."})
    drill = lock_drill(drill_id, actor)
    if drill.state != DrillState.RUNNING:
        return cancel_planned(drill_id=drill_id, reason=reason.strip(), actor=actor, now=now)
    return _break_off(drill, reason.strip(), actor, now)


def preempt_drills(*, event: Event, now: dt.datetime) -> int:
    """A real incident was declared: the drills that run on its services are broken off; returns how many.

    Of two that began at the same moment neither could see the other: a drill looks again when its own
    incident's declaration is committed.
    """
    incident = Incident.objects.filter(stream_id=event.stream_id).first()
    if incident is None:
        return 0
    running = Drill.objects.filter(state=DrillState.RUNNING)
    if incident.drill:
        found = running.filter(incident=incident).select_related("service").first()
        real = real_incident_on(found) if found else None
        return int(_preempt(found.pk, _told(real), now)) if found and real else 0
    of_it = running.filter(service__in=incident.services.all()).order_by("pk").values_list("pk", flat=True)
    return sum(_preempt(pk, _told(incident), now) for pk in list(of_it))


def real_incident_on(drill: Drill) -> Incident | None:
    """A real incident that is open on the drill's service."""
    return Incident.objects.open().filter(drill=False, services=drill.service_id).first()


def _told(incident: Incident) -> str:
    """What it is called where it is not known who reads."""
    return incident.code_name if incident.restricted else incident.ref


@transaction.atomic
def _preempt(drill_id: int, told: str, now: dt.datetime) -> bool:
    drill = lock_drill(drill_id, SYSTEM)
    if drill.state != DrillState.RUNNING:
        return False
    _break_off(drill, f"a real incident, {told}, goes before it", SYSTEM, now)
    return True


def finish_with_incident(*, event: Event, now: dt.datetime) -> bool:
    """Its incident was resolved: the drill is over."""
    running = Drill.objects.filter(state=DrillState.RUNNING, incident__stream_id=event.stream_id)
    found = running.exclude(incident__resolved_at=None).first()  # reopened since: it goes on
    if found is None or found.started_at is None:
        return False
    at = max(event.occurred_at, found.started_at)
    finish_drill(drill_id=found.pk, actor=SYSTEM, now=now, outcome="its incident was resolved", ended_at=at)
    return True


@transaction.atomic
def write_debrief(*, drill_id: int, notes: str, actor: Actor, now: dt.datetime) -> Drill:
    """What its participants learned; raises Conflict before it has ended."""
    require(actor, "respond")
    drill = lock_drill(drill_id, actor)
    if drill.state != DrillState.FINISHED:
        raise Conflict(
            f"The drill is {drill.get_state_display().lower()}: talk about it afterwards.", state=drill.state
        )
    if not notes.strip():
        raise Invalid({"notes": "Write what was learned."})
    Drill.objects.filter(pk=drill.pk).update(notes=_checked(notes), version=F("version") + 1)
    drill.refresh_from_db()
    _record(drill, "drill.debriefed", "Debrief written", actor, now)
    return drill


def why_not_now(drill: Drill) -> str:
    """Why a planned drill may not begin now, or empty."""
    if drill.state != DrillState.PLANNED:
        return f"The drill is {drill.get_state_display().lower()}."
    if (real := real_incident_on(drill)) is not None:
        return f"{_told(real)} is open on {drill.service.name}: a real incident goes before a drill."
    if Drill.objects.filter(service=drill.service, state=DrillState.RUNNING).exists():
        return f"Another drill runs on {drill.service.name}."
    return ""


def _break_off(drill: Drill, reason: str, actor: Actor, now: dt.datetime) -> Drill:
    move_drill(drill, DrillState.CANCELLED, ended_at=now, due_at=None, outcome=reason[:500])
    _end_incident(drill, f"The drill was broken off: {reason}", actor=actor, now=now)
    names = sorted(drill.participants.values_list("username", flat=True))
    to = [f"account:{name}" for name in names]
    _record(
        drill, "drill.cancelled", f"Drill broken off: {reason}", actor, now, to=to, path=drill_url(drill.pk)
    )
    return drill


def _end_incident(drill: Drill, resolution: str, *, actor: Actor, now: dt.datetime) -> None:
    """Nobody is left with an open incident of a drill that is over, nor with its rollback."""
    assert drill.incident_id is not None
    for pk in (
        Rollback.objects.live().filter(incident_id=drill.incident_id, drill=True).values_list("pk", flat=True)
    ):
        stop_rehearsal(pk, "the drill is over", actor=actor, now=now, by=actor.label)
    if Incident.objects.open().filter(pk=drill.incident_id).exists():
        resolve_incident(incident_id=drill.incident_id, resolution=resolution, actor=SYSTEM, now=now)


def _next_look(drill: Drill, began: dt.datetime, deadline: dt.datetime, *, sent: int) -> dt.datetime:
    """When the sweep has to look again: at the next inject, or at the end."""
    if sent >= len(drill.injects):
        return deadline
    return min(deadline, began + dt.timedelta(seconds=drill.injects[sent]["at_seconds"]))


def _checked(notes: str) -> str:
    if len(notes) > NOTES_LENGTH:
        raise Invalid({"notes": f"At most {NOTES_LENGTH} characters."})
    return notes.strip()


def _record(
    drill: Drill,
    kind: str,
    summary: str,
    actor: Actor,
    now: dt.datetime,
    *,
    source: str = "firebreak",
    **data: object,
) -> Event:
    """On the timeline of its incident; the pages of drills that are open are told too."""
    assert drill.incident_id is not None
    incident = Incident.objects.get(pk=drill.incident_id)
    return record_on_incident(
        incident, kind, summary, actor=actor, now=now, source=source, data={"drill": drill.pk, **data}
    )
