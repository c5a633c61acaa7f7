"""Who has done which training: the matrix of people and courses, and single records."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import QuerySet

from core.actors import Level
from core.events import rfc3339
from core.models import Event, User
from incidents import policy
from incidents.models import AwaitedTraining, RoleGrant, TrainingRecord
from incidents.playbook import Course

STATES = {
    "lapsed": "Lapsed",
    "soon": "Lapses soon",
    "never": "Never",
    "valid": "Valid",
    "extra": "Not asked for",
}
PAGE = 100  # people


@dataclass(frozen=True)
class Cell:
    """How a person stands with a course: one of STATES."""

    course: str
    state: str
    label: str
    done_at: dt.datetime | None
    due_at: dt.datetime | None


@dataclass(frozen=True)
class Row:
    """A person with a cell for each course."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Page:
    """Some of the people of a matrix."""

    rows: tuple[Row, ...]
    number: int
    has_more: bool


@dataclass(frozen=True)
class Matrix:
    """People against courses; `courses` are (key, course) in the order of the cells."""

    courses: tuple[tuple[str, Course], ...]
    rows: tuple[Row, ...]

    def count(self, state: str) -> int:
        return sum(cell.state == state for row in self.rows for cell in row.cells)

    def page(self, number: int) -> Page:
        """The people of a page, counted from 1; none on one that is too far."""
        first = (number - 1) * PAGE
        return Page(self.rows[first : first + PAGE], number, len(self.rows) > first + PAGE)


def training_matrix(*, now: dt.datetime) -> Matrix:
    """Every account that may read, by name, those with something lapsed first, then those who never did
    something (four queries).
    """
    asked = policy.training()
    users = User.objects.filter(is_active=True).prefetch_related("groups").order_by("username")
    grants: dict[int, set[str]] = {}
    for user_id, role in RoleGrant.objects.values_list("user_id", "role"):
        grants.setdefault(user_id, set()).add(role)
    current = {
        (record.user_id, record.course): record for record in TrainingRecord.objects.filter(current=True)
    }
    soon = now + dt.timedelta(seconds=asked.remind_before)
    rows = [
        Row(
            user.get_username(),
            tuple(
                _cell(key, _is_for(course, user, grants), current.get((user.pk, key)), now, soon)
                for key, course in asked.courses.items()
            ),
        )
        for user in users
        if user.level >= Level.VIEWER
    ]
    rows.sort(key=lambda row: (min(_URGENT.get(cell.state, 2) for cell in row.cells), row.name))
    return Matrix(tuple(asked.courses.items()), tuple(rows))


def asked_of_people() -> set[tuple[int, str]]:
    """Account and course of everything that the playbook asks of somebody (three queries)."""
    grants: dict[int, set[str]] = {}
    for user_id, role in RoleGrant.objects.values_list("user_id", "role"):
        grants.setdefault(user_id, set()).add(role)
    users = User.objects.filter(is_active=True).prefetch_related("groups")
    courses = policy.training().courses.items()
    return {
        (user.pk, key)
        for user in users
        if user.level >= Level.VIEWER
        for key, course in courses
        if _is_for(course, user, grants)
    }


_URGENT = {"lapsed": 0, "never": 1}


def _is_for(course: Course, user: User, grants: dict[int, set[str]]) -> bool:
    if not course.roles and not course.levels:
        return True
    return user.level.label in course.levels or bool(set(course.roles) & grants.get(user.pk, set()))


def _cell(key: str, asked: bool, record: TrainingRecord | None, now: dt.datetime, soon: dt.datetime) -> Cell:
    if record is None:
        state = "never" if asked else "extra"
        return Cell(key, state, STATES[state], None, None)
    state = "lapsed" if record.due_at <= now else "soon" if record.due_at <= soon else "valid"
    if not asked and state == "lapsed":
        state = "extra"  # the level or the grant was taken away: nobody is waited for
    return Cell(key, state, STATES[state], record.done_at, record.due_at)


def training_records() -> QuerySet[TrainingRecord]:
    """Newest first."""
    return TrainingRecord.objects.select_related("user")


def is_training_due(event: Event) -> bool:
    """Whether what the event reminds of is still to be done."""
    if "record" not in event.data:  # never done
        rows = AwaitedTraining.objects.filter(user__username=event.data["person"])
        return rows.filter(course__in=event.data["courses"]).exists()
    record = TrainingRecord.objects.filter(pk=event.data["record"], current=True).first()
    return record is not None and rfc3339(record.due_at) == event.data["due_at"]
