"""Reminders of action items over a quarter, in accelerated time, against a slow and obvious recomputation."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from core.actors import Actor
from core.models import Event, User
from incidents.models import ActionItem, Document, Incident
from incidents.rules.follow_up import (
    Plan,
    end_of,
    is_to_be_said,
    kind_of_reminder,
    next_moment,
    reminder_before_end,
)
from incidents.services import action_items as items
from incidents.services.incidents import declare_incident
from incidents.services.people import add_responder
from incidents.services.reminders import note_as_said, to_be_said
from incidents.states import UNFINISHED

MakeActor = Callable[..., Actor]
DAY, HOUR, MINUTE = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)
BEGAN = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
SHIPPED: dict[str, Any] = {"days_before": (3, 1), "at": 8 * HOUR, "every": 7 * DAY}


def every_moment(
    due_on: dt.date, *, days_before: list[int], at: dt.timedelta, every: dt.timedelta
) -> list[dt.datetime]:
    """All moments of a day's reminders for years, written down one by one."""
    midnight = dt.datetime(due_on.year, due_on.month, due_on.day, tzinfo=dt.UTC)
    found = [midnight - days * DAY + at for days in days_before]
    moment = midnight + DAY
    while moment < midnight + 600 * DAY:
        found.append(moment)
        moment += every
    return sorted(found)


PLANS = st.fixed_dictionaries(
    {
        "days_before": st.lists(st.integers(0, 30), max_size=4),
        "at": st.integers(0, 23).map(lambda hours: hours * HOUR),
        "every": st.integers(1, 30).map(lambda days: days * DAY),
    }
)


@settings(max_examples=300, deadline=None)
@given(
    asked=PLANS,
    day=st.integers(-60, 60),
    minutes=st.integers(-60 * 24 * 60, 60 * 24 * 60),
    later=st.integers(0, 60 * 24 * 60),
)
def test_the_next_reminder_is_the_first_of_all_that_is_later(
    asked: dict[str, Any], day: int, minutes: int, later: int
) -> None:
    after, due_on = BEGAN + minutes * MINUTE, (BEGAN + day * DAY).date()
    moments, plan = every_moment(due_on, **asked), Plan.by_days(**asked)
    expected = next(moment for moment in moments if moment > after)
    assert next_moment(end_of(due_on), after=after, plan=plan) == expected
    now = after + later * MINUTE
    about: dict[str, Any] = {"due_at": end_of(due_on), "now": now, "plan": plan}
    assert is_to_be_said(**about, said_at=after) == any(after < moment <= now for moment in moments)
    assert is_to_be_said(**about, said_at=None) == any(moment <= now for moment in moments)


def test_a_window_is_reminded_of_when_so_much_of_it_is_left() -> None:
    assert reminder_before_end(BEGAN, BEGAN + 8 * HOUR, 25) == BEGAN + 6 * HOUR
    assert reminder_before_end(BEGAN, BEGAN + 8 * HOUR, 0) is None


def test_it_is_overdue_when_its_day_has_ended_in_utc() -> None:
    day, midnight = dt.date(2026, 9, 3), dt.datetime(2026, 9, 4, tzinfo=dt.UTC)
    assert kind_of_reminder(end_of(day), midnight - MINUTE) == "due_soon"
    tokyo = dt.timezone(9 * HOUR)
    assert kind_of_reminder(end_of(day), midnight.astimezone(tokyo)) == "overdue"


@dataclass
class Known:
    """What somebody with pencil and paper knows of one item."""

    due_on: dt.date | None
    since: dt.datetime  # of which moment on reminders of this day count: written, moved, opened again or said
    owner: str
    secret: bool
    finished: bool = False
    said: list[tuple[str, str]] = field(default_factory=list)


