"""Commands on the checklists of an incident: opened and ticked by events and people, overdue by the clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least

from core import events, live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid
from core.models import Event, User
from incidents import policy
from incidents.models import ChecklistItem, Incident, Responder
from incidents.playbook import Checklist, ChecklistPhase, Window
from incidents.rules.checklists import (
    HISTORY_KINDS,
    OPENING_KINDS,
    is_opened_by,
    is_still_asked_for,
    is_ticked_by,
    moves_windows,
    relapsed,
    restarts_windows,
)
from incidents.rules.follow_up import reminder_before_end
from incidents.selectors.addressees import addressed_to
from incidents.selectors.cards import incident_url
from incidents.selectors.checklists import get_item
from incidents.selectors.people import who_may_see
from incidents.services.incidents import lock_incident
from incidents.states import IncidentStatus, Role
from incidents.timeline import record_on_incident


class AlreadyTicked(Conflict):
    """Somebody, or the machine, was first."""

    code = "already_ticked"


@transaction.atomic
def tick_item(
    *, incident_id: int, checklist: str, item: str, actor: Actor, now: dt.datetime, note: str = ""
) -> ChecklistItem:
    """It is done. Raises AlreadyTicked with who did it and when, NotFound for an unknown item."""
    require(actor, "respond")
    incident = _lock_changeable(incident_id, actor)
    row = get_item(incident, checklist, item)
    if row.ticked_at is not None:
        raise AlreadyTicked(
            f"“{row.name}” is already ticked by {row.ticked_by} at {row.ticked_at:%H:%M:%S} UTC.",
            state="ticked",
        )
    _tick(incident, row, actor=actor, now=now, note=note)
    return row


@transaction.atomic
def untick_item(
    *, incident_id: int, checklist: str, item: str, reason: str, actor: Actor, now: dt.datetime
) -> ChecklistItem:
    """It is not done after all; who had ticked it stays on the timeline."""
    require(actor, "respond")
    incident = _lock_changeable(incident_id, actor)
    if not reason.strip():
        raise Invalid({"reason": "Say why it is not done."})
    row = get_item(incident, checklist, item)
    if row.ticked_at is None:
        raise Conflict(f"“{row.name}” is not ticked.", state="open")
    before = row.ticked_by
    row.ticked_at, row.ticked_by, row.note = None, "", ""
    row.save(update_fields=["ticked_at", "ticked_by", "note"])
    record_on_incident(
        incident,
        "checklist.unticked",
        f"Not done after all: {row.name} (was ticked by {before}): {reason}",
        actor=actor,
        now=now,
        data={**_facts(row), "reason": reason},
    )
    return row


@transaction.atomic
def assign_item(
    *, incident_id: int, checklist: str, item: str, user: str | None, actor: Actor, now: dt.datetime
) -> ChecklistItem:
    """Give it to an account, or to nobody; they are reminded of it from now on.

    Raises Invalid for an unknown account and one who may not see the incident, AlreadyTicked.
    """
    require(actor, "respond")
    incident = _lock_changeable(incident_id, actor)
    row = get_item(incident, checklist, item)
    if row.ticked_at is not None:
        raise AlreadyTicked(f"“{row.name}” is done already, by {row.ticked_by}.", state="ticked")
    owner = _owner(incident, user)
    if owner == row.owner:
        return row
    row.owner = owner
    row.save(update_fields=["owner"])
    record_on_incident(
        incident,
        "checklist.assigned",
        f"“{row.name}” is given to {owner}" if owner else f"“{row.name}” is nobody's now",
        actor=actor,
        now=now,
        data={
            **_facts(row),
            "owner": owner.get_username() if owner else None,
            "to": addressed_to([owner], incident) if owner else [],
            "path": incident_url(incident.ref),
        },
    )
    return row


def _owner(incident: Incident, username: str | None) -> User | None:
    if not username:
        return None
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    if user is None:
        raise Invalid({"user": "No such account."})
    if not who_may_see(incident, [user]):
        raise Invalid({"user": f"{user} may not see this incident: bring them onto it first."})
    return user


def is_known_to_checklists(kind: str) -> bool:
    """Whether an event of this kind opens a checklist or ticks an item, whatever its data."""
    return kind in OPENING_KINDS or any(
        entry.ticked_by is not None and entry.ticked_by.event == kind
        for checklist in policy.checklists().values()
        for phase in checklist.phases
        for entry in phase.items
    )


def answer_event(*, event: Event, now: dt.datetime) -> None:
    """Open the checklists that an event asks for, and tick what it shows to be done.

    The same event again opens, restarts and ticks nothing.
    """
    lists = policy.checklists()
    if event.kind in OPENING_KINDS or any(_ticks(checklist, event) for checklist in lists.values()):
        _answer(event, lists, now)


@transaction.atomic
def _answer(event: Event, lists: Mapping[str, Checklist], now: dt.datetime) -> None:
    incident = Incident.objects.select_for_update(no_key=True).filter(stream_id=event.stream_id).first()
    if incident is None or incident.status == IncidentStatus.CLOSED:
        return
    rows = {(row.checklist, row.key): row for row in incident.checklist_items.all()}
    there = {checklist for checklist, _key in rows}
    again = event.kind == "incident.resolved" and relapsed(_history(event))
    for key, checklist in lists.items():
        opened = is_opened_by(
            checklist,
            kind=event.kind,
            severity=incident.severity,
            incident_kind=incident.kind,
            drill=incident.drill,
        )
        if key in there:
            if opened and restarts_windows(checklist, event.kind, relapsed=again):
                _restart(incident, key, checklist, event=event, now=now)
                rows = {(row.checklist, row.key): row for row in incident.checklist_items.all()}
                live.poke(f"incident:{incident.ref}")
            if moves_windows(checklist, event.kind):
                _move(incident, key, checklist, event=event)
                live.poke(f"incident:{incident.ref}")
            _tick_by_machine(incident, key, checklist, [event], rows, now=now)
        elif opened:
            _open(incident, key, checklist, event=event, now=now)
            live.poke(f"incident:{incident.ref}")  # it is no event of its own, but open pages show it


def mark_lapsed_phases(*, now: dt.datetime) -> int:
    """Say once of every phase whose window has ended what is not done in it; returns how many were said."""
    said = 0
    while (phase := ChecklistItem.objects.lapsing(now).order_by("due_at").first()) is not None:
        said += _mark_lapsed(phase, now)
    return said


@transaction.atomic
def _mark_lapsed(found: ChecklistItem, now: dt.datetime) -> bool:
    incident = Incident.objects.select_for_update(no_key=True).get(pk=found.incident_id)
    phase = incident.checklist_items.filter(checklist=found.checklist, phase=found.phase)
    undone = list(phase.lapsing(now).select_related("owner").order_by("position"))
    if not undone:  # somebody was faster: ticked, or said already
        return False
    # All of its items, so that unticking one later does not say the phase a second time.
    phase.update(lapsed_at=now)
    checklist = policy.checklists().get(found.checklist)
    if checklist is None or not is_still_asked_for(checklist, incident.status):
        return False
    names = ", ".join(row.name for row in undone)
    record_on_incident(
        incident,
        "checklist.overdue",
        f"Overdue in {found.phase_name.lower()}: {names}",
        actor=SYSTEM,
        now=now,
        data={
            "checklist": found.checklist,
            "phase": found.phase,
            "items": [row.key for row in undone],
            "due_at": events.rfc3339(found.due_at),
            "to": addressed_to([row.owner for row in undone], incident),
        },
    )
    return True


def remind_of_phases(*, now: dt.datetime) -> int:
    """Remind owners once of every phase whose window is near its end; returns how many were said."""
    said = 0
    while (phase := ChecklistItem.objects.ending(now).order_by("remind_at").first()) is not None:
        said += _remind(phase, now)
    return said


@transaction.atomic
def _remind(found: ChecklistItem, now: dt.datetime) -> bool:
    incident = Incident.objects.select_for_update(no_key=True).get(pk=found.incident_id)
    phase = incident.checklist_items.filter(checklist=found.checklist, phase=found.phase)
    ending = list(phase.ending(now).select_related("owner").order_by("position"))
    phase.filter(remind_at__lte=now).update(remind_at=None)
    rows = [row for row in ending if row.due_at > now]  # else it is said to be overdue
    checklist = policy.checklists().get(found.checklist)
    if not rows or incident.drill or not is_still_asked_for(checklist, incident.status):
        return False
    names = ", ".join(row.name for row in rows)
    record_on_incident(
        incident,
        "checklist.due_soon",
        f"Due {rows[0].due_at:%Y-%m-%d %H:%M} UTC in {found.phase_name.lower()}: {names}",
        actor=SYSTEM,
        now=now,
        data={
            "checklist": found.checklist,
            "phase": found.phase,
            "items": [row.key for row in rows],
            "due_at": events.rfc3339(rows[0].due_at),
            "to": addressed_to([row.owner for row in rows], incident),
            "path": incident_url(incident.ref),
        },
    )
    return True


def _lock_changeable(incident_id: int, actor: Actor) -> Incident:
    incident = lock_incident(incident_id, actor)
    if incident.status == IncidentStatus.CLOSED:
        raise Conflict(f"{incident.ref} is closed: it does not change any more.", state=incident.status)
    return incident


def _open(incident: Incident, key: str, checklist: Checklist, *, event: Event, now: dt.datetime) -> None:
    """Its rows, and ticked at once what happened before it was opened."""
    start = _start(incident, event)
    entries = [(phase, entry) for phase in checklist.phases for entry in phase.items]
    windows = {phase.key: phase.window(incident.security_level) for phase in checklist.phases}
    holders = _holders(incident)
    rows = ChecklistItem.objects.bulk_create(
        ChecklistItem(
            incident=incident,
            checklist=key,
            phase=phase.key,
            key=entry.key,
            position=position,
            phase_name=phase.name,
            name=entry.name,
            text=entry.text,
            starts_at=start + dt.timedelta(seconds=windows[phase.key].starts),
            due_at=start + dt.timedelta(seconds=windows[phase.key].ends),
            owner_id=holders.get(entry.owner or "") or holders.get(Role.INCIDENT_COMMANDER),
            remind_at=_remind_at(checklist, windows[phase.key], start),
        )
        for position, (phase, entry) in enumerate(entries)
    )
    kinds = {entry.ticked_by.event for _phase, entry in entries if entry.ticked_by}
    before = Event.objects.filter(stream_id=incident.stream_id, kind__in=kinds, seq__lte=event.seq)
    by_key = {(row.checklist, row.key): row for row in rows}
    _tick_by_machine(incident, key, checklist, list(before.order_by("seq")), by_key, now=now)


def _holders(incident: Incident) -> dict[str, int]:
    """The account that holds each role now."""
    held = Responder.objects.filter(incident=incident, until__isnull=True).exclude(role="")
    return dict(held.values_list("role", "user_id"))


def _remind_at(
    checklist: Checklist, window: ChecklistPhase | Window, start: dt.datetime
) -> dt.datetime | None:
    starts, ends = (start + dt.timedelta(seconds=at) for at in (window.starts, window.ends))
    return reminder_before_end(starts, ends, checklist.remind_percent_left)


def _start(incident: Incident, event: Event) -> dt.datetime:
    """The declaration, or when the incident was raised, the rollback ended or the incident was resolved."""
    return incident.declared_at if event.kind == "incident.declared" else event.occurred_at


def _history(event: Event) -> list[tuple[str, str]]:
    """What `relapsed` asks for, of the time before the event."""
    before = Event.objects.filter(stream_id=event.stream_id, kind__in=HISTORY_KINDS, seq__lt=event.seq)
    return [
        (kind, data.get("status", "")) for kind, data in before.order_by("seq").values_list("kind", "data")
    ]


def _restart(incident: Incident, key: str, checklist: Checklist, *, event: Event, now: dt.datetime) -> None:
    """What is not ticked gets the windows of the later end, and what is to be looked at after each end is
    open again; the same event changes nothing.
    """
    reopened: list[ChecklistItem] = []
    for phase in checklist.phases:
        window, at = phase.window(incident.security_level), event.occurred_at
        due = at + dt.timedelta(seconds=window.ends)
        rows = incident.checklist_items.filter(checklist=key, phase=phase.key, due_at__lt=due)
        if phase.after_each_end:
            done = rows.filter(ticked_at__isnull=False)
            reopened += done.order_by("position")
            done.update(ticked_at=None, ticked_by="", note="")
        rows.filter(ticked_at__isnull=True).update(
            starts_at=at + dt.timedelta(seconds=window.starts),
            due_at=due,
            lapsed_at=None,
            remind_at=_remind_at(checklist, window, at),
        )
    if reopened:
        record_on_incident(
            incident,
            "checklist.reopened",
            f"To be done again: {', '.join(row.name for row in reopened)}",
            actor=SYSTEM,
            now=now,
            data={"checklist": key, "items": [row.key for row in reopened]},
        )


def _move(incident: Incident, key: str, checklist: Checklist, *, event: Event) -> None:
    """What is not ticked gets the windows of the new level, by the rule of the clocks; the same event
    changes nothing, for it is about one moment.
    """
    rows = incident.checklist_items.filter(checklist=key, ticked_at__isnull=True)
    for phase in checklist.phases:
        window, at = phase.window(event.data["level"]), event.occurred_at
        due = at + dt.timedelta(seconds=window.ends)
        starts = at + dt.timedelta(seconds=window.starts)
        remind = _remind_at(checklist, window, at)
        of_phase = rows.filter(phase=phase.key)
        if event.data["raised"]:
            earlier = Least(F("starts_at"), starts)
            of_phase.filter(due_at__gt=due).update(starts_at=earlier, due_at=due, remind_at=remind)
        else:
            later = of_phase.filter(due_at__lt=due)
            later.update(starts_at=starts, due_at=due, lapsed_at=None, remind_at=remind)


def _ticks(checklist: Checklist, event: Event) -> bool:
    return any(
        is_ticked_by(entry.ticked_by, kind=event.kind, data=event.data)
        for phase in checklist.phases
        for entry in phase.items
    )


def _tick_by_machine(
    incident: Incident,
    key: str,
    checklist: Checklist,
    happened: Sequence[Event],
    rows: dict[tuple[str, str], ChecklistItem],
    *,
    now: dt.datetime,
) -> None:
    for event in happened:
        for phase in checklist.phases:
            for entry in phase.items:
                row = rows.get((key, entry.key))
                if row is None or not is_ticked_by(entry.ticked_by, kind=event.kind, data=event.data):
                    continue
                if row.ticked_at is None and event.pk > (row.answered_event_id or 0):
                    row.answered_event = event
                    _tick(incident, row, actor=SYSTEM, now=now, note=event.summary)


def _tick(incident: Incident, row: ChecklistItem, *, actor: Actor, now: dt.datetime, note: str) -> None:
    row.ticked_at, row.ticked_by, row.note = now, actor.label[:200], note.strip()
    row.save(update_fields=["ticked_at", "ticked_by", "note", "answered_event"])
    record_on_incident(
        incident,
        "checklist.ticked",
        f"Done: {row.name}" + (f" ({row.note})" if row.note else ""),
        actor=actor,
        now=now,
        data={**_facts(row), "note": row.note},
    )


def _facts(row: ChecklistItem) -> dict[str, str]:
    return {"checklist": row.checklist, "phase": row.phase, "item": row.key}
