"""Commands on training: recorded for several at once, counted from a drill, reminded of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db import transaction
from django.urls import reverse

from core import events, live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Invalid, NotAllowed
from core.models import Event, User
from incidents import policy
from incidents.models import AwaitedTraining, TrainingRecord
from incidents.rules.follow_up import OVERDUE
from incidents.selectors.training import asked_of_people
from incidents.services.reminders import note_as_said, to_be_said
from incidents.timeline import record_on_system

MOST_PEOPLE = 200
AT_ONCE = 100


@transaction.atomic
def record_training(
    *,
    course: str,
    people: Sequence[str],
    actor: Actor,
    now: dt.datetime,
    done_at: dt.datetime | None = None,
    note: str = "",
) -> list[TrainingRecord]:
    """These accounts (names) did a course together; returns their records.

    One event for all of them. Who has a record of that very time keeps it. Raises Invalid naming the field,
    NotAllowed for a token.
    """
    require(actor, "respond")
    if not actor.is_person:
        raise NotAllowed("Only a person says that people were trained, never a token.")
    if course not in policy.training().courses:
        raise Invalid({"course": f"No such course: there are {', '.join(policy.training().courses)}."})
    done = done_at or now
    if done > now:
        raise Invalid({"done_at": "It was done already: not later than now."})
    wanted = set(people)
    if not 1 <= len(wanted) <= MOST_PEOPLE:
        raise Invalid({"people": f"Name 1 to {MOST_PEOPLE} accounts."})
    users = list(User.objects.filter(username__in=wanted, is_active=True).order_by("pk"))
    if missing := sorted(wanted - {user.get_username() for user in users}):
        raise Invalid({"people": f"No such account: {', '.join(missing)}."})
    records = _record_all(course, users, done, note, "", actor, now)
    if any(record.recorded_at == now for record in records):
        names = ", ".join(user.get_username() for user in users)
        name = policy.training().courses[course].name
        _tell("training.recorded", f"{name} done by {names}", actor, now, course, people=sorted(wanted))
    return records


@transaction.atomic
def count_drill(*, event: Event, now: dt.datetime) -> int:
    """The courses that a finished drill counts for, for each of its `participants`; returns how many."""
    counting = [key for key, one in policy.training().courses.items() if "drill" in one.counts]
    named = event.data.get("participants")
    if not counting or not isinstance(named, list):
        return 0
    users = list(User.objects.filter(username__in=[str(n) for n in named], is_active=True).order_by("pk"))
    source = str(event.data.get("drill", event.data.get("incident", "")))[:40]
    made = 0
    for course in counting:
        made += len(_record_all(course, users, event.occurred_at, "", source, SYSTEM, now))
    if made:
        live.poke("training")
    return made


def _record_all(
    course: str,
    users: Iterable[User],
    done: dt.datetime,
    note: str,
    source: str,
    actor: Actor,
    now: dt.datetime,
) -> list[TrainingRecord]:
    due = done + dt.timedelta(seconds=policy.training().courses[course].valid_for)
    return [_record_one(course, user, done, due, note, source, actor, now) for user in users]


def _record_one(
    course: str,
    user: User,
    done: dt.datetime,
    due: dt.datetime,
    note: str,
    source: str,
    actor: Actor,
    now: dt.datetime,
) -> TrainingRecord:
    """One by one under the account's lock, so that one of them is the current one."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    there = TrainingRecord.objects.filter(user=user, course=course, done_at=done).first()
    if there is not None:
        return there
    AwaitedTraining.objects.filter(user=user, course=course).delete()
    current = TrainingRecord.objects.filter(user=user, course=course, current=True).first()
    is_last = current is None or current.done_at < done
    if current is not None and is_last:
        current.current = False
        current.save(update_fields=["current"])
    return TrainingRecord.objects.create(
        user=user,
        course=course,
        done_at=done,
        due_at=due,
        note=note.strip()[:300],
        source=source,
        recorded_at=now,
        recorded_by=actor.label[:200],
        current=is_last,
    )


