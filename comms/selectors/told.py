"""Who has been told about an incident, with a receipt for each."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Count
from django.urls import reverse

from comms.models import Delivery, Message
from comms.selectors.subscribers import USER_EMAIL
from comms.states import DeliveryState, MessageState, Template, channel_name
from incidents.models import Incident

MESSAGES = 6
DELIVERIES = 8  # of each; the message's own page has them all

# By hand, because a window over the deliveries costs Django more to write down than the database to answer.
_FIRST = """
SELECT first.* FROM unnest(%(messages)s::bigint[]) AS wanted(id) CROSS JOIN LATERAL (
       SELECT id, message_id, channel, recipient, state, sent_at FROM comms_delivery
        WHERE message_id = wanted.id AND lane <> %(subscribers)s ORDER BY id LIMIT %(each)s) first
 ORDER BY first.id
"""


@dataclass(frozen=True)
class DeliveryLine:
    """One recipient of a message; empty where the channel is a place."""

    channel: str
    recipient: str
    state: str
    state_label: str
    at: dt.datetime | None


@dataclass(frozen=True)
class MessageLine:
    """One message with its first recipients and how many more; `visibility` is who may read it."""

    subject: str
    template_label: str
    at: dt.datetime
    visibility: str
    url: str
    is_draft: bool
    approve_url: str
    deliveries: tuple[DeliveryLine, ...]
    more: int


def list_told(incident: Incident) -> tuple[MessageLine, ...]:
    """The newest messages about the incident with their deliveries (three queries).

    Subscribers of the status page are counted: there may be ten thousand, and nobody needs their names.
    """
    messages = list(Message.objects.filter(incident=incident).defer("body", "forms")[:MESSAGES])
    numbers = [message.pk for message in messages]
    few, counts = _first_deliveries(numbers), _counts(numbers)
    return tuple(_message(message, few[message.pk], counts[message.pk]) for message in messages)


def _first_deliveries(messages: list[int]) -> dict[int, list[Delivery]]:
    """Of each message the first few."""
    found: defaultdict[int, list[Delivery]] = defaultdict(list)
    asked = {"messages": messages, "each": DELIVERIES, "subscribers": USER_EMAIL}
    for delivery in Delivery.objects.raw(_FIRST, asked):
        found[delivery.message_id].append(delivery)
    return found


def _counts(messages: list[int]) -> dict[int, list[tuple[str, str, str, int]]]:
    """Of each message how many deliveries by lane, channel and state."""
    found: defaultdict[int, list[tuple[str, str, str, int]]] = defaultdict(list)
    counts = (
        Delivery.objects.filter(message__in=messages)
        .values_list("message", "lane", "channel", "state")
        .order_by("message", "channel", "state")
        .annotate(count=Count("pk"))
    )
    for message, *counted in counts:
        found[message].append(tuple(counted))
    return found


def _message(message: Message, few: list[Delivery], counts: list[tuple[str, str, str, int]]) -> MessageLine:
    draft = message.state == MessageState.DRAFT
    subscribers = [
        DeliveryLine(
            channel_name(channel), f"{count} subscribers", state, str(DeliveryState(state).label), None
        )
        for lane, channel, state, count in counts
        if lane == USER_EMAIL
    ]
    return MessageLine(
        subject=message.subject,
        template_label=str(Template(message.template).label),
        at=message.created_at,
        visibility=message.visibility,
        url=reverse("comms:message", args=[message.pk]),
        is_draft=draft,
        approve_url=f"{reverse('comms:approve_message', args=[message.pk])}?back=incident" if draft else "",
        deliveries=(*(_delivery(delivery) for delivery in few), *subscribers),
        more=sum(count for lane, *_rest, count in counts if lane != USER_EMAIL) - len(few),
    )


def _delivery(delivery: Delivery) -> DeliveryLine:
    return DeliveryLine(
        channel=channel_name(delivery.channel),
        recipient="" if delivery.recipient == delivery.channel else delivery.recipient,
        state=delivery.state,
        state_label=str(DeliveryState(delivery.state).label),
        at=delivery.sent_at,
    )
