"""Commands on an incident: declare, acknowledge, change, update, resolve, reopen, close."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import transaction
from django.db.models import F

from core import events
from core.access import require
from core.actors import Actor, ActorKind
from core.errors import Conflict, Invalid, NotFound
from core.models.counters import next_reference
from core.models.events import StreamKind
from incidents import policy
from incidents.models import Incident, Service
from incidents.rules.response import is_breached, response_due, response_due_after_change
from incidents.services import people
from incidents.services.closing import must_be_reported
from incidents.states import MOVES, IncidentKind, IncidentSource, IncidentStatus, Severity
from incidents.timeline import record_on_incident
from incidents.transitions import move_incident

EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


class IncidentHeld(Conflict):
    """Something still keeps the incident open, such as a running rollback."""

    code = "incident_held"


class AlreadyAcknowledged(Conflict):
    """Somebody has acknowledged this incident before."""

    code = "already_acknowledged"


@transaction.atomic
def declare_incident(
    *,
    actor: Actor,
    now: dt.datetime,
    title: str,
    severity: str,
    description: str = "",
    impact: str = "",
    kind: str = IncidentKind.OPERATIONAL,
    security_level: int | None = None,
    services: Sequence[str] = (),
    started_at: dt.datetime | None = None,
    drill: bool = False,
    restricted: bool | None = None,
    origin: Service | None = None,
    cause: str = "",
    source: IncidentSource | None = None,
) -> Incident:
    """Open an incident with its reference, response clock and timeline.

    `services` are slugs; `origin` is the service whose monitor or alert opened it and `cause` what it saw.
    A security incident is always `restricted`, any other only when asked for; then whoever declares it is
    on it, for nobody else but a security lead or an administrator would see it.
    Raises Invalid for a security level without a security incident, an unknown service or a start
    in the future; NotAllowed below the level responder.
    """
    if not actor.is_machine:
        require(actor, "respond")
    _check_declaration(title, kind, security_level, started_at, now)
    restricted = bool(restricted) or kind == IncidentKind.SECURITY
    found = _services_by_slug(services)
    ref = next_reference("INC", now)
    target = policy.response_target_seconds(severity, security_level)
    incident = Incident.objects.create(
        ref=ref,
        title=title.strip(),
        description=description,
        impact=impact,
        kind=kind,
        severity=severity,
        security_level=security_level,
        restricted=restricted,
        drill=drill,
        origin=origin,
        source=source or _source(actor, origin),
        declared_at=now,
        declared_by=actor.label,
        started_at=started_at or now,
        response_due_at=response_due(now, target),
        next_update_due_at=_next_update(severity, now),
        stream=events.open_stream(StreamKind.INCIDENT, ref),
    )
    names = Incident.services.through  # a new incident names none yet: no need to look first
    names.objects.bulk_create(names(incident=incident, service=service) for service in found)
    if restricted:
        people.join_quietly(incident, actor=actor, now=now)
    record_on_incident(
        incident,
        "incident.declared",
        f"{severity} declared: {title}" + (f" ({cause})" if cause else ""),
        actor=actor,
        now=now,
        data={
            "severity": severity,
            "kind": kind,
            "services": [service.slug for service in found],
            "origin": origin.slug if origin else None,
            "restricted": restricted,
            "response_due_at": events.rfc3339(incident.response_due_at),
        },
    )
    return incident


@transaction.atomic
def acknowledge_incident(*, incident_id: int, actor: Actor, now: dt.datetime) -> Incident:
    """Somebody has taken this on: the response clock stops.

    On an incident without a commander, the first acknowledging person who has the grant takes the
    role (rulings, People and authority). Raises AlreadyAcknowledged.
    """
    require(actor, "acknowledge")
    incident = lock_incident(incident_id, actor)
    if incident.acknowledged_at is not None:
        raise AlreadyAcknowledged(f"{incident.ref} was acknowledged before.", state=incident.status)
    if not incident.is_open:
        raise Conflict(
            f"{incident.ref} is {incident.status}: there is nothing to acknowledge.",
            state=incident.status,
        )
    incident.acknowledged_at = now
    incident.acknowledged_by_id = actor.user_id
    breached = is_breached(due=incident.response_due_at, acknowledged_at=now, now=now)
    if breached and incident.response_breached_at is None:
        incident.response_breached_at = incident.response_due_at
    save_incident(incident, "acknowledged_at", "acknowledged_by", "response_breached_at")
    record_on_incident(
        incident,
        "incident.acknowledged",
        f"{actor.label} acknowledged" + (" (after the response time)" if breached else ""),
        actor=actor,
        now=now,
        data={"in_time": not breached},
    )
    people.welcome_responder(incident, actor=actor, now=now)
    return incident


@transaction.atomic
def edit_incident(
    *,
    incident_id: int,
    actor: Actor,
    now: dt.datetime,
    title: str | None = None,
    description: str | None = None,
    impact: str | None = None,
    services: Sequence[str] | None = None,
) -> Incident:
    """Correct what an incident says about itself; only what is given changes.

    Raises Conflict for a closed incident, which does not change any more.
    """
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if incident.status == IncidentStatus.CLOSED:
        raise Conflict(f"{incident.ref} is closed: it does not change any more.", state=incident.status)
    changed = []
    for name, value in (("title", title), ("description", description), ("impact", impact)):
        if value is not None and value != getattr(incident, name):
            if name == "title" and not value.strip():
                raise Invalid({"title": "An incident needs a title."})
            setattr(incident, name, value)
            changed.append(name)
    columns = tuple(changed)
    if services is not None:
        found = _services_by_slug(services)
        if {service.pk for service in found} != set(incident.services.values_list("pk", flat=True)):
            incident.services.set(found)
            changed.append("services")
    if changed:
        save_incident(incident, *columns)
        record_on_incident(
            incident,
            "incident.edited",
            f"Changed {', '.join(changed)}",
            actor=actor,
            now=now,
            data={"fields": changed},
        )
    return incident


@transaction.atomic
def change_severity(
    *, incident_id: int, severity: str, reason: str, actor: Actor, now: dt.datetime
) -> Incident:
    """Raise or lower the severity with a reason; the response clock follows the ruling."""
    if not actor.is_machine:
        require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    _apply_severity(incident, severity, reason, actor, now)
    return incident


@transaction.atomic
def post_update(
    *,
    incident_id: int,
    message: str,
    actor: Actor,
    now: dt.datetime,
    next_steps: str | None = None,
    status: str | None = None,
    severity: str | None = None,
    visibility: str = "internal",
) -> Incident:
    """Say how it stands, and move the state or the severity in the same breath.

    `status` may be investigating or monitoring. Restarts the clock of the next update.
    """
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    must_be_open(incident)
    if not message.strip():
        raise Invalid({"message": "An update needs a message."})
    if severity and severity != incident.severity:
        _apply_severity(incident, severity, message, actor, now)
    if status and status != incident.status:
        refuse_while_held(incident, f"become {status}")
        move_incident(incident, IncidentStatus(status))
        _record_status(incident, actor, now, message)
    incident.next_update_due_at = _next_update(incident.severity, now)
    if next_steps is not None:
        incident.next_steps = next_steps
    save_incident(incident, "next_update_due_at", "next_steps")
    record_on_incident(
        incident,
        "incident.updated",
        message,
        actor=actor,
        now=now,
        data={"message": message, "visibility": visibility, "next_steps": next_steps or ""},
    )
    return incident


@transaction.atomic
def resolve_incident(
    *, incident_id: int, resolution: str, actor: Actor, now: dt.datetime, root_cause: str = ""
) -> Incident:
    """It is over. Raises IncidentHeld while something, such as a rollback, still runs."""
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if not resolution.strip():
        raise Invalid({"resolution": "Say how it was resolved."})
    refuse_while_held(incident, "be resolved")
    move_incident(
        incident,
        IncidentStatus.RESOLVED,
        resolved_at=now,
        resolution=resolution,
        root_cause=root_cause or incident.root_cause,
        next_update_due_at=None,
    )
    record_on_incident(
        incident,
        "incident.resolved",
        f"Resolved: {resolution}",
        actor=actor,
        now=now,
        data={"resolution": resolution, "root_cause": root_cause},
    )
    return incident


@transaction.atomic
def reopen_incident(*, incident_id: int, reason: str, actor: Actor, now: dt.datetime) -> Incident:
    """It was not over after all."""
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if not reason.strip():
        raise Invalid({"reason": "Say why it is open again."})
    if incident.status != IncidentStatus.RESOLVED:
        raise Conflict(
            f"{incident.ref} is {incident.status}: only a resolved incident is reopened.",
            state=incident.status,
        )
    move_incident(
        incident,
        IncidentStatus.INVESTIGATING,
        resolved_at=None,
        escalated_at=None,
        escalated_to="",
        next_update_due_at=_next_update(incident.severity, now),
    )
    record_on_incident(incident, "incident.reopened", f"Reopened: {reason}", actor=actor, now=now)
    return incident


@transaction.atomic
def close_incident(*, incident_id: int, actor: Actor, now: dt.datetime, reason: str = "") -> Incident:
    """Nothing is left to do; a closed incident does not change any more."""
    require(actor, "respond")
    incident = lock_incident(incident_id, actor)
    if incident.status == IncidentStatus.RESOLVED:
        must_be_reported(incident, reason)
    move_incident(incident, IncidentStatus.CLOSED, closed_at=now)
    record_on_incident(
        incident,
        "incident.closed",
        f"Closed: {reason}" if reason else "Closed",
        actor=actor,
        now=now,
    )
    return incident


@transaction.atomic
def follow_rollback(
    *, incident_id: int, to: IncidentStatus, summary: str, actor: Actor, now: dt.datetime
) -> None:
    """Move the incident with its rollback, where the table of moves allows it; else leave it."""
    incident = Incident.objects.select_for_update(no_key=True).get(pk=incident_id)
    if incident.is_open and to in MOVES[IncidentStatus(incident.status)]:
        move_incident(incident, to)
        _record_status(incident, actor, now, summary)


def lock_incident(incident_id: int, actor: Actor) -> Incident:
    """The incident, locked, if the actor may see it; raises NotFound.

    Who comes by a link has one for this incident: comms has looked whether it is theirs to see.
    """
    every = actor.is_machine or actor.kind is ActorKind.CONTACT
    rows = Incident.objects.all() if every else Incident.objects.visible_to(actor)
    if not rows.filter(pk=incident_id).exists():
        raise NotFound("No such incident.")
    return Incident.objects.select_for_update(no_key=True).get(pk=incident_id)


def save_incident(incident: Incident, *columns: str) -> None:
    """Write columns of a locked incident and count a new version.

    Without columns: something of the incident in another table changed, such as who holds a role.
    """
    incident.version = F("version") + 1
    incident.save(update_fields=[*columns, "version"])
    incident.refresh_from_db(fields=["version"])


def _check_declaration(
    title: str,
    kind: str,
    security_level: int | None,
    started_at: dt.datetime | None,
    now: dt.datetime,
) -> None:
    if not title.strip():
        raise Invalid({"title": "An incident needs a title."})
    if security_level is not None and kind != IncidentKind.SECURITY:
        raise Invalid({"security_level": "Only a security incident has a security level."})
    if started_at is not None and not EARLIEST <= started_at <= now + dt.timedelta(minutes=5):
        raise Invalid({"started_at": "Must lie between the year 2000 and now."})


def _services_by_slug(slugs: Sequence[str]) -> list[Service]:
    found = {service.slug: service for service in Service.objects.filter(slug__in=slugs)}
    if unknown := sorted(set(slugs) - set(found)):
        raise Invalid({"services": f"No such service: {', '.join(unknown)}"})
    return [found[slug] for slug in dict.fromkeys(slugs)]


def _source(actor: Actor, origin: Service | None) -> IncidentSource:
    if origin is not None:
        return IncidentSource.MONITOR
    return IncidentSource.API if actor.kind is ActorKind.TOKEN else IncidentSource.PERSON


def _next_update(severity: str, now: dt.datetime) -> dt.datetime:
    return now + dt.timedelta(seconds=policy.severity_level(severity).update_every)


def _apply_severity(incident: Incident, severity: str, reason: str, actor: Actor, now: dt.datetime) -> None:
    must_be_open(incident)
    if not reason.strip():
        raise Invalid({"reason": "Say why the severity changes."})
    old, new = Severity(incident.severity), Severity(severity)
    if old is new:
        raise Conflict(f"{incident.ref} is {new} already.", state=incident.status)
    seconds = policy.response_target_seconds(new, incident.security_level)
    incident.severity = new
    incident.response_due_at = response_due_after_change(
        due=incident.response_due_at, changed_at=now, old=old, new=new, new_seconds=seconds
    )
    incident.next_update_due_at = _next_update(new, now)
    save_incident(incident, "severity", "response_due_at", "next_update_due_at")
    record_on_incident(
        incident,
        "incident.severity_changed",
        f"Severity {old} → {new}: {reason}",
        actor=actor,
        now=now,
        data={"from": old, "to": new, "reason": reason, "raised": new.rank < old.rank},
    )


def must_be_open(incident: Incident) -> None:
    """Raise Conflict unless it is open."""
    if not incident.is_open:
        raise Conflict(f"{incident.ref} is {incident.status}; reopen it first.", state=incident.status)


def refuse_while_held(incident: Incident, what: str) -> None:
    """Raise IncidentHeld while something holds it; `what` it cannot do meanwhile."""
    hold = incident.holds.first()
    if hold is not None:
        raise IncidentHeld(f"{incident.ref} cannot {what}: {hold.reason}.", state=incident.status)


def _record_status(incident: Incident, actor: Actor, now: dt.datetime, reason: str) -> None:
    label = IncidentStatus(incident.status).label
    record_on_incident(
        incident,
        "incident.status_changed",
        f"{label}: {reason}",
        actor=actor,
        now=now,
        data={"status": incident.status},
    )
