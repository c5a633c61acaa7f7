"""Commands on messages for users: drafted, edited, approved by the commander, then everywhere at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.db import connection, transaction

from comms.models import Component, Delivery, Message, PublicIncident, PublicUpdate
from comms.playbook import Channels, Routing
from comms.rules.publishing import Approver, judge_approval, page_text, propose
from comms.selectors.public_facts import components_of, may_be_public, public_facts, public_names
from comms.selectors.subscribers import USER_EMAIL
from comms.services.components import change_state, ensure_components
from comms.services.snapshot import want_snapshot
from comms.states import (
    EXTERNAL_TEMPLATES,
    PUBLIC,
    ComponentState,
    MessageState,
    PublicImpact,
    PublicStatus,
    Template,
    Visibility,
)
from comms.timeline import record_on_message
from comms.transitions import move_message
from comms.wording import Wording, render_public
from core import hints
from core.access import require
from core.actors import SYSTEM, Actor
from core.assurance import require_assurance
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import Event
from core.playbook import get_playbook
from core.versions import VersionChanged
from incidents.models import Incident, Responder
from incidents.services.people import has_grant
from incidents.states import Role

# What a draft is made of and a person may write. `components` is {public_id: state}.
FIELDS = (
    "title", "status", "impact", "impact_text", "update_text", "root_cause", "expected_duration",
    "started_at", "resolved_at", "components",
)  # fmt: skip
_TO_SUBSCRIBERS = """
INSERT INTO comms_delivery (message_id, event_id, channel, lane, recipient, urgent, state, claims, attempts,
                            created_at, due_at, receipt, last_error)
SELECT %(message)s, %(event)s, %(channel)s, %(lane)s, s.key, FALSE, 'pending', 0, 0, %(now)s, %(now)s, '', ''
  FROM comms_subscriber s WHERE s.confirmed_at IS NOT NULL
