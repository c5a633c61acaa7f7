"""The only writer of this app's events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from core import events
from core.actors import Actor
from core.models import Event
from incidents.models import Incident, Service


def record_on_incident(
    incident: Incident,
    kind: str,
    summary: str,
    *,
    actor: Actor,
    now: dt.datetime,
    data: Mapping[str, Any] | None = None,
    occurred_at: dt.datetime | None = None,
    source: str = "firebreak",
) -> Event:
    """Append to an incident's timeline; every event carries the incident's reference."""
    return events.record(
        incident.stream_id,
        kind=kind,
        actor=actor,
        summary=summary,
        now=now,
        data={"incident": incident.ref, **(data or {})},
        occurred_at=occurred_at,
        source=source,
    )


def record_on_service(
    service: Service,
    kind: str,
    summary: str,
    *,
    actor: Actor,
    now: dt.datetime,
    data: Mapping[str, Any] | None = None,
) -> Event:
    """Append to a service's stream; every event carries the service's slug."""
    return events.record(
        service.stream_id,
        kind=kind,
        actor=actor,
        summary=summary,
        now=now,
        data={"service": service.slug, **(data or {})},
    )


def record_on_system(
    kind: str, summary: str, *, actor: Actor, now: dt.datetime, data: Mapping[str, Any]
) -> Event:
    """Append to Firebreak's own stream what is about no incident and no service."""
    return events.record(
        events.system_stream().pk, kind=kind, actor=actor, summary=summary, now=now, data=data
    )
