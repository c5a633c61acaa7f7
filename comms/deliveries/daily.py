"""How many messages a channel sends in a day: what costs money has an end, and people hear of it before."""

from __future__ import annotations

import datetime as dt
import logging
import math

from django.db import DatabaseError, transaction
from django.db.models import Q

from comms.facts import Channel, NotSent
from comms.models import Delivery
from comms.states import DeliveryState
from comms.timeline import record_daily_limit
from core.clock import utcnow

logger = logging.getLogger(__name__)

ALARM_RATIO = 0.8


def refuse_over_limit(delivery: Delivery, channel: Channel) -> None:
    """Raise NotSent when the channel has sent as much today as it may; the person's next way is taken."""
    limit: int | None = getattr(channel, "daily_limit", None)
    if limit is None:
        return
    now = utcnow()
    # What others are sending at this moment counts, where they were first: nobody waits for anybody. In one
    # statement, because in between one of them may have become a sent one, and be counted by neither.
    sending = Q(state=DeliveryState.SENDING, due_at__gt=now, pk__lt=delivery.pk)
    if Delivery.objects.filter(_sent_today(now) | sending, channel=delivery.channel).count() >= limit:
        raise NotSent(f"the daily limit of {limit} messages by {delivery.channel} is reached", retry=False)


def sound_alarm(delivery: Delivery, channel: Channel) -> None:
    """After one has left: tell once a day that the limit is near, and once that it is reached."""
    limit: int | None = getattr(channel, "daily_limit", None)
    if limit is None:
        return
    now = utcnow()
    try:
        sent = sent_today(delivery.channel, now=now)
        if sent >= math.ceil(limit * ALARM_RATIO):
            with transaction.atomic():
                record_daily_limit(
                    delivery.channel, limit=limit, reached=sent >= limit, since=_midnight(now), now=now
                )
    except DatabaseError:  # the message has left all the same
        logger.exception("whether %s is near its daily limit is not known", delivery.channel)


def sent_today(channel: str, *, now: dt.datetime) -> int:
    """How many left by the channel since midnight (UTC)."""
    return Delivery.objects.filter(_sent_today(now), channel=channel).count()


def _sent_today(now: dt.datetime) -> Q:
    return Q(state=DeliveryState.SENT, sent_at__gte=_midnight(now))


def _midnight(now: dt.datetime) -> dt.datetime:
    return now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
