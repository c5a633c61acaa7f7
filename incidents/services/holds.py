"""Holds: what keeps an incident from being resolved. Offered to the apps on the right."""

from __future__ import annotations

import datetime as dt

from django.db.models import F

from incidents.models import Incident, IncidentHold


def place_hold(*, incident: Incident, kind: str, reference: str, reason: str, now: dt.datetime) -> None:
    """Keep the incident open while `reference` (such as RB-…) runs. Call it in the change's transaction."""
    IncidentHold.objects.create(
        incident=incident, kind=kind, reference=reference, reason=reason, placed_at=now
    )
    _new_version(incident.pk)
    incident.refresh_from_db(fields=["version"])


def release_hold(*, kind: str, reference: str) -> None:
    """The thing has ended."""
    hold = IncidentHold.objects.filter(kind=kind, reference=reference).first()
    if hold is not None:
        hold.delete()
        _new_version(hold.incident_id)


def _new_version(incident_id: int) -> None:
    Incident.objects.filter(pk=incident_id).update(version=F("version") + 1)