ON CONFLICT DO NOTHING
"""


class NotPublic(Conflict):
    """The incident is restricted or a drill, or none of its services has a public name."""

    code = "not_public"


# --- drafts -----------------------------------------------------------------------------------------


def draft_by_rule(
    template: Template, channels: Sequence[str], *, event: Event, incident: Incident | None, now: dt.datetime
) -> Message | None:
    """The draft that a route asks for; None where there is nothing to say outside.

    "Resolved" follows something that was said, and takes the place of drafts that nobody approved; where
    somebody wrote it with the end itself, theirs stands.
    """
    if incident is None or not may_be_public(incident):
        return None
    if Message.objects.filter(event=event, template=template).exists():
        return None
    if template == Template.ISSUE_RESOLVED:
        by_hand = _ends_by_hand(incident, event)
        _supersede_drafts(incident, now, but=by_hand)
        if by_hand or not PublicIncident.objects.filter(incident=incident, resolved_at__isnull=True).exists():
            return None
    ensure_components(now=now)
    components = components_of(incident)
    if not components:
        return None
    update = proposed_update(template, incident, components, now=now)
    return _store(update, template, channels, event=event, incident=incident, actor=SYSTEM, now=now)


@transaction.atomic
def draft_message(
    *,
    incident_id: int,
    template: str,
    actor: Actor,
    now: dt.datetime,
    channels: Sequence[str] = (),
    body: str = "",
    **fields: Any,
) -> Message:
    """By hand: a draft of an external message. `fields` are of FIELDS; what is left out is proposed.

    Raises NotPublic, and Invalid naming the field.
    """
    require(actor, "respond")
    incident = Incident.objects.visible_to(actor).filter(pk=incident_id).first()
    if incident is None:
        raise NotFound("No such incident.")
    update = compose_update(incident, template, fields, now=now)
    used = check_channels(channels or default_channels(template))
    label = Template(template).label
    event = record_on_message(
        incident, "message.drafted", f"{label}: drafted for users", template=template, actor=actor, now=now
    )
    message = _store(update, Template(template), used, event=event, incident=incident, actor=actor, now=now)
    if body.strip():
        message.body = body.strip() + "\n"
        message.save(update_fields=["body"])
    return message


def compose_update(
    incident: Incident, template: str, fields: Mapping[str, Any], *, now: dt.datetime
) -> PublicUpdate:
    """An unstored draft as it would be; raises NotPublic and Invalid."""
    ensure_components(now=now)  # also of a service that got its public name a moment ago
    if template not in EXTERNAL_TEMPLATES:
        raise Invalid({"template": f"Must be one of {', '.join(EXTERNAL_TEMPLATES)}."})
    if not may_be_public(incident):
        raise NotPublic(
            f"{incident.ref} is restricted or a drill: nothing of it shows outside.", state=incident.status
        )
    components = components_of(incident)
    if not components and not fields.get("components"):
        raise NotPublic(
            f"No service of {incident.ref} has a public name: users know none of them.", state=incident.status
        )
    update = proposed_update(Template(template), incident, components, now=now)
    _apply(update, fields, now)
    return update


def proposed_update(
    template: Template, incident: Incident, components: Mapping[str, str], *, now: dt.datetime
) -> PublicUpdate:
    """What a draft says before anybody has written; the words of what was published before go on."""
    proposal = propose(template, incident.severity, components)
    public = PublicIncident.objects.filter(incident=incident).first()
    last = public.updates.filter(published_at__isnull=False).first() if public else None
    return PublicUpdate(
        title=public.title if public else proposal.title,
        status=proposal.status,
        impact=public.impact if public else proposal.impact,
        impact_text=last.impact_text if last else proposal.impact_text,
        started_at=public.started_at if public else incident.started_at,
        resolved_at=(incident.resolved_at or now) if proposal.status == PublicStatus.RESOLVED else None,
        components=dict(proposal.components),
    )


@transaction.atomic
def edit_message(
    *,
    message_id: int,
    actor: Actor,
    now: dt.datetime,
    version: int | None = None,
    body: str | None = None,
    **fields: Any,
) -> Message:
    """Other words while it is a draft. `body` is the whole text; left as it was, it follows the fields.

    Raises VersionChanged when somebody changed it since `version`, Conflict when it is no draft.
    """
    require(actor, "respond")
    message = _lock(message_id, actor)
    _check_version(message, version)
    if message.state != MessageState.DRAFT:
        raise Conflict("Only a draft is edited.", state=message.state)
    update = message.public
    before = render_public(Template(message.template), public_facts(update)).body
    was_written_by_hand = message.body != before
    _apply(update, fields, now)
    update.save()
    wording = render_public(Template(message.template), public_facts(update))
    message.subject, message.forms = wording.subject, wording.forms
    if body is not None and body.strip() and body.strip() != message.body.strip():
        message.body = body.strip() + "\n"
    elif not was_written_by_hand:
        message.body = wording.body
    message.version += 1
    message.save(update_fields=["subject", "body", "forms", "version"])
    return message


@transaction.atomic
def discard_message(
    *, message_id: int, actor: Actor, now: dt.datetime, version: int | None = None
) -> Message:
    """The draft is not needed. Raises Conflict when it is none any more: what left cannot be taken back.

    Raises VersionChanged when somebody changed it since `version`.
    """
    require(actor, "respond")
    message = _lock(message_id, actor)
    _check_version(message, version)
    if message.state != MessageState.DRAFT:
        raise Conflict("Only a draft is discarded.", state=message.state)
    assert message.incident is not None
    move_message(message, MessageState.SUPERSEDED, finished_at=now)
    record_on_message(
        message.incident,
        "message.discarded",
        f"{message.get_template_display()}: the draft was discarded",
        template=message.template,
        message=message.pk,
        actor=actor,
        now=now,
    )
    return message


# --- the gate ---------------------------------------------------------------------------------------


@transaction.atomic
def approve_message(
    *, message_id: int, actor: Actor, now: dt.datetime, version: int | None = None
) -> Message:
    """Let it out: the entry of the status page, the components' states and every delivery, or nothing.

    Raises NotAllowed for anybody but the commander in person, VersionChanged when it does not say any
    more what was read, Conflict when it was approved or discarded before.
    """
    require(actor, "respond")
    message = _lock(message_id, actor)
    incident = Incident.objects.select_for_update(no_key=True).get(pk=cast(int, message.incident_id))
    if why_not := why_not_approve(incident, actor):
        raise NotAllowed(why_not)
    require_assurance(actor, now)
    if message.state != MessageState.DRAFT:
        raise Conflict("It is no draft any more.", state=message.state)
    _check_version(message, version)
    if not may_be_public(incident):
        raise NotPublic(f"{incident.ref} is restricted or a drill.", state=incident.status)
    move_message(message, MessageState.APPROVED, approved_at=now, approved_by=actor.user_id)
    event = record_on_message(
        incident,
        "message.approved",
        f"{message.get_template_display()}: approved for users",
        template=message.template,
        message=message.pk,
        actor=actor,
        now=now,
    )
    _publish(message.public, message, incident, actor, now)
    _queue_deliveries(message, event, now)
    move_message(message, MessageState.QUEUED)
    if not message.deliveries.exists():  # the playbook has none of its channels any more
        move_message(message, MessageState.FAILED, finished_at=now)
    want_snapshot(now=now)
    hints.wake("comms.sweep_deliveries")
    return message


def why_not_approve(incident: Incident, actor: Actor) -> str:
    """Why this one may not approve what is said outside of the incident; empty when they may."""
    granted = actor.user_id is not None and has_grant(actor.user_id, Role.INCIDENT_COMMANDER)
    return judge_approval(
        Approver(actor.kind, actor.user_id, granted),
        commander=_commander(incident),
        incident_open=incident.is_open,
    ).reason


def _publish(
    update: PublicUpdate, message: Message, incident: Incident, actor: Actor, now: dt.datetime
) -> None:
    over = update.status == PublicStatus.RESOLVED
    said = {
        "title": update.title,
        "status": update.status,
        "impact": update.impact,
        "updated_at": now,
        "resolved_at": (update.resolved_at or now) if over else None,
    }
    if update.status == PublicStatus.MONITORING:
        said["monitoring_at"] = now
    public, _made = PublicIncident.objects.update_or_create(
        incident=incident,
        defaults=said,
        create_defaults=said | {"started_at": update.started_at, "created_at": now},
    )
    rows = (
        Component.objects.select_for_update(of=("self",), no_key=True)
        .select_related("service")
        .filter(public_id__in=list(update.components))
        .order_by("pk")
    )
    changes = []
    for component in rows:
        new, old = update.components[component.public_id], component.state
        changes.append(
            {
                "code": component.public_id,
                "name": component.service.public_name,
                "old_status": old,
                "new_status": new,
            }
        )
        if new != old:
            change_state(component, new, reason=str(message.get_template_display()), actor=actor, now=now)
    public.components.add(*rows)
    update.public_incident, update.changes = public, changes
    update.body = page_text(message.body, headline=message.subject)
    update.published_at = now
    update.save()


def _queue_deliveries(message: Message, event: Event, now: dt.datetime) -> None:
    """One row for each place and each confirmed subscriber, by a number of statements that never grows."""
    channels = cast(Channels, get_playbook()["channels"]).root
    places = []
    for key in message.channels:
        channel = channels.get(key)
        if channel is None or channel.means is not None:
            continue
        if channel.kind == USER_EMAIL:
            asked = {
                "message": message.pk,
                "event": event.pk,
                "channel": key,
                "lane": channel.kind,
                "now": now,
            }
            with connection.cursor() as cursor:
                cursor.execute(_TO_SUBSCRIBERS, asked)
        else:
            row = {"channel": key, "lane": channel.kind, "recipient": key, "created_at": now, "due_at": now}
            places.append(Delivery(message=message, event=event, **row))
    Delivery.objects.bulk_create(places, ignore_conflicts=True)


# --- channels ---------------------------------------------------------------------------------------


def default_channels(template: str) -> tuple[str, ...]:
    """Where the routing sends this template; else every place that the public reads."""
    routing = cast(Routing, get_playbook()["routing"])
    routed = [key for route in routing.routes if route.template == template for key in route.channels]
    if routed:
        return tuple(dict.fromkeys(routed))
    channels = cast(Channels, get_playbook()["channels"]).root
    return tuple(key for key, channel in channels.items() if channel.outside)


def check_channels(keys: Sequence[str]) -> tuple[str, ...]:
    """Raises Invalid for a channel that does not exist or reaches contacts."""
    channels = cast(Channels, get_playbook()["channels"]).root
    for key in keys:
        if key not in channels:
            raise Invalid({"channels": f"There is no channel {key[:60]}."})
        if channels[key].means is not None:
            raise Invalid({"channels": f"{key} reaches contacts; a message for users goes elsewhere."})
    return tuple(dict.fromkeys(keys))


# --- parts ------------------------------------------------------------------------------------------


def _store(
    update: PublicUpdate,
    template: Template,
    channels: Sequence[str],
    *,
    event: Event,
    incident: Incident,
    actor: Actor,
    now: dt.datetime,
) -> Message:
    wording: Wording = render_public(template, public_facts(update))
    message = Message.objects.create(
        event=event,
        incident=incident,
        template=template,
        visibility=Visibility.EXTERNAL,
        audiences=[PUBLIC],
        channels=list(channels),
        subject=wording.subject,
        body=wording.body,
        forms=wording.forms,
        state=MessageState.DRAFT,
        drafted_by=actor.label[:200],
        created_at=now,
    )
    update.message = message
    update.save()
    return message


def _apply(update: PublicUpdate, fields: Mapping[str, Any], now: dt.datetime) -> None:
    """Write what is given; raises Invalid naming the field."""
    if unknown := sorted(set(fields) - set(FIELDS)):
        raise Invalid(dict.fromkeys(unknown, "There is no such field."))
    given = {name: value for name, value in fields.items() if value is not None}
    if "title" in given and not str(given["title"]).strip():
        raise Invalid({"title": "Users need a title."})
    for name, allowed in (("status", PublicStatus.values), ("impact", PublicImpact.values)):
        if name in given and given[name] not in allowed:
            raise Invalid({name: f"Must be one of {', '.join(allowed)}."})
    if "components" in given:
        _check_components(given["components"])
    for name, value in given.items():
        setattr(update, name, value)
    if update.status == PublicStatus.RESOLVED:
        update.resolved_at = update.resolved_at or now
        if update.resolved_at < update.started_at:
            raise Invalid({"resolved_at": "It cannot end before it began."})
    else:
        update.resolved_at = None


def _check_components(components: Mapping[str, str]) -> None:
    if not components:
        raise Invalid({"components": "Name at least one component."})
    if unknown := sorted(set(components) - set(public_names(components))):
        raise Invalid({"components": f"No such component: {', '.join(unknown)[:200]}"})
    if wrong := sorted(set(components.values()) - set(ComponentState.values)):
        raise Invalid({"components": f"No such state: {', '.join(map(str, wrong))[:200]}"})


def _lock(message_id: int, actor: Actor) -> Message:
    """An external message that the actor may see, locked; raises NotFound."""
    seen = Incident.objects.visible_to(actor)
    rows = Message.objects.filter(visibility=Visibility.EXTERNAL, incident__in=seen)
    if not rows.filter(pk=message_id).exists():
        raise NotFound(f"There is no message {message_id} for users.")
    locked = Message.objects.select_for_update(of=("self",), no_key=True)
    return locked.select_related("incident", "public").get(pk=message_id)


def _check_version(message: Message, version: int | None) -> None:
    if version is not None and version != message.version:
        raise VersionChanged(
            "Somebody changed the message meanwhile; read it again.",
            version=message.version,
            state=message.state,
        )


def _commander(incident: Incident) -> int | None:
    held = Responder.objects.filter(incident=incident, role=Role.INCIDENT_COMMANDER, until__isnull=True)
    return held.values_list("user_id", flat=True).first()


def _ends_by_hand(incident: Incident, event: Event) -> list[int]:
    """What a person wrote of the end since the event, except what was given up."""
    written = Message.objects.filter(
        incident=incident, template=Template.ISSUE_RESOLVED, created_at__gte=event.occurred_at
    )
    return list(written.exclude(state=MessageState.SUPERSEDED).values_list("pk", flat=True))


def _supersede_drafts(incident: Incident, now: dt.datetime, *, but: Sequence[int] = ()) -> None:
    drafts = Message.objects.filter(
        incident=incident, visibility=Visibility.EXTERNAL, state=MessageState.DRAFT
    ).exclude(pk__in=but)
    for draft in drafts.select_for_update(no_key=True):
        move_message(draft, MessageState.SUPERSEDED, finished_at=now)
