"""What the clocks of an incident look at, whom its ladders reach, and who is paged next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from comms import playbook as sections
from comms.models import EscalationClock
from comms.rules.escalation import (
    Climb,
    Ladder,
    Situation,
    climb_of,
    counts_from,
    due_at,
    moved_by_hand,
    next_step,
)
from comms.selectors.recipients import ROLE_HOLDERS, people_of
from comms.states import ClockKind
from core.models import Event
from core.playbook import get_playbook
from incidents import policy
from incidents.models import Incident
from incidents.states import IncidentKind, Role, Severity, audience_label

BY_PEOPLE = ("user", "token", "contact")  # whose events show that somebody is at work
SECURITY_TEAM = "security_team"


@dataclass(frozen=True)
class NextPage:
    """Who is paged next and when, unless `unless`; without `at` the ladder has ended."""

    at: dt.datetime | None
    who: str
    unless: str


def escalation() -> sections.Escalation:
    return cast(sections.Escalation, get_playbook()["escalation"])


def situation_of(incident: Incident) -> Situation:
    """The facts that the clocks of an incident look at (a query when it is acknowledged)."""
    waits_for_signs = incident.is_open and incident.acknowledged_at is not None
    return Situation(
        is_open=incident.is_open,
        response_due_at=incident.response_due_at,
        acknowledged_at=incident.acknowledged_at,
        active_at=last_active_at(incident) if waits_for_signs else None,
        next_update_due_at=incident.next_update_due_at,
    )


def last_active_at(incident: Incident) -> dt.datetime | None:
    """When somebody, not Firebreak itself, last did something on the incident."""
    theirs = Event.objects.filter(stream_id=incident.stream_id, actor_kind__in=BY_PEOPLE)
    return theirs.order_by("-seq").values_list("recorded_at", flat=True).first()


def ladder_of(incident: Incident, kind: ClockKind) -> Ladder:
    """The ladder that a clock of this incident leans on, by its severity or stricter security level."""
    severity = Severity(incident.severity)
    if incident.security_level is not None:
        level = cast(Literal[1, 2, 3], incident.security_level)
        severity = min(severity, escalation().security_levels[level], key=_rank)
    found = escalation().severities[severity]
    if kind is ClockKind.UPDATE:
        rungs, pause, rounds = found.reminders, found.reminder_pause, 1
    else:
        rungs, pause, rounds = found.rungs, found.pause, found.repeat + 1
    return Ladder(
        name=severity,
        rungs=tuple(_named(rung, incident) for rung in rungs),
        wait=found.silent_after if kind is ClockKind.SILENCE else 0.0,
        pause=pause,
        rounds=rounds,
    )


def told_by(
    ladder: Ladder, incident: Incident, *, by_hand: str, now: dt.datetime
) -> tuple[frozenset[int], frozenset[int]]:
    """The rungs that nobody is on, and those whose people an escalation `by_hand` told (four queries)."""
    asked = {one for rung in ladder.rungs for one in rung} | ({by_hand} if by_hand else set())
    people = people_of(asked, incident, now=now, only_participants=incident.drill)

    def on(names: Collection[str]) -> set[int]:
        return {person.contact for name in names for person in people[name]}

    rungs = [on(rung) for rung in ladder.rungs]
    told = on([by_hand]) if by_hand else set()
    return (
        frozenset(number for number, who in enumerate(rungs) if not who),
        frozenset(number for number, who in enumerate(rungs) if who and who <= told),
    )


def standing(clock: EscalationClock) -> Climb:
    """A clock's row as the rules see it."""
    return Climb(clock.counts_from, clock.ladder, clock.done, clock.last_at)


def next_page(incident: Incident, *, now: dt.datetime) -> NextPage | None:
    """Who is paged next about this incident, by the rules that page them; None when no clock runs."""
    situation = situation_of(incident)
    kind = ClockKind.RESPONSE if incident.acknowledged_at is None else ClockKind.SILENCE
    since = counts_from(kind, situation)
    if since is None:
        return None
    ladder = ladder_of(incident, kind)
    row = EscalationClock.objects.filter(incident=incident, kind=kind).first()
    empty, told = told_by(ladder, incident, by_hand=incident.escalated_to, now=now)
    climb = climb_of(standing(row) if row else None, since=since, ladder=ladder)
    climb = moved_by_hand(climb, ladder, asked_at=incident.escalated_at, told=told)
    step, at = next_step(climb, ladder, empty=empty), due_at(climb, ladder)
    if step is None or at is None:
        return NextPage(None, "", "")
    unless = "somebody acknowledges" if kind is ClockKind.RESPONSE else "somebody does something here"
    return NextPage(at, addressees_label(ladder.rungs[step % len(ladder.rungs)]), unless)


def addressees_label(addressees: Sequence[str]) -> str:
    """For people: `technical team and management`."""
    return " and ".join(_label(one) for one in addressees)


def _label(addressee: str) -> str:
    kind, _, name = addressee.partition(":")
    if kind == "title" and name:
        return name
    if kind == "role" and name:
        return str(Role(name).label)
    return "role holders" if addressee == ROLE_HOLDERS else audience_label(addressee)


def _named(rung: Sequence[str], incident: Incident) -> tuple[str, ...]:
    """With the audiences that `severity` stands for."""
    severitys: list[str] = list(policy.severity_level(incident.severity).audiences)
    if incident.kind == IncidentKind.SECURITY:
        severitys.append(SECURITY_TEAM)
    named = [name for one in rung for name in (severitys if one == "severity" else [one])]
    return tuple(dict.fromkeys(named))


def _rank(severity: Severity) -> int:
    return severity.rank
