"""The only writer of the states of deliveries, and of what people do with messages."""

from __future__ import annotations

from typing import Any

from comms.models import Delivery, Message
from comms.states import DELIVERY_MOVES, MESSAGE_MOVES, DeliveryState, MessageState
from core.errors import IllegalMove


def move_delivery(delivery: Delivery, to: DeliveryState, **changes: Any) -> None:
    """Move a delivery to `to` by compare-and-set on state and claim; raises IllegalMove."""
    now_in = DeliveryState(delivery.state)
    if to not in DELIVERY_MOVES[now_in]:
        raise IllegalMove(
            f"A delivery that is {now_in.label.lower()} cannot become {to.label.lower()}.",
            state=now_in,
        )
    updated = Delivery.objects.filter(pk=delivery.pk, state=now_in, claims=delivery.claims).update(
        state=to, **changes
    )
    if not updated:
        raise IllegalMove("Another sender has taken this delivery.", state=now_in)
    delivery.refresh_from_db()


def move_message(message: Message, to: MessageState, **changes: Any) -> None:
    """Move a locked message to `to`, by compare-and-set; raises IllegalMove."""
    now_in = MessageState(message.state)
    if to not in MESSAGE_MOVES[now_in]:
        raise IllegalMove(
            f"A message that is {now_in.label.lower()} cannot become {to.label.lower()}.", state=now_in
        )
    if not Message.objects.filter(pk=message.pk, state=now_in).update(state=to, **changes):
        raise IllegalMove("Somebody else has moved this message.", state=now_in)
    message.refresh_from_db()
