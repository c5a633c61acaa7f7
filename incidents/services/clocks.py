"""The response clock's breach, found by its due time."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import F

from core.actors import SYSTEM
from incidents.models import Incident
from incidents.states import OPEN_STATUSES
from incidents.timeline import record_on_incident


def mark_breached_responses(*, now: dt.datetime) -> int:
    """Mark every incident whose response is overdue, once; returns how many."""
    marked = 0
    while _mark_one(now):
        marked += 1
    return marked


@transaction.atomic
def _mark_one(now: dt.datetime) -> bool:
    incident = (
        Incident.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(
            acknowledged_at__isnull=True,
            response_breached_at__isnull=True,
            status__in=OPEN_STATUSES,
            response_due_at__lte=now,
        )
        .order_by("response_due_at")
        .first()
    )
    if incident is None:
        return False
    Incident.objects.filter(pk=incident.pk).update(response_breached_at=now, version=F("version") + 1)
    record_on_incident(
        incident,
        "incident.response_breached",
        f"Nobody acknowledged within the response time of {incident.severity}",
        actor=SYSTEM,
        now=now,
    )
    return True
