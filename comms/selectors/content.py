"""The frozen facts that message templates print. Source: rulings, Templates."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import cast

from django.conf import settings
from django.utils.crypto import salted_hmac

from comms.playbook import Routing
from core.models import Event
from core.playbook import get_playbook
from incidents import policy
from incidents.models import Incident
from incidents.selectors.people import role_holders
from incidents.selectors.tasks import open_task_texts
from incidents.states import IncidentStatus, Role
from rollbacks.models import Rollback
from rollbacks.states import Phase, StepState

UNKNOWN = "under investigation"


@dataclass(frozen=True)
class MessageFacts:
    """Everything a template may print about an incident, its rollback and the event."""

    event_summary: str
    event_time: dt.datetime
    url: str
    ref: str = ""
    title: str = ""
    severity: str = ""
    severity_name: str = ""
    status: str = ""
    declared_at: dt.datetime | None = None
    response_due_at: dt.datetime | None = None
    description: str = ""
    impact: str = ""
    actions: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    commander: str = ""
    technical_lead: str = ""
    frequency: str = ""
    resolution: str = ""
    root_cause: str = ""
    drill: bool = False
    bridge: str = ""
    rollback: RollbackFacts | None = None
    text: str = ""  # what a person wrote


@dataclass(frozen=True)
class RollbackFacts:
    """Everything a template may print about a rollback."""

    ref: str
    service: str
    trigger: str
    from_version: str
    target_version: str
    reason: str
    expected_duration: str
    impact: str
    state: str
    attention: str
    outcome: str
    queue: str
    url: str


def facts_for(event: Event, incident: Incident | None, rollback: Rollback | None) -> MessageFacts:
    """Gather the facts of one event's messages."""
    if incident is None:
        return _without_incident(event)
    level = policy.severity_level(incident.severity)
    holders = role_holders(incident)
    return MessageFacts(
        event_summary=event.summary,
        event_time=event.occurred_at,
        ref=incident.ref,
        title=incident.title,
        severity=incident.severity,
        severity_name=level.name,
        status=IncidentStatus(incident.status).label,
        declared_at=incident.declared_at,
        response_due_at=incident.response_due_at,
        description=incident.description or incident.title,
        impact=incident.impact or UNKNOWN,
        actions=_actions(incident, rollback),
        next_steps=_next_steps(incident),
        commander=holders.get(Role.INCIDENT_COMMANDER, "not assigned yet"),
        technical_lead=holders.get(Role.TECHNICAL_LEAD, "not assigned yet"),
        frequency=duration_text(level.update_every),
        resolution=incident.resolution or UNKNOWN,
        root_cause=incident.root_cause or UNKNOWN,
        drill=incident.drill,
        bridge=bridge_of(incident),
        url=_address(event) or f"{settings.PUBLIC_URL}/incidents/{incident.ref}/",
        rollback=_rollback_facts(rollback),
    )


def bridge_of(incident: Incident) -> str:
    """Where the incident's people meet by video; empty where the playbook names no place.

    The room is the same for everybody who may read of the incident, and cannot be guessed from its reference.
    """
    address = cast(Routing, get_playbook()["routing"]).bridge
    if address is None:
        return ""
    digest = salted_hmac("comms.bridge", incident.ref, algorithm="sha256").hexdigest()[:20]
    room = f"{incident.ref}-{digest}"
    return address.replace("{ref}", incident.ref).replace("{room}", room)


def _without_incident(event: Event) -> MessageFacts:
    slug = event.data.get("service", "")
    return MessageFacts(
        event_summary=f"{slug}: {event.summary}" if slug else event.summary,
        event_time=event.occurred_at,
        url=_address(event) or (f"{settings.PUBLIC_URL}/services/{slug}/" if slug else settings.PUBLIC_URL),
    )


def _address(event: Event) -> str:
    """Of the page that the event itself names, such as what it reminds of; empty where it names none."""
    path = event.data.get("path")
    return f"{settings.PUBLIC_URL}{path}" if isinstance(path, str) and path.startswith("/") else ""


def _rollback_facts(rollback: Rollback | None) -> RollbackFacts | None:
    if rollback is None:
        return None
    return RollbackFacts(
        ref=rollback.ref,
        service=rollback.service.name,
        trigger=rollback.get_trigger_display(),
        from_version=rollback.from_version,
        target_version=rollback.target_version,
        reason=rollback.reason,
        expected_duration=duration_text(rollback.expected_duration_seconds),
        impact=rollback.expected_impact,
        state=rollback.get_state_display(),
        attention=rollback.attention,
        outcome=rollback.outcome,
        queue=rollback.queue,
        url=f"{settings.PUBLIC_URL}/rollbacks/{rollback.ref}/",
    )


def _next_steps(incident: Incident) -> tuple[str, ...]:
    """The open tasks, then what the last update said besides. Source: rulings, Templates."""
    said = (line.strip() for line in incident.next_steps.splitlines())
    return (*open_task_texts(incident), *(line for line in said if line))


def _actions(incident: Incident, rollback: Rollback | None) -> tuple[str, ...]:
    """Timeline events of kind action, and the finished steps of the rollback."""
    taken = list(
        Event.objects.filter(stream_id=incident.stream_id, kind="action.taken")
        .order_by("seq")
        .values_list("summary", flat=True)[:20]
    )
    if rollback is not None:
        done = rollback.steps.filter(state=StepState.SUCCEEDED, phase=Phase.EXECUTE)
        taken += [f"{rollback.ref}: {step.name}" for step in done]
    return tuple(taken)


def duration_text(seconds: float) -> str:
    """`45 s`, `30 min`, `4 h`: for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