def remind_of_training(*, now: dt.datetime) -> int:
    """Tell people whose training lapses or has, and those who have never done what is asked of them; again
    and again until it is done. Of whom nothing is asked any more nothing is said. Returns how many were told.
    """
    asked = asked_of_people()
    _follow_people(asked, now)
    plan = policy.training_plan()
    kept = to_be_said(TrainingRecord.objects.filter(current=True), plan=plan, now=now)
    found = list(kept.values_list("pk", "user_id", "course"))
    lapsing = [pk for pk, user, course in found if (user, course) in asked]
    unasked = [pk for pk, user, course in found if (user, course) not in asked]
    # Else it would stay due for ever, and Firebreak be called late with what it never says.
    TrainingRecord.objects.filter(pk__in=unasked, due_at__lte=now).update(overdue_at=now)
    awaited = to_be_said(AwaitedTraining.objects.all(), plan=plan, now=now).values_list("user_id", flat=True)
    told = sum(_remind(pk, now) for pk in lapsing[:AT_ONCE])
    return told + sum(_remind_first(user, now) for user in list(dict.fromkeys(awaited))[:AT_ONCE])


@transaction.atomic
def _follow_people(asked: Collection[tuple[int, str]], now: dt.datetime) -> None:
    """Keep a row for each course that somebody has never done, from when it is first asked of them."""
    done = TrainingRecord.objects.filter(current=True).values_list("user_id", "course")
    never = set(asked) - set(done)
    there = {(row.user_id, row.course): row.pk for row in AwaitedTraining.objects.all()}
    due = now + dt.timedelta(seconds=policy.training().first_within)
    fresh = [AwaitedTraining(user_id=user, course=course, due_at=due) for user, course in never - set(there)]
    AwaitedTraining.objects.bulk_create(fresh, ignore_conflicts=True)  # another process may be faster
    if gone := [pk for about, pk in there.items() if about not in never]:
        AwaitedTraining.objects.filter(pk__in=gone).delete()


@transaction.atomic
def _remind(record_id: int, now: dt.datetime) -> bool:
    rows = TrainingRecord.objects.select_for_update(of=("self",), no_key=True).select_related("user")
    record = rows.get(pk=record_id)
    kind = note_as_said(record, plan=policy.training_plan(), now=now) if record.current else ""
    if not kind:
        return False
    late, who = kind == OVERDUE, record.user.get_username()
    name = policy.training().courses[record.course].name
    said = f"Training {name} of {who} {'lapsed' if late else 'lapses'} on {record.due_at:%Y-%m-%d}"
    about = {"record": record.pk, "due_at": events.rfc3339(record.due_at), "to": [f"account:{who}"]}
    _tell("training.overdue" if late else "training.due", said, SYSTEM, now, record.course, **about)
    return True


@transaction.atomic
def _remind_first(user_id: int, now: dt.datetime) -> bool:
    """Of all courses that somebody has never done and that are to be said now, in one event for each day."""
    rows = AwaitedTraining.objects.select_for_update(of=("self",), no_key=True).select_related("user")
    asked, told = policy.training(), False
    said: dict[tuple[str, dt.datetime], list[AwaitedTraining]] = {}
    for row in rows.filter(user=user_id, course__in=list(asked.courses)).order_by("due_at", "course"):
        if kind := note_as_said(row, plan=policy.training_plan(), now=now):
            said.setdefault((kind, row.due_at), []).append(row)
    for (kind, due_at), together in said.items():
        late, who = kind == OVERDUE, together[0].user.get_username()
        names = ", ".join(asked.courses[row.course].name for row in together)
        text = (
            f"Training that {who} has not done yet {'was' if late else 'is'} due {due_at:%Y-%m-%d}: {names}"
        )
        about: dict[str, Any] = {
            "person": who,
            "courses": [row.course for row in together],
            "due_at": events.rfc3339(due_at),
            # To nobody else: an account that no person uses would have others reminded for ever.
            "to": [f"person:{who}"],
        }
        _tell("training.overdue" if late else "training.due", text, SYSTEM, now, **about)
        told = True
    return told


def _tell(kind: str, said: str, actor: Actor, now: dt.datetime, course: str = "", **data: Any) -> None:
    about = {"course": course} if course else {}
    data = {**about, "path": reverse("incidents:training"), **data}
    record_on_system(kind, said, actor=actor, now=now, data=data)
    live.poke("training")
