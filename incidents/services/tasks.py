"""Commands on the tasks of an incident: written, given to somebody, done, and overdue by the clock."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import F

from core import events
from core.access import require
from core.actors import SYSTEM, Actor, actor_for_user
from core.errors import Conflict, Invalid, NotFound
from core.models import Event, User
from incidents.models import Incident, Task
from incidents.selectors.addressees import addressed_to
from incidents.services.incidents import EARLIEST, lock_incident
from incidents.states import IncidentStatus, TaskState
from incidents.timeline import record_on_incident

MOST_OPEN = 100  # of one incident: more are a project, and messages name them
LATEST = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
UNCHANGED: Any = object()  # None is nobody, or no time


class TaskFinished(Conflict):
    """It is done or dropped already, or was never finished."""

    code = "task_state"


@transaction.atomic
def create_task(
    *,
    incident_id: int,
    title: str,
    actor: Actor,
    now: dt.datetime,
    owner: str | None = None,
    due_at: dt.datetime | None = None,
) -> Task:
    """Write down what is to be done; `owner` is an account's name.

    Raises Invalid for an unknown owner and one who may not see the incident, Conflict on a closed one.
    """
    require(actor, "respond")
    incident = lock_open_to_change(incident_id, actor)
    if incident.tasks.open().count() >= MOST_OPEN:
        raise Conflict(
            f"{incident.ref} has {MOST_OPEN} open tasks: finish some first.", state=incident.status
        )
    task = Task.objects.create(
        incident=incident,
        title=_title(title),
        owner=_owner(incident, owner),
        due_at=_due(due_at),
        created_at=now,
        created_by=actor.label[:200],
    )
    _record(incident, task, "task.created", f"Task: {task.title}{_for_whom(task)}", actor=actor, now=now)
    return task


@transaction.atomic
def edit_task(
    *,
    incident_id: int,
    task_id: int,
    actor: Actor,
    now: dt.datetime,
    title: str = UNCHANGED,
    owner: str | None = UNCHANGED,
    due_at: dt.datetime | None = UNCHANGED,
) -> Task:
    """Say it otherwise, give it to somebody else, or another time. Nothing new records nothing."""
    require(actor, "respond")
    incident, task = _lock(incident_id, task_id, actor)
    if task.state != TaskState.OPEN:
        raise TaskFinished(f"“{task.title}” is {task.state}: reopen it first.", state=task.state)
    before = (task.title, task.owner_id, task.due_at)
    changed: list[str] = []
    if title is not UNCHANGED:
        task.title = _title(title)
    if owner is not UNCHANGED and owner != (task.owner.get_username() if task.owner else None):
        task.owner = _owner(incident, owner)
    if due_at is not UNCHANGED:
        task.due_at = _due(due_at)
    if task.title != before[0]:
        changed.append(f"is now “{task.title}”")
    if task.owner_id != before[1]:
        changed.append(f"is given to {task.owner}" if task.owner else "is nobody's now")
    if task.due_at != before[2]:
        task.overdue_at = None
        changed.append(f"is due {_when(task.due_at)}" if task.due_at else "has no due time now")
    if not changed:
        return task
    _save(task, "title", "owner", "due_at", "overdue_at")
    _record(incident, task, "task.changed", f"Task “{before[0]}” {', '.join(changed)}", actor=actor, now=now)
    return task


@transaction.atomic
def complete_task(*, incident_id: int, task_id: int, actor: Actor, now: dt.datetime) -> Task:
    """It is done. Raises TaskFinished with who was first."""
    return _finish(incident_id, task_id, TaskState.DONE, "", actor, now)


@transaction.atomic
def drop_task(*, incident_id: int, task_id: int, actor: Actor, now: dt.datetime, reason: str = "") -> Task:
    """It will not be done."""
    return _finish(incident_id, task_id, TaskState.DROPPED, reason.strip(), actor, now)


@transaction.atomic
def reopen_task(*, incident_id: int, task_id: int, actor: Actor, now: dt.datetime) -> Task:
    """It is to be done after all; its due time counts again."""
    require(actor, "respond")
    incident, task = _lock(incident_id, task_id, actor)
    if task.state == TaskState.OPEN:
        raise TaskFinished(f"“{task.title}” is open.", state=task.state)
    before = task.finished_by
    task.state, task.finished_at, task.finished_by, task.overdue_at = TaskState.OPEN, None, "", None
    _save(task, "state", "finished_at", "finished_by", "overdue_at")
    summary = f"To be done after all: {task.title} (was finished by {before})"
    _record(incident, task, "task.reopened", summary, actor=actor, now=now)
    return task


def mark_overdue_tasks(*, now: dt.datetime) -> int:
    """Say once of every due time that has passed with its task open; returns how many were said."""
    said = 0
    while (task := Task.objects.lapsing(now).order_by("due_at").first()) is not None:
        said += _mark_overdue(task, now)
    return said


@transaction.atomic
def _mark_overdue(found: Task, now: dt.datetime) -> bool:
    incident = Incident.objects.select_for_update(no_key=True).get(pk=found.incident_id)
    task = Task.objects.lapsing(now).filter(pk=found.pk).select_related("owner").first()
    if task is None:  # somebody was faster
        return False
    task.overdue_at = now
    _save(task, "overdue_at")
    if incident.status == IncidentStatus.CLOSED or task.due_at is None:
        return False
    _record(
        incident,
        task,
        "task.overdue",
        f"Task overdue: {task.title}{_for_whom(task)}",
        actor=SYSTEM,
        now=now,
        to=addressed_to([task.owner], incident),
    )
    return True


def lock_open_to_change(incident_id: int, actor: Actor) -> Incident:
    """The incident, locked; raises NotFound, or Conflict when it is closed."""
    incident = lock_incident(incident_id, actor)
    if incident.status == IncidentStatus.CLOSED:
        raise Conflict(f"{incident.ref} is closed: it does not change any more.", state=incident.status)
    return incident


def _finish(
    incident_id: int, task_id: int, state: TaskState, reason: str, actor: Actor, now: dt.datetime
) -> Task:
    require(actor, "respond")
    incident, task = _lock(incident_id, task_id, actor)
    if task.state != TaskState.OPEN:
        raise TaskFinished(
            f"“{task.title}” is {task.state} already, by {task.finished_by}.", state=task.state
        )
    task.state, task.finished_at, task.finished_by = state, now, actor.label[:200]
    _save(task, "state", "finished_at", "finished_by")
    said = "Done" if state is TaskState.DONE else "Will not be done"
    summary = f"{said}: {task.title}" + (f" ({reason})" if reason else "")
    more = {"reason": reason} if reason else {}
    kind = "task.completed" if state is TaskState.DONE else "task.dropped"
    _record(incident, task, kind, summary, actor=actor, now=now, **more)
    return task


def _lock(incident_id: int, task_id: int, actor: Actor) -> tuple[Incident, Task]:
    """Both: what changes a task holds its incident's lock, so the task needs none of its own."""
    incident = lock_open_to_change(incident_id, actor)
    task = incident.tasks.select_related("owner").filter(pk=task_id).first()
    if task is None:
        raise NotFound("No such task.")
    return incident, task


