"""The only writer of this app's events: who has been told stands on the incident's timeline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from comms.models import Component, Delivery, Message
from comms.selectors.roles import in_short
from comms.states import PAGED, ROLE_PAGED, UPDATE_OVERDUE, ClockKind, ComponentState
from core import events
from core.actors import SYSTEM, Actor
from core.models import Event, Stream
from incidents.models import Incident
from incidents.states import Role


def record_message_finished(message: Message, *, sent: int, dead: int, now: dt.datetime) -> None:
    """Every delivery of a message has come to its end."""
    if message.incident is None:
        return
    label = message.get_template_display()
    people = f"{sent} delivered" + (f", {dead} given up" if dead else "")
    events.record(
        message.incident.stream_id,
        kind="message.sent" if sent else "message.failed",
        actor=SYSTEM,
        summary=f"{label}: {people}",
        now=now,
        data={
            "incident": message.incident.ref,
            "message": message.pk,
            "template": message.template,
        },
    )


def record_given_up(message: Message, delivery: Delivery, *, now: dt.datetime) -> None:
    """A message did not reach somebody, and there is no other way to them."""
    stream = message.incident.stream_id if message.incident else events.system_stream().pk
    label = message.get_template_display()
    events.record(
        stream,
        kind="delivery.given_up",
        actor=SYSTEM,
        summary=f"{label} could not be delivered by {delivery.channel}",
        now=now,
        data={
            "incident": message.incident.ref if message.incident else "",
            "message": message.pk,
            "template": message.template,
            "channel": delivery.channel,
        },
    )


def record_paged(
    incident: Incident,
    kind: ClockKind,
    *,
    to: Sequence[str],
    who: str,
    rung: int,
    round_number: int,
    since: dt.datetime,
    now: dt.datetime,
) -> None:
    """A rung of the ladder: `to` is whom the routing tells, `since` what its clock counts from."""
    again = f" (round {round_number})" if round_number > 1 else ""
    summary = {
        ClockKind.RESPONSE: f"Nobody acknowledged: {who} paged{again}",
        ClockKind.SILENCE: f"Nothing was done since {since:%H:%M} UTC: {who} paged{again}",
        ClockKind.UPDATE: f"The update due at {since:%H:%M} UTC is missing: {who} reminded",
    }[kind]
    events.record(
        incident.stream_id,
        kind=UPDATE_OVERDUE if kind is ClockKind.UPDATE else PAGED,
        actor=SYSTEM,
        summary=summary,
        now=now,
        data={
            "incident": incident.ref,
            "to": list(to),
            "reason": kind.value,
            "rung": rung,
            "round": round_number,
            "since": events.rfc3339(since),
        },
    )


def record_role_paged(
    incident: Incident,
    *,
    role: str,
    to: Sequence[str],
    names: Sequence[str],
    reason: str,
    actor: Actor,
    now: dt.datetime,
) -> None:
    """Somebody pages for a role: `to` is whom the routing tells, `names` who that is now."""
    who = in_short(names)
    events.record(
        incident.stream_id,
        kind=ROLE_PAGED,
        actor=actor,
        summary=f"{Role(role).label} is needed: {who} paged" + (f". {reason}" if reason else ""),
        now=now,
        data={"incident": incident.ref, "role": role, "to": list(to), "reason": reason},
    )


def record_tested(channel: str, *, sent: bool, actor: Actor, now: dt.datetime) -> None:
    """Somebody tried a channel."""
    events.record(
        events.system_stream().pk,
        kind="channel.tested",
        actor=actor,
        summary=f"The channel {channel} was tested: {'it works' if sent else 'the message did not leave'}",
        now=now,
        data={"channel": channel, "sent": sent},
    )


def record_daily_limit(
    channel: str, *, limit: int, reached: bool, since: dt.datetime, now: dt.datetime
) -> None:
    """A channel has sent most of what it may in a day, or all of it; once each since `since`."""
    stream = events.system_stream()
    Stream.objects.select_for_update(no_key=True).get(pk=stream.pk)  # two senders come to this at once
    kind = "channel.limit_reached" if reached else "channel.limit_near"
    said = Event.objects.filter(stream=stream, kind=kind, occurred_at__gte=since, data__channel=channel)
    if said.exists():
        return
    how = f"all of its {limit}" if reached else f"four fifths of its {limit}"
    events.record(
        stream.pk,
        kind=kind,
        actor=SYSTEM,
        summary=f"The channel {channel} has sent {how} messages of today"
        + (": people are reached in other ways until midnight UTC" if reached else ""),
        now=now,
        data={"channel": channel, "limit": limit},
    )


def record_on_message(
    incident: Incident,
    kind: str,
    summary: str,
    *,
    template: str,
    actor: Actor,
    now: dt.datetime,
    message: int | None = None,
) -> Event:
    """Somebody drafted, approved, discarded or wrote a message: `message.drafted` and so on."""
    return events.record(
        incident.stream_id,
        kind=kind,
        actor=actor,
        summary=summary,
        now=now,
        data={"incident": incident.ref, "message": message, "template": template},
    )


def record_component_changed(
    component: Component, *, before: str, reason: str, actor: Actor, now: dt.datetime
) -> None:
    """A component of the status page changed, on the stream of its service."""
    service = component.service
    label = ComponentState(component.state).label
    events.record(
        service.stream_id,
        kind="component.changed",
        actor=actor,
        summary=f"Status page: {service.public_name or service.name} is {label.lower()}: {reason}",
        now=now,
        data={"service": service.slug, "from": before, "to": component.state},
    )
