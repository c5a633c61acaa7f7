"""The tasks of an incident: as its page, its messages and its API show them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet
from django.urls import reverse

from core.access import may
from core.actors import Actor, Level
from core.errors import NotFound
from core.models import User
from incidents.models import Incident, Task
from incidents.selectors.actions import why_not_allowed
from incidents.states import IncidentStatus, TaskState

FINISHED = 20  # of the finished ones that the page shows
IN_MESSAGES = 20


@dataclass(frozen=True)
class TaskLine:
    """One task; an address is None where the actor may not go there now."""

    pk: int
    title: str
    owner: str | None
    mine: bool
    due_at: dt.datetime | None
    created_at: dt.datetime
    overdue: bool
    state: str
    state_label: str
    finished_at: dt.datetime | None
    finished_by: str
    done_url: str | None
    edit_url: str | None
    drop_url: str | None
    reopen_url: str | None


@dataclass(frozen=True)
class TaskBoard:
    """What the page says of an incident's tasks: mine first, then what is due first."""

    open: tuple[TaskLine, ...]
    finished: tuple[TaskLine, ...]
    add_url: str | None
    owners: tuple[str, ...]
    why_not: str

    @property
    def overdue(self) -> int:
        return sum(line.overdue for line in self.open)


def task_board(actor: Actor, incident: Incident, people: tuple[str, ...], *, now: dt.datetime) -> TaskBoard:
    """Open and lately finished tasks (two queries); `people` are the accounts on the incident."""
    changeable = incident.status != IncidentStatus.CLOSED and may(actor, "respond")
    rows = incident.tasks.select_related("owner")
    open_rows = rows.filter(state=TaskState.OPEN).order_by(F("due_at").asc(nulls_last=True), "pk")
    finished = rows.exclude(state=TaskState.OPEN).order_by("-finished_at", "-pk")[:FINISHED]
    lines = [_line(actor, incident, row, now, changeable=changeable) for row in open_rows]
    mine = (actor.label,) if actor.is_person and changeable else ()
    return TaskBoard(
        open=tuple(sorted(lines, key=lambda line: not line.mine)),
        finished=tuple(_line(actor, incident, row, now, changeable=changeable) for row in finished),
        add_url=reverse("incidents:task_new", args=[incident.ref]) if changeable else None,
        owners=tuple(dict.fromkeys((*mine, *people))),
        why_not=why_not_allowed(actor, "respond"),
    )


def list_tasks(incident: Incident) -> QuerySet[Task]:
    """Every task of the incident."""
    return incident.tasks.select_related("owner")


def get_task(incident: Incident, task_id: int) -> Task:
    """Raises NotFound."""
    task = list_tasks(incident).filter(pk=task_id).first()
    if task is None:
        raise NotFound("There is no such task on this incident.")
    return task


def is_task_overdue(task_id: int, due_at: str, *, now: dt.datetime) -> bool:
    """Whether the task is still open and late by that very due time (RFC 3339)."""
    task = Task.objects.filter(pk=task_id).first()
    return task is not None and task.is_overdue(now) and task.due_at == dt.datetime.fromisoformat(due_at)


def open_task_texts(incident: Incident) -> tuple[str, ...]:
    """The open tasks in one line each, what is due first; at most twenty (one query)."""
    rows = incident.tasks.filter(state=TaskState.OPEN).select_related("owner")
    ordered = rows.order_by(F("due_at").asc(nulls_last=True), "pk")[:IN_MESSAGES]
    return tuple(task_text(row) for row in ordered)


def task_text(task: Task) -> str:
    """`Call the vendor (lena, by 10:30 UTC)`."""
    parts = [task.owner.get_username()] if task.owner else []
    parts += [f"by {task.due_at:%Y-%m-%d %H:%M} UTC"] if task.due_at else []
    return f"{task.title} ({', '.join(parts)})" if parts else task.title


def owner_choices(incident: Incident | None) -> list[str]:
    """Accounts that may be given something of the incident, by name; everybody's is of none."""
    users = User.objects.filter(is_active=True)
    if incident is not None and incident.restricted:
        on_it = incident.responders.filter(until__isnull=True).values("user_id")
        see_all = Q(groups__name__in=(Level.COMMANDER.label, Level.ADMINISTRATOR.label)) | Q(
            is_superuser=True
        )
        users = users.filter(see_all | Q(pk__in=on_it)).distinct()
    return list(users.order_by("username").values_list("username", flat=True)[:1_000])


def _line(actor: Actor, incident: Incident, row: Task, now: dt.datetime, *, changeable: bool) -> TaskLine:
    def address(verb: str, allowed: bool) -> str | None:
        return reverse(f"incidents:task_{verb}", args=[incident.ref, row.pk]) if allowed else None

    is_open = row.state == TaskState.OPEN
    return TaskLine(
        pk=row.pk,
        title=row.title,
        owner=row.owner.get_username() if row.owner else None,
        mine=row.owner_id is not None and row.owner_id == actor.user_id,
        due_at=row.due_at,
        created_at=row.created_at,
        overdue=row.is_overdue(now),
        state=row.state,
        state_label=str(TaskState(row.state).label),
        finished_at=row.finished_at,
        finished_by=row.finished_by,
        done_url=address("done", changeable and is_open),
        edit_url=address("edit", changeable and is_open),
        drop_url=address("drop", changeable and is_open),
        reopen_url=address("reopen", changeable and not is_open),
    )
