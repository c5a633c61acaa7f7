"""Commands of the public: subscribe, confirm, unsubscribe. None of them says whether an address is known."""

from __future__ import annotations

import datetime as dt

from django.db import connection, transaction

from comms.models import Subscriber
from core import hints

SWEEP = "comms.sweep_subscriptions"
AGAIN_AFTER = dt.timedelta(minutes=10)  # an address is not mailed more often, whoever asks

# One statement whatever is known of the address, so that the time tells nothing either.
_ASK = """
INSERT INTO comms_subscriber AS s (email, key, asked_at, mail_due_at)
VALUES (%(email)s, replace(gen_random_uuid()::text, '-', ''), %(now)s, %(now)s)
ON CONFLICT (lower(email)) DO UPDATE SET asked_at = excluded.asked_at, mail_due_at = excluded.mail_due_at
 WHERE s.confirmed_at IS NULL AND s.asked_at < %(before)s
"""


@transaction.atomic
def ask_subscription(*, email: str, now: dt.datetime) -> None:
    """Mail a link that confirms; nothing happens to an address that has confirmed or was just mailed."""
    with connection.cursor() as cursor:
        cursor.execute(_ASK, {"email": email, "now": now, "before": now - AGAIN_AFTER})
    hints.wake(SWEEP)


@transaction.atomic
def confirm_subscription(*, key: str, now: dt.datetime) -> bool:
    """From now on they are mailed; returns whether there is such a subscription."""
    row = Subscriber.objects.select_for_update().filter(key=key).first()
    if row is None:
        return False
    if row.confirmed_at is None:
        row.confirmed_at, row.mail_due_at = now, None
        row.save(update_fields=["confirmed_at", "mail_due_at"])
    return True


@transaction.atomic
def end_subscription(*, key: str) -> None:
    """Forget the address; what is still on its way to it is not sent any more."""
    Subscriber.objects.filter(key=key).delete()
