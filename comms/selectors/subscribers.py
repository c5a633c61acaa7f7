"""Subscribers of the status page: their addresses, and the links that act for them."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner

from comms.models import Subscriber

USER_EMAIL = "user_email"  # the kind of channel whose recipients are keys of subscribers
CONFIRM, UNSUBSCRIBE = "confirm", "unsubscribe"
CONFIRM_WITHIN = dt.timedelta(days=2)


def mail_of(key: str) -> str | None:
    """The address behind a key, while the subscription is confirmed (one query)."""
    rows = Subscriber.objects.filter(key=key, confirmed_at__isnull=False)
    return rows.values_list("email", flat=True).first()


def count_subscribers() -> int:
    """How many get the mail (one query)."""
    return Subscriber.objects.filter(confirmed_at__isnull=False).count()


def confirm_url(key: str) -> str:
    """Valid for two days."""
    return f"{settings.PUBLIC_URL}/status/confirm/{_signer(CONFIRM).sign(key)}/"


def unsubscribe_url(key: str) -> str:
    """Valid for as long as the subscription."""
    return f"{settings.PUBLIC_URL}/status/unsubscribe/{_signer(UNSUBSCRIBE).sign(key)}/"


def key_of(token: str, purpose: str) -> str | None:
    """The key that a link of this purpose carries; None for one that is none, or too old."""
    try:
        return _signer(purpose).unsign(token, max_age=CONFIRM_WITHIN if purpose == CONFIRM else None)
    except BadSignature:  # an expired one is one, too
        return None


def _signer(purpose: str) -> TimestampSigner:
    return TimestampSigner(sep=".", salt=f"comms.subscribers.{purpose}")
