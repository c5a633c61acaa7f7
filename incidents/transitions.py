"""The only writer of an incident's status."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from core.errors import IllegalMove
from incidents.models import Incident
from incidents.states import MOVES, IncidentStatus


def move_incident(incident: Incident, to: IncidentStatus, **changes: Any) -> None:
    """Move a locked incident to `to`, with further column changes; raises IllegalMove.

    Compare-and-set on status and version: a writer that read an older row changes nothing.
    """
    now_at = IncidentStatus(incident.status)
    if to not in MOVES[now_at]:
        raise IllegalMove(
            f"{incident.ref} is {now_at.label.lower()}: it cannot become {to.label.lower()}.",
            state=now_at,
        )
    updated = Incident.objects.filter(pk=incident.pk, status=now_at, version=incident.version).update(
        status=to, version=F("version") + 1, **changes
    )
    if not updated:
        raise IllegalMove(f"{incident.ref} was changed by somebody else at the same moment.", state=now_at)
    incident.refresh_from_db()