def _title(title: str) -> str:
    line = " ".join(title.split())
    if not line:
        raise Invalid({"title": "Say what is to be done."})
    if len(line) > 200:
        raise Invalid({"title": "At most 200 characters."})
    return line


def _owner(incident: Incident, username: str | None) -> User | None:
    """Who may see the incident: a task that its owner cannot find helps nobody, and tells what is hidden."""
    if not username:
        return None
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    if user is None:
        raise Invalid({"owner": "No such account."})
    if not Incident.objects.visible_to(actor_for_user(user)).filter(pk=incident.pk).exists():
        raise Invalid({"owner": f"{user} may not see this incident: bring them onto it first."})
    return user


def _due(due_at: dt.datetime | None) -> dt.datetime | None:
    if due_at is not None and not EARLIEST <= due_at < LATEST:
        raise Invalid({"due_at": "Must lie between the years 2000 and 2100."})
    return due_at


def _save(task: Task, *columns: str) -> None:
    task.version = F("version") + 1
    task.save(update_fields=[*columns, "version"])
    task.refresh_from_db(fields=["version"])


def _when(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _for_whom(task: Task) -> str:
    parts = [f"for {task.owner}"] if task.owner else []
    parts += [f"due {_when(task.due_at)}"] if task.due_at else []
    return f" ({', '.join(parts)})" if parts else ""


def _record(
    incident: Incident, task: Task, kind: str, summary: str, *, actor: Actor, now: dt.datetime, **more: Any
) -> Event:
    data = {
        "task": task.pk,
        "title": task.title,
        "owner": task.owner.get_username() if task.owner else None,
        "due_at": events.rfc3339(task.due_at) if task.due_at else None,
    }
    return record_on_incident(incident, kind, summary, actor=actor, now=now, data={**data, **more})
