"""The only writer of this app's events: they stand on the incident's timeline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from core import events
from core.actors import AUTOMATION, Actor
from core.models import Event
from incidents.models import Incident, Service
from rollbacks.models import Rollback


def record_on_rollback(
    rollback: Rollback,
    kind: str,
    summary: str,
    *,
    actor: Actor,
    now: dt.datetime,
    data: Mapping[str, Any] | None = None,
) -> Event:
    """Append to the timeline of the rollback's incident; open rollback pages are told too."""
    return events.record(
        rollback.incident.stream_id,
        kind=kind,
        actor=actor,
        summary=f"{rollback.ref}: {summary}",
        now=now,
        data={
            "incident": rollback.incident.ref,
            "rollback": rollback.ref,
            "service": rollback.service.slug,
            **(data or {}),
        },
        topics=(f"rollback:{rollback.ref}", f"service:{rollback.service.slug}"),
    )


def record_refusal(
    incident: Incident, *, service: Service, reasons: Sequence[str], now: dt.datetime
) -> Event:
    """Automation did not start a rollback; why stands on the timeline."""
    return events.record(
        incident.stream_id,
        kind="rollback.refused",
        actor=AUTOMATION,
        summary=f"No automatic rollback of {service.name}: {'; '.join(reasons)}",
        now=now,
        data={"incident": incident.ref, "service": service.slug, "reasons": list(reasons)},
        topics=(f"service:{service.slug}",),
    )
