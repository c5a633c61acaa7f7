"""The doors of the commands on an incident's tasks."""

from __future__ import annotations

import datetime as dt
from typing import Any

from core.versions import at_version
from incidents import forms
from incidents.models import Incident, Task
from incidents.selectors.tasks import get_task, owner_choices
from incidents.services import tasks as commands
from incidents.views.incidents import IncidentCommand


class NewTask(IncidentCommand):
    form_class = forms.NewTaskForm
    title = "Add a task"

    def form_arguments(self) -> dict[str, Any]:
        return {"owners": owner_choices(self.incident)}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        minutes = data.pop("due_in")
        due_at = now + dt.timedelta(minutes=minutes) if minutes else None
        commands.create_task(incident_id=self.incident.pk, due_at=due_at, actor=self.actor, now=now, **data)
        return "The task is added."


class TaskCommand(IncidentCommand):
    """A command on one task of the incident."""

    task: Task

    def load(self, **kwargs: Any) -> None:
        super().load(**kwargs)
        self.task = get_task(self.incident, kwargs["pk"])

    def address(self, now: dt.datetime) -> dict[str, Any]:
        """Which task, and by whom, as the services take it."""
        return {"incident_id": self.incident.pk, "task_id": self.task.pk, "actor": self.actor, "now": now}

    def extra_context(self) -> dict[str, Any]:
        return {"title": f"{self.title}: {self.task.title}"}


class EditTask(TaskCommand):
    form_class = forms.EditTaskForm
    title = "Change the task"
    submit_label = "Save"

    def form_arguments(self) -> dict[str, Any]:
        return {"owners": owner_choices(self.incident), "task": self.task}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        rows = Task.objects.filter(pk=self.task.pk)
        # The form was compared with this version, so it must still be that.
        with at_version(rows, {self.task.version}, after=[Incident.objects.filter(pk=self.incident.pk)]):
            commands.edit_task(**self.address(now), **data)
        return "The task is saved."


class CompleteTask(TaskCommand):
    title = "Done"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.complete_task(**self.address(now))
        return f"{self.task.title} is done."


class DropTask(TaskCommand):
    form_class = forms.OptionalReasonForm
    title = "Drop the task"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.drop_task(**self.address(now), **data)
        return f"{self.task.title} will not be done."


class ReopenTask(TaskCommand):
    title = "Open again"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.reopen_task(**self.address(now))
        return f"{self.task.title} is open again."
