"""What became of an attempt, each in one transaction: the delivery, its message, and who is tried next."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from typing import cast

from django.db import DatabaseError, transaction

from comms.facts import Sent
from comms.models import Delivery, Message
from comms.playbook import Routing
from comms.rules.reach import next_way
from comms.rules.retries import FALL_THROUGH_ATTEMPTS
from comms.selectors.connections import list_ways
from comms.selectors.recipients import person_of
from comms.selectors.subscribers import USER_EMAIL
from comms.services.messages import delivery_to
from comms.states import DUE_STATES, WAITING_STATES, DeliveryState, MessageState, Template
from comms.timeline import record_given_up, record_message_finished
from comms.transitions import move_delivery
from core import hints, live
from core.clock import utcnow
from core.playbook import get_playbook

logger = logging.getLogger(__name__)


def mark_sent(delivery: Delivery, sent: Sent, *, bundle: Iterable[Delivery] = ()) -> None:
    """It left, and with it what was bundled into it; the other ways to the same person are not needed."""
    with transaction.atomic():
        _settle(delivery, DeliveryState.SENT, sent_at=utcnow(), receipt=sent.receipt[:300], last_error="")
        for other in _same_person(delivery):
            _leave(other, f"reached by {delivery.channel}")
    for other in bundle:
        with transaction.atomic():
            _leave(other, f"bundled with message {delivery.message_id}", into=delivery)
    if delivery.attempts > 1:
        _catch_up(delivery.channel)


def supersede(delivery: Delivery, why: str) -> None:
    """It would say what is no longer true."""
    with transaction.atomic():
        _settle(delivery, DeliveryState.SUPERSEDED, last_error=why)


def put_back(delivery: Delivery, due_at: dt.datetime, why: str) -> None:
    """It has to wait, and was not tried."""
    with transaction.atomic():
        _settle(delivery, DeliveryState.PENDING, due_at=due_at, last_error=why)


def put_off(delivery: Delivery, due_at: dt.datetime, why: str) -> None:
    """It failed and is tried again; a page takes the person's next way as well after its second failure.

    From then on it is tried no sooner than what the recipient should have read before it.
    """
    again = delivery.attempts >= FALL_THROUGH_ATTEMPTS
    with transaction.atomic():
        due_at = max([due_at, *_tried_before(delivery)]) if again else due_at
        _settle(delivery, DeliveryState.RETRYING, due_at=due_at, last_error=why)
        if again and delivery.urgent:
            _take_next_way(delivery)


def mark_dead(delivery: Delivery, why: str) -> None:
    """It is given up: the person's next way is taken, and where there is none, others hear of it."""
    with transaction.atomic():
        message = _lock_message(delivery)
        first = not message.deliveries.filter(state=DeliveryState.DEAD).exists()
        taken = _take_next_way(delivery)
        _settle(delivery, DeliveryState.DEAD, last_error=why)
        # A subscriber's address that does not exist calls nobody: /messages/ shows it.
        heard = message.template != Template.ALARM and delivery.lane != USER_EMAIL
        if first and not taken and heard:
            record_given_up(message, delivery, now=utcnow())


def _tried_before(delivery: Delivery) -> list[dt.datetime]:
    """When the older ones are tried that failed on the way to the same recipient: the last of them."""
    older = Delivery.objects.filter(
        channel=delivery.channel,
        recipient=delivery.recipient,
        state=DeliveryState.RETRYING,
        pk__lt=delivery.pk,
        urgent__gte=delivery.urgent,
    )
    return list(older.order_by("-due_at").values_list("due_at", flat=True)[:1])


def _catch_up(channel: str) -> None:
    """The channel works again: what failed by it does not wait out its time, and goes the oldest first."""
    now = utcnow()
    later = Delivery.objects.filter(channel=channel, state=DeliveryState.RETRYING, due_at__gt=now)
    try:
        with transaction.atomic():
            free = later.select_for_update(skip_locked=True, no_key=True).values("pk")
            Delivery.objects.filter(pk__in=free).update(due_at=now)
    except DatabaseError:  # the message has left all the same
        logger.exception("what waits for %s waits on", channel)


def _lock_message(delivery: Delivery) -> Message:
    return (
        Message.objects.select_for_update(of=("self",), no_key=True)
        .select_related("incident")
        .get(pk=delivery.message_id)
    )


def _settle(delivery: Delivery, to: DeliveryState, **changes: object) -> None:
    message = _lock_message(delivery)
    move_delivery(delivery, to, attempts=delivery.attempts, crashes=delivery.crashes, **changes)
    if message.incident:
        live.poke(f"incident:{message.incident.ref}")
    _finish(message)


def _leave(other: Delivery, why: str, *, into: Delivery | None = None) -> None:
    """Another delivery is not needed any more, unless somebody is sending it right now."""
    message = _lock_message(other)
    row = Delivery.objects.filter(pk=other.pk, state__in=WAITING_STATES).first()
    if row is not None:
        move_delivery(row, DeliveryState.SUPERSEDED, last_error=why, bundled_into=into)
        _finish(message)


def _finish(message: Message) -> None:
    """When the last delivery has come to its end, the message has."""
    if message.state != MessageState.QUEUED or message.deliveries.filter(state__in=DUE_STATES).exists():
        return
    ends = list(message.deliveries.values_list("state", "bundled_into"))
    sent = sum(state == DeliveryState.SENT or into is not None for state, into in ends)
    dead = sum(state == DeliveryState.DEAD for state, _into in ends)
    message.state = MessageState.SENT if sent else MessageState.FAILED if dead else MessageState.SUPERSEDED
    message.finished_at = utcnow()
    message.save(update_fields=["state", "finished_at"])
    if message.state != MessageState.SUPERSEDED:
        record_message_finished(message, sent=sent, dead=dead, now=message.finished_at)


def _same_person(delivery: Delivery) -> list[Delivery]:
    """The deliveries of this message that this one stands in for, or that stand in for it."""
    if delivery.contact_id is None:
        return []
    rows = Delivery.objects.filter(
        message=delivery.message_id, contact=delivery.contact_id, state__in=DUE_STATES
    )
    related = {delivery.pk, delivery.stands_in_for_id}
    return [
        row
        for row in rows.exclude(pk=delivery.pk)
        if row.pk in related or row.stands_in_for_id in related - {None}
    ]


def _take_next_way(delivery: Delivery) -> bool:
    """Queue the person's next way once; returns whether there is one."""
    if Delivery.objects.filter(stands_in_for=delivery).exists():
        return True
    contact = delivery.contact
    if contact is None or not contact.active:
        return False
    tried = set(
        Delivery.objects.filter(event=delivery.event_id, contact=contact).values_list("channel", flat=True)
    )
    routing = cast(Routing, get_playbook()["routing"])
    now = utcnow()
    way = next_way(person_of(contact, now=now), list_ways(), routing.reach, tried=tried)
    if way is None:
        return False
    made = delivery_to(way, message=delivery.message, urgent=delivery.urgent, held_back=False, now=now)
    made.stands_in_for = delivery
    Delivery.objects.bulk_create([made], ignore_conflicts=True)
    hints.wake("comms.sweep_deliveries")
    return True
