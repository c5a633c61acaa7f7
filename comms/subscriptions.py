"""Mailing the links that confirm a subscription: intent stored, mailed here, outcome stored."""

from __future__ import annotations

import datetime as dt
import logging
from typing import cast

from django.db import connection

from comms.channels import CHANNELS
from comms.facts import NotSent, Outgoing
from comms.models import Subscriber
from comms.playbook import Channels
from comms.rules.forms import as_html
from comms.selectors.subscribers import USER_EMAIL, confirm_url
from core import shutdown
from core.events import rfc3339
from core.operation import vitals
from core.playbook import get_playbook

logger = logging.getLogger(__name__)

BATCH = 200
CLAIM_SECONDS = 60
TRY_AGAIN_SECONDS = 120
GIVE_UP_SECONDS = 3600

_CLAIM = """
UPDATE comms_subscriber SET mail_due_at = clock_timestamp() + make_interval(secs => %s)
 WHERE id = (SELECT id FROM comms_subscriber WHERE mail_due_at <= clock_timestamp()
              ORDER BY mail_due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""


def send_confirmations(*, now: dt.datetime) -> int:
    """Mail every link that is due; any number of processes may. Returns how many were tried."""
    tried = 0
    while tried < BATCH and not shutdown.requested() and (row := _claim()) is not None:
        tried += 1
        vitals.progress()
        try:
            _send(row, now)
        except NotSent as error:
            logger.warning("a confirmation was not sent: %s", error.reason)
            give_up = not error.retry or (now - row.asked_at).total_seconds() > GIVE_UP_SECONDS
            again = None if give_up else now + dt.timedelta(seconds=TRY_AGAIN_SECONDS)
            Subscriber.objects.filter(pk=row.pk, confirmed_at__isnull=True).update(mail_due_at=again)
        else:
            Subscriber.objects.filter(pk=row.pk).update(mail_due_at=None)
    return tried


def _claim() -> Subscriber | None:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [CLAIM_SECONDS])
        found = cursor.fetchone()
    return Subscriber.objects.filter(pk=found[0]).first() if found else None


def _send(row: Subscriber, now: dt.datetime) -> None:
    channels = cast(Channels, get_playbook()["channels"]).root
    channel = next((one for one in channels.values() if one.kind == USER_EMAIL), None)
    if channel is None:
        raise NotSent("the playbook has no channel of the kind user_email", retry=False)
    link = confirm_url(row.key)
    body = (
        "Confirm your subscription\n\n"
        "Somebody, probably you, asked to be mailed what our status page says.\n"
        f"Confirm it here within two days: {link}\n\n"
        "If it was not you, do nothing: you will not hear from us again.\n"
    )
    CHANNELS[USER_EMAIL].send(
        Outgoing(
            key=f"subscription_{row.key}_{int(row.asked_at.timestamp())}",
            recipient=row.email,
            subject="Confirm your subscription to our status page",
            body=body,
            html=as_html(body),
            event_kind="subscription.asked",
            occurred_at=rfc3339(now),
            incident="",
            rollback="",
        ),
        channel,
        None,
    )
