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
from rollbacks.rules.admission import Reason


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
    incident: Incident, *, service: Service, reasons: Sequence[Reason], now: dt.datetime
) -> Event:
    """Automation did not start a rollback; why stands on the timeline."""
    return events.record(
        incident.stream_id,
        kind="rollback.refused",
        actor=AUTOMATION,
        summary=f"Not rolled back: {'; '.join(reason.text for reason in reasons)} ({service.name})",
        now=now,
        data={
            "incident": incident.ref,
            "service": service.slug,
            "reasons": [reason.text for reason in reasons],
            "codes": [reason.code for reason in reasons],
        },
        topics=(f"service:{service.slug}",),
    )
