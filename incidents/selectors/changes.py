"""Who changed what on an incident last."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Q

from core.models import Event
from incidents.models import Incident, Task

# The events that change a column; an edit names its columns in `fields`.
_CHANGED_BY: Mapping[str, Q] = {
    "severity": Q(kind="incident.severity_changed"),
    "status": Q(kind__in=("incident.status_changed", "incident.resolved", "incident.reopened")),
    "next_steps": Q(kind="incident.updated"),
}


def last_changed_by(incident: Incident, column: str) -> str:
    """The actor of the latest event that changed the column; "somebody" where no event says."""
    changed = _CHANGED_BY.get(column, Q(kind="incident.edited", data__fields__contains=[column]))
    events = Event.objects.filter(changed, stream_id=incident.stream_id).order_by("-seq")
    return events.values_list("actor", flat=True).first() or "somebody"


def last_change_of_task(task: Task) -> str:
    """The actor of the latest event of the task; "somebody" where no event says."""
    events = Event.objects.filter(
        kind__startswith="task.", stream_id=task.incident.stream_id, data__task=task.pk
    ).order_by("-seq")
    return events.values_list("actor", flat=True).first() or "somebody"
