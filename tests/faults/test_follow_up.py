"""What follows an incident, while whoever does it is killed again and again: each thing is said exactly once."""

from __future__ import annotations

import datetime as dt
import random
import signal
from collections import Counter
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db.models import F

from core.actors import Actor
from core.clock import utcnow
from core.models import Event, PendingEvent, User
from core.sweeps import run_sweep
from core.verification import verify_streams
from incidents.models import Document, Incident, Report, Review
from incidents.services.action_items import create_action_item
from incidents.services.documents import look_after_documents
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.reviews import open_due_review, open_review
from incidents.services.tasks import create_task
from incidents.services.training import record_training
from tests.faults.world import World

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
EACH = 20
WORKERS, KILLS, EVENTS_BETWEEN = 2, 10, 12
FOLLOW_UP = [
    f"incidents.sweep_{name}"
    for name in (
        "tasks", "checklists", "phases", "reports", "action_items", "reviews", "documents", "training", "search"
    )
]  # fmt: skip
KINDS = {
    "report.due_soon", "report.overdue", "checklist.due_soon", "checklist.overdue", "task.overdue",
    "action_item.due_soon", "action_item.overdue", "training.due", "training.overdue",
    "review.due", "review.overdue", "document.due", "document.overdue",
}  # fmt: skip
SUBJECTS = ("phase", "task", "action_item", "review", "document", "record")


def said(since: int) -> Counter[tuple[Any, ...]]:
    """What was said after the event `since`, by what it is about."""
    rows = Event.objects.filter(pk__gt=since, kind__in=KINDS).values_list("kind", "stream__name", "data")
    return Counter(
        (kind, stream, *(data[name] for name in SUBJECTS if name in data)) for kind, stream, data in rows
    )


def over(commander: Actor, ago: dt.timedelta) -> Incident:
    """An incident that was resolved so long ago, and of which nobody was reminded yet."""
    then = utcnow() - ago
    incident = declare_incident(title="Trouble", severity="P1", actor=commander, now=then - HOUR)
    resolve_incident(incident_id=incident.pk, resolution="Fixed", actor=commander, now=then)
    return incident


def about(kind: str, incident: Incident, *subject: object) -> tuple[object, ...]:
    return (kind, incident.ref, *subject)


def everything_due(world: World, commander: Actor) -> set[tuple[Any, ...]]:
    """A little of each kind that falls due; returns what is to be said of it."""
    now, expected = utcnow(), set[tuple[Any, ...]]()
    for _ in range(EACH):
        old, near, new = (
            over(commander, 8 * DAY),
            over(commander, 4.5 * DAY),
            over(commander, dt.timedelta(minutes=100)),
        )
        expected |= {
            about("checklist.overdue", old, phase) for phase in ("immediate", "short_term", "long_term")
        }
        expected |= {about("checklist.overdue", near, phase) for phase in ("immediate", "short_term")}
        expected |= {about("report.overdue", old), about("report.due_soon", near)}
        expected |= {about("checklist.due_soon", new, "immediate")}
    open_one = declare_incident(title="Still open", severity="P1", actor=commander, now=now)
    by: dict[str, Any] = {"actor": commander, "now": now - 10 * DAY}
    for _ in range(EACH):
        task = create_task(incident_id=open_one.pk, title="Look", due_at=now - HOUR, **by)
        late = create_action_item(title="Mend", due_on=(now - 3 * DAY).date(), **by)
        soon = create_action_item(title="Mend", due_on=(now + HOUR).date(), incident_id=open_one.pk, **by)
        review = open_review(
            name="By hand", begins_at=now - 20 * DAY, ends_at=now - 11 * DAY, due_at=now - DAY,
            sections=["tasks"], **by,
        )  # fmt: skip
        expected |= {
            about("task.overdue", open_one, task.pk),
            about("action_item.due_soon", open_one, soon.pk),
        }
        expected |= {
            ("action_item.overdue", "firebreak", late.pk),
            ("review.overdue", "firebreak", review.pk),
        }
    people = [User.objects.create(username=f"person{number}") for number in range(2 * EACH)]
    for user in people:  # of others no training is asked
        user.groups.add(Group.objects.get(name="responder"))
    for days, kind, some in ((95, "training.overdue", people[:EACH]), (85, "training.due", people[EACH:])):
        then = now - days * DAY
        names = [user.get_username() for user in some]
        records = record_training(course="procedures", people=names, actor=commander, now=then)
        expected |= {(kind, "firebreak", record.pk) for record in records}
    with world.workshop.open():
        for kind in ("weekly", "monthly"):
            open_due_review(kind=kind, now=now - 40 * DAY)
        look_after_documents(now=now - 400 * DAY)
    expected |= {
        ("document.overdue", "firebreak", key) for key in Document.objects.values_list("key", flat=True)
    }
    return expected


class Crew:
    """Workers of which one is killed whenever some more was said; another one follows."""

    def __init__(self, world: World, since: int) -> None:
        self._start = partial(world.worker, FAULTS_SWEEPS=" ".join(("core.sweep_outbox", *FOLLOW_UP)))
        self._workers = [self._start() for _ in range(WORKERS)]
        self._last, self.deaths = since, 0

    def lose_one(self) -> None:
        if self.deaths == KILLS or newest_event() < self._last + EVENTS_BETWEEN:
            return
        place = random.randrange(WORKERS)
        self._workers[place].kill()
        assert self._workers[place].wait(10) == -signal.SIGKILL, "nobody dies but by our hand"
        self._workers[place] = self._start()
        self._last, self.deaths = newest_event(), self.deaths + 1


def newest_event() -> int:
    return Event.objects.latest("pk").pk


def test_whoever_reminds_is_killed_again_and_again(world: World, commander: Actor) -> None:
    expected = everything_due(world, commander)
    since = newest_event()
    crew = Crew(world, since)
    unread = Incident.objects.exclude(search_document__seq=F("stream__head_seq"))

    def is_over() -> bool:
        crew.lose_one()
        is_said = said(since).keys() >= expected
        return is_said and not PendingEvent.objects.exists() and not unread.exists()

    world.until(is_over, "everything to be said", 300)
    print(f"{crew.deaths} deaths while {len(expected)} things were said")
    world.stop()
    with world.workshop.open():
        assert {name: done for name in FOLLOW_UP if (done := run_sweep(name))} == {}, "nothing is left"
    assert crew.deaths >= KILLS // 2
    assert said(since) - Counter(expected) == Counter(), "said twice"
    assert Report.objects.count() == Incident.objects.filter(status="resolved").count() == 3 * EACH
    calendar = Event.objects.filter(pk__gt=since, kind="review.opened")
    opened = [Review.objects.get(pk=event.data["review"]) for event in calendar]
    missed = [
        (row.kind, period)
        for row, event in zip(opened, calendar, strict=True)
        for period in event.data["missed"]
    ]
    assert sorted(row.kind for row in opened) == ["monthly", "weekly"]
    rows = Review.objects.exclude(kind="").values_list("kind", "period")
    assert sorted([*((row.kind, row.period) for row in opened), *missed]) == sorted(rows)
    assert verify_streams()[1] == [], "the timeline is not what was written"
