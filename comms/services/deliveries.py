"""Commands on deliveries: trying one again that was given up."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from comms.models import Delivery, Message
from comms.states import MESSAGE_MOVES, DeliveryState, MessageState
from comms.transitions import move_delivery, move_message
from core import hints, live
from core.access import require
from core.actors import Actor
from core.errors import Conflict, NotFound
from incidents.models import Incident


@transaction.atomic
def retry_delivery(*, delivery_id: int, actor: Actor, now: dt.datetime) -> Delivery:
    """Give a dead delivery its whole time again; raises Conflict for any other state."""
    require(actor, "respond")
    message = Message.objects.select_for_update(no_key=True).filter(deliveries=delivery_id).first()
    if message is None or not _is_visible(message, actor):
        raise NotFound(f"There is no delivery {delivery_id}.")
    delivery = Delivery.objects.get(pk=delivery_id)
    if delivery.state != DeliveryState.DEAD:
        raise Conflict("Only what was given up is tried again.", state=delivery.state)
    move_delivery(
        delivery, DeliveryState.PENDING, due_at=now, created_at=now, attempts=0, crashes=0, last_error=""
    )
    if MessageState.QUEUED in MESSAGE_MOVES[MessageState(message.state)]:
        move_message(message, MessageState.QUEUED, finished_at=None)
    if message.incident_id:
        live.poke(f"incident:{Incident.objects.get(pk=message.incident_id).ref}")
    hints.wake("comms.sweep_deliveries")
    return delivery


def _is_visible(message: Message, actor: Actor) -> bool:
    if message.incident_id is None:
        return True
    return Incident.objects.visible_to(actor).filter(pk=message.incident_id).exists()