class Quarter:
    """Ninety days of a team that writes, moves, gives away, finishes and reopens action items."""

    def __init__(self, seed: int, ida: Actor, secret: Incident, plain: Incident) -> None:
        self.dice = random.Random(seed)
        self.ida, self.secret, self.plain = ida, secret, plain
        self.known: dict[int, Known] = {}
        self.may_see = {"ida", "lena"}
        self.gone: set[str] = set()

    def act(self, now: dt.datetime) -> None:
        """One thing that somebody does."""
        unfinished = [pk for pk, one in self.known.items() if not one.finished]
        verb = self.dice.choice(["write", "move", "give", "finish", "finish", "reopen", "begin"])
        by: dict[str, Any] = {"actor": self.ida, "now": now}
        if verb == "write" or len(self.known) < 12:
            self._write(now, by)
        elif verb == "reopen" and (over := [pk for pk in self.known if self.known[pk].finished]):
            pk = self.dice.choice(over)
            items.reopen_action_item(item_id=pk, **by)
            self.known[pk].finished, self.known[pk].since = False, now
        elif unfinished:
            self._change(verb, self.dice.choice(unfinished), now, by)

    def _write(self, now: dt.datetime, by: dict[str, Any]) -> None:
        about = self.dice.choice([None, self.plain, self.secret])
        secret = about is self.secret
        owner = self._somebody(secret)
        due_on = self._day(now)
        item = items.create_action_item(
            incident_id=about.pk if about else None, title="x", owner=owner or None, due_on=due_on, **by
        )
        self.known[item.pk] = Known(due_on, now, owner, secret)

    def _change(self, verb: str, pk: int, now: dt.datetime, by: dict[str, Any]) -> None:
        one = self.known[pk]
        if verb == "move":
            due_on = self._day(now)
            items.edit_action_item(item_id=pk, due_on=due_on, **by)
            if due_on != one.due_on:
                one.due_on, one.since = due_on, now
        elif verb == "give":
            one.owner = self._somebody(one.secret)
            items.edit_action_item(item_id=pk, owner=one.owner or None, **by)
        elif verb == "begin":
            items.edit_action_item(item_id=pk, state="in_progress", title="begun", **by)
        elif self.dice.random() < 0.8:
            items.complete_action_item(item_id=pk, **by)
            one.finished = True
        else:
            items.drop_action_item(item_id=pk, reason="no", **by)
            one.finished = True

    def _somebody(self, secret: bool) -> str:
        able = (self.may_see if secret else {"ida", "lena", "rosa"}) - self.gone
        return self.dice.choice([*sorted(able), ""])

    def _day(self, now: dt.datetime) -> dt.date | None:
        return self.dice.choice([None, *[(now + days * DAY).date() for days in range(-3, 25)]])

    def expect(self, now: dt.datetime) -> None:
        """Write down, item by item, what a sweep at this moment must say: one reminder where any is due."""
        for one in self.known.values():
            if one.finished or one.due_on is None:
                continue
            if any(one.since < moment <= now for moment in every_moment(one.due_on, **SHIPPED)):
                hidden = one.secret and one.owner not in self.may_see
                reachable = one.owner and one.owner not in self.gone and not hidden
                to = f"account:{one.owner}" if reachable else "technical_team"
                one.said.append(("overdue" if now.date() > one.due_on else "due_soon", to))
                one.since = now


@pytest.mark.django_db
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_over_a_quarter_every_reminder_is_said_once_and_to_the_right_person(
    seed: int, commander: Actor, make_actor: MakeActor
) -> None:
    for name in ("lena", "rosa"):
        make_actor(name)
    by: dict[str, Any] = {"actor": commander, "now": BEGAN}
    secret = declare_incident(title="Leak", severity="P1", restricted=True, **by)
    plain = declare_incident(title="Slow", severity="P3", **by)
    add_responder(incident_id=secret.pk, username="lena", **by)
    quarter = Quarter(seed, commander, secret, plain)
    now = BEGAN
    for day in range(90):
        for hour in sorted(quarter.dice.sample(range(24), 3)):
            now = BEGAN + day * DAY + hour * HOUR + quarter.dice.randrange(60) * MINUTE
            quarter.act(now)
            if 30 <= day < 37:  # nothing swept for a week
                continue
            quarter.expect(now)
            items.remind_of_action_items(now=now)
            assert items.remind_of_action_items(now=now) == 0  # looked at again at once: nothing twice
        if day == 45:  # she is taken off the incident, and one of them leaves
            secret.responders.filter(user__username="lena").update(until=now)
            quarter.may_see.discard("lena")
        if day == 60:
            User.objects.filter(username="rosa").update(is_active=False)
            quarter.gone.add("rosa")
    found: dict[int, list[tuple[str, str]]] = {pk: [] for pk in quarter.known}
    for event in Event.objects.filter(kind__in=("action_item.due_soon", "action_item.overdue")).order_by(
        "pk"
    ):
        found[event.data["action_item"]].append((event.kind.removeprefix("action_item."), *event.data["to"]))
    assert found == {pk: one.said for pk, one in quarter.known.items()}
    assert len(quarter.known) > 24 and sum(map(len, found.values())) > 60
    told = {to for reminders in found.values() for _kind, to in reminders}
    assert told == {"account:ida", "account:lena", "account:rosa", "technical_team"}
    finished = ActionItem.objects.exclude(state__in=UNFINISHED)
    assert finished.exists() and not finished.filter(remind_at__isnull=False).exists()


@pytest.mark.django_db
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_database_finds_exactly_what_the_plan_says(data: st.DataObject) -> None:
    moments = st.integers(-40 * 24, 40 * 24).map(lambda hours: BEGAN + hours * HOUR)
    plan = Plan((data.draw(st.integers(1, 72)) * HOUR,), data.draw(st.integers(1, 9 * 24)) * HOUR)
    now = data.draw(moments)
    rows = []
    for number in range(25):
        due_at = data.draw(moments)
        soon, late = (data.draw(st.none() | moments) for _ in range(2))
        reminded_at = soon if soon is None or soon <= min(now, due_at) else None
        overdue_at = late if late is None or due_at <= late <= now else None
        rows.append(
            Document(key=f"x{number}", name="x", owner="technical_team", due_at=due_at, reminded_at=reminded_at, overdue_at=overdue_at)
        )  # fmt: skip
    with transaction.atomic():
        made = Document.objects.bulk_create(rows)
        found = set(to_be_said(Document.objects.all(), plan=plan, now=now).values_list("key", flat=True))
        expected = {row.key for row in made if note_as_said(row, plan=plan, now=now)}
        transaction.set_rollback(True)
    assert found == expected
