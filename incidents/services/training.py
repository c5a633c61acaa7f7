"""Commands on training: recorded for several at once, counted from a drill, reminded of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.urls import reverse

from core import events, live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Invalid, NotAllowed
from core.models import Event, User
from incidents import policy
from incidents.models import TrainingRecord
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
    """Tell people whose training lapses soon, and those whose has, once each; returns how many."""
    asked = policy.training()
    near = now + dt.timedelta(seconds=asked.remind_before)
    kept = TrainingRecord.objects.filter(current=True, course__in=list(asked.courses), user__is_active=True)
    soon = kept.filter(due_at__lte=near, reminded_at__isnull=True)
    late = kept.filter(due_at__lte=now, overdue_at__isnull=True)
    return sum(_remind(pk, now) for pk in soon.union(late).values_list("pk", flat=True)[:AT_ONCE])


@transaction.atomic
def _remind(record_id: int, now: dt.datetime) -> bool:
    rows = TrainingRecord.objects.select_for_update(of=("self",), no_key=True).select_related("user")
    record = rows.get(pk=record_id)
    late = record.due_at <= now
    if not record.current or (record.overdue_at if late else record.reminded_at) is not None:
        return False
    record.reminded_at = record.reminded_at or now
    record.overdue_at = now if late else None
    record.save(update_fields=["reminded_at", "overdue_at"])
    name = policy.training().courses[record.course].name
    who = record.user.get_username()
    said = f"Training {name} of {who} {'lapsed' if late else 'lapses'} on {record.due_at:%Y-%m-%d}"
    kind = "training.overdue" if late else "training.due"
    due = events.rfc3339(record.due_at)
    _tell(kind, said, SYSTEM, now, record.course, record=record.pk, due_at=due, to=[f"account:{who}"])
    return True


def _tell(kind: str, said: str, actor: Actor, now: dt.datetime, course: str, **data: Any) -> None:
    about = {"course": course, "path": reverse("incidents:training")}
    record_on_system(kind, said, actor=actor, now=now, data={**about, **data})
    live.poke("training")
