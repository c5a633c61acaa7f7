"""Sending due deliveries: intent committed, message sent, outcome committed."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import connection, transaction

from comms.channels import CHANNELS
from comms.facts import NotSent, Outgoing, Sent
from comms.models import Delivery, Message
from comms.rules.routing import is_stale
from comms.states import DUE_STATES, DeliveryState, MessageState, Template
from comms.timeline import record_message_finished
from comms.transitions import move_delivery
from core import live, shutdown
from core.clock import utcnow
from core.events import rfc3339
from core.logs import about
from core.models import Event
from core.operation import vitals
from core.playbook import get_playbook
from incidents.models import Incident
from incidents.selectors.checklists import is_phase_overdue
from rollbacks.models import Rollback

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 10
SENDING_LIMIT_SECONDS = 60  # longer than any channel's deadline: then the sender has died

_CLAIM = """
UPDATE comms_delivery
   SET state = %s, attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => %s)
 WHERE id = (SELECT id FROM comms_delivery WHERE state = ANY(%s) AND due_at <= clock_timestamp()
              ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""


def send_due_deliveries(*, now: dt.datetime) -> int:
    """Send every due delivery; any number of processes may do this at once. Returns how many were tried."""
    tried = 0
    while not shutdown.requested() and (delivery_id := _claim()):
        _send(delivery_id)
        tried += 1
        vitals.progress()
    return tried


def _claim() -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [DeliveryState.SENDING, SENDING_LIMIT_SECONDS, list(DUE_STATES)])
        row = cursor.fetchone()
    return row[0] if row else None


def _send(delivery_id: int) -> None:
    delivery = Delivery.objects.select_related("message__incident", "event").get(pk=delivery_id)
    message = delivery.message
    incident = message.incident.ref if message.incident else None
    with about(delivery=delivery_id, incident=incident, rollback=message.rollback_ref or None):
        _attempt(delivery)


def _attempt(delivery: Delivery) -> None:
    if _is_stale(delivery.message):
        _settle(delivery, DeliveryState.SUPERSEDED, last_error="no longer true")
        return
    channel = get_playbook()["channels"].root.get(delivery.channel)
    try:
        if channel is None:
            raise NotSent(f"the playbook has no channel {delivery.channel} any more", retry=False)
        _model, send = CHANNELS[channel.kind]
        sent = send(_outgoing(delivery), channel)
    except NotSent as error:
        _put_off(delivery, error)
    except Exception as error:
        logger.exception("channel %s failed unexpectedly", delivery.channel)
        _put_off(delivery, NotSent(f"{type(error).__name__}, see the log"))
    else:
        _mark_sent(delivery, sent)


def _mark_sent(delivery: Delivery, sent: Sent) -> None:
    _settle(delivery, DeliveryState.SENT, sent_at=utcnow(), receipt=sent.receipt[:300], last_error="")


def _put_off(delivery: Delivery, error: NotSent) -> None:
    if not error.retry or delivery.attempts >= MAX_ATTEMPTS:
        _settle(delivery, DeliveryState.DEAD, last_error=error.reason)
        return
    wait = min(2**delivery.attempts, 300)
    _settle(
        delivery,
        DeliveryState.RETRYING,
        last_error=error.reason,
        due_at=utcnow() + dt.timedelta(seconds=wait),
    )


@transaction.atomic
def _settle(delivery: Delivery, to: DeliveryState, **changes: object) -> None:
    message = (
        Message.objects.select_for_update(of=("self",), no_key=True)
        .select_related("incident")
        .get(pk=delivery.message_id)
    )
    move_delivery(delivery, to, **changes)
    if message.incident:
        live.poke(f"incident:{message.incident.ref}")
    if message.deliveries.filter(state__in=DUE_STATES).exists() or message.state != MessageState.QUEUED:
        return
    states = list(message.deliveries.values_list("state", flat=True))
    sent, dead = states.count(DeliveryState.SENT), states.count(DeliveryState.DEAD)
    message.state = MessageState.SENT if sent else MessageState.FAILED if dead else MessageState.SUPERSEDED
    message.finished_at = utcnow()
    message.save(update_fields=["state", "finished_at"])
    if message.state != MessageState.SUPERSEDED:
        record_message_finished(message, sent=sent, dead=dead, now=message.finished_at)


def _is_stale(message: Message) -> bool:
    incident = message.incident
    if incident is None:
        return False
    rollback = Rollback.objects.filter(ref=message.rollback_ref).first() if message.rollback_ref else None
    return is_stale(
        message.template,
        incident_open=incident.is_open,
        acknowledged=incident.acknowledged_at is not None,
        rollback_state=rollback.state if rollback else "",
        overdue=message.template == Template.CHECKLIST_OVERDUE and _is_overdue(incident, message.event),
    )


def _is_overdue(incident: Incident, event: Event) -> bool:
    named = {name: event.data[name] for name in ("checklist", "phase")}
    return is_phase_overdue(incident, **named, now=utcnow())


def _outgoing(delivery: Delivery) -> Outgoing:
    message, event = delivery.message, delivery.event
    return Outgoing(
        key=f"msg_{delivery.pk}_{event.hash[:16]}",
        recipient=delivery.recipient,
        subject=message.subject,
        body=message.body,
        event_kind=event.kind,
        occurred_at=rfc3339(event.occurred_at),
        incident=message.incident.ref if message.incident else "",
        rollback=message.rollback_ref,
        summary=event.summary,
    )
