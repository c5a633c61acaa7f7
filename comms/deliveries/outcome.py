"""What became of an attempt, each in one transaction: the delivery, its message, and who is tried next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import cast

from django.db import transaction

from comms.facts import Sent
from comms.models import Delivery, Message
from comms.playbook import Routing
from comms.rules.reach import next_way
from comms.rules.retries import FALL_THROUGH_ATTEMPTS
from comms.selectors.connections import list_ways
from comms.selectors.recipients import person_of
from comms.selectors.subscribers import USER_EMAIL
from comms.services.messages import delivery_to
from comms.states import DUE_STATES, DeliveryState, MessageState, Template
from comms.timeline import record_given_up, record_message_finished
from comms.transitions import move_delivery
from core import hints, live
from core.clock import utcnow
from core.playbook import get_playbook


def mark_sent(delivery: Delivery, sent: Sent, *, bundle: Iterable[Delivery] = ()) -> None:
    """It left, and with it what was bundled into it; the other ways to the same person are not needed."""
    with transaction.atomic():
        _settle(delivery, DeliveryState.SENT, sent_at=utcnow(), receipt=sent.receipt[:300], last_error="")
        for other in _same_person(delivery):
            _leave(other, f"reached by {delivery.channel}")
    for other in bundle:
        with transaction.atomic():
            _leave(other, f"bundled with message {delivery.message_id}", into=delivery)


def supersede(delivery: Delivery, why: str) -> None:
    """It would say what is no longer true."""
    with transaction.atomic():
        _settle(delivery, DeliveryState.SUPERSEDED, last_error=why)


def put_back(delivery: Delivery, due_at: dt.datetime, why: str) -> None:
    """It has to wait, and was not tried."""
    with transaction.atomic():
        _settle(delivery, DeliveryState.PENDING, due_at=due_at, last_error=why)


def put_off(delivery: Delivery, due_at: dt.datetime, why: str) -> None:
    """It failed and is tried again; a page takes the person's next way as well after its second failure."""
    with transaction.atomic():
        _settle(delivery, DeliveryState.RETRYING, due_at=due_at, last_error=why)
        if delivery.urgent and delivery.attempts >= FALL_THROUGH_ATTEMPTS:
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


def _lock_message(delivery: Delivery) -> Message:
    return (
        Message.objects.select_for_update(of=("self",), no_key=True)
        .select_related("incident")
        .get(pk=delivery.message_id)
    )


def _settle(delivery: Delivery, to: DeliveryState, **changes: object) -> None:
    message = _lock_message(delivery)
    move_delivery(delivery, to, attempts=delivery.attempts, **changes)
    if message.incident:
        live.poke(f"incident:{message.incident.ref}")
    _finish(message)


def _leave(other: Delivery, why: str, *, into: Delivery | None = None) -> None:
    """Another delivery is not needed any more, unless somebody is sending it right now."""
    message = _lock_message(other)
    waiting = (DeliveryState.PENDING, DeliveryState.RETRYING)
    row = Delivery.objects.filter(pk=other.pk, state__in=waiting).first()
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
