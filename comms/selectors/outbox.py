"""What the pages of messages show: the list with its receipts, and one message."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.urls import reverse

from comms.models import Delivery, Message
from comms.selectors.subscribers import USER_EMAIL
from comms.states import DeliveryState, MessageState, Visibility, channel_name
from core.actors import Actor
from core.errors import NotFound
from incidents.models import Incident

PAGE = 25
DELIVERIES = 200  # of one message, beside those to subscribers
DEAD_SHOWN = 50


@dataclass(frozen=True)
class Tally:
    """How many deliveries of a message are in one state."""

    state: str
    label: str
    count: int


@dataclass(frozen=True)
class OutboxLine:
    """One message of the list."""

    pk: int
    url: str
    subject: str
    template_label: str
    visibility: str
    state: str
    state_label: str
    at: dt.datetime
    incident_ref: str
    incident_url: str
    drafted_by: str
    tallies: tuple[Tally, ...]


@dataclass(frozen=True)
class OutboxPage:
    lines: tuple[OutboxLine, ...]
    before: int | None


@dataclass(frozen=True)
class Receipt:
    """One delivery: where it stands, how often it was tried, what went wrong."""

    pk: int
    channel: str
    channel_name: str
    recipient: str
    state: str
    state_label: str
    attempts: int
    sent_at: dt.datetime | None
    receipt: str
    last_error: str
    retry_url: str


def visible_messages(actor: Actor) -> QuerySet[Message]:
    """Messages about nothing restricted that the actor may not see."""
    seen = Incident.objects.visible_to(actor)
    return Message.objects.filter(Q(incident__isnull=True) | Q(incident__in=seen)).select_related("incident")


def list_outbox(actor: Actor, *, state: str = "", before: int | None = None) -> OutboxPage:
    """The newest messages with their receipts counted (two queries)."""
    rows = visible_messages(actor).order_by("-pk")
    if state in MessageState.values:
        rows = rows.filter(state=state)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PAGE + 1])
    shown = found[:PAGE]
    tallies = _tallies(shown)
    lines = tuple(_line(row, tallies[row.pk]) for row in shown)
    return OutboxPage(lines, shown[-1].pk if len(found) > PAGE else None)


def get_message(actor: Actor, message_id: int) -> Message:
    """One message, with what it says outside; raises NotFound also where the actor may not see it."""
    found = visible_messages(actor).select_related("public").filter(pk=message_id).first()
    if found is None:
        raise NotFound(f"There is no message {message_id}.")
    return found


def message_line(message: Message) -> OutboxLine:
    """One message as the list shows it (one query)."""
    return _line(message, _tallies([message])[message.pk])


def list_receipts(message: Message) -> tuple[Receipt, ...]:
    """Its deliveries; of those to subscribers what was given up, without addresses (two queries)."""
    rows = message.deliveries.order_by("pk")
    shown = [*rows.exclude(lane=USER_EMAIL)[:DELIVERIES]]
    shown += rows.filter(lane=USER_EMAIL, state=DeliveryState.DEAD)[:DEAD_SHOWN]
    return tuple(_receipt(row) for row in shown)


def _tallies(messages: Sequence[Message]) -> Mapping[int, tuple[Tally, ...]]:
    found: defaultdict[int, tuple[Tally, ...]] = defaultdict(tuple)
    counts = (
        Delivery.objects.filter(message__in=[message.pk for message in messages])
        .values_list("message", "state")
        .order_by("message", "state")
        .annotate(count=Count("pk"))
    )
    for message_id, state, count in counts:
        found[message_id] += (Tally(state, str(DeliveryState(state).label), count),)
    return found


def _line(message: Message, tallies: tuple[Tally, ...]) -> OutboxLine:
    ref = message.incident.ref if message.incident else ""
    return OutboxLine(
        pk=message.pk,
        url=reverse("comms:message", args=[message.pk]),
        subject=message.subject,
        template_label=str(message.get_template_display()),
        visibility=str(Visibility(message.visibility).value),
        state=message.state,
        state_label=str(MessageState(message.state).label),
        at=message.created_at,
        incident_ref=ref,
        incident_url=reverse("incidents:incident", args=[ref]) if ref else "",
        drafted_by=message.drafted_by,
        tallies=tallies,
    )


def _receipt(row: Delivery) -> Receipt:
    hidden = row.lane == USER_EMAIL
    dead = row.state == DeliveryState.DEAD
    return Receipt(
        pk=row.pk,
        channel=row.channel,
        channel_name=channel_name(row.channel),
        recipient=f"subscriber {row.recipient[:8]}" if hidden else row.recipient,
        state=row.state,
        state_label=str(DeliveryState(row.state).label),
        attempts=row.attempts,
        sent_at=row.sent_at,
        receipt=row.receipt,
        last_error=row.last_error,
        retry_url=reverse("comms:retry_delivery", args=[row.message_id, row.pk]) if dead else "",
    )
