"""A test message, at once and by the channel itself: does it work, and if not, why."""

from __future__ import annotations

import datetime as dt
import logging
import uuid

from django.conf import settings
from django.db import transaction

from comms.deliveries.attempt import hand_over
from comms.facts import Channel, NotSent, Outgoing, Sent
from comms.models import Contact
from comms.rules.forms import as_blocks, as_html
from comms.selectors.channels import get_channel
from comms.selectors.recipients import person_of
from comms.selectors.subscribers import USER_EMAIL
from comms.states import Means
from comms.timeline import record_tested
from core.access import require
from core.actors import Actor
from core.clock import utcnow
from core.errors import Conflict, FirebreakError
from core.events import rfc3339
from core.models import User
from core.ratelimits import BUDGETS

STATUS_PAGE = "status_page"
TESTS_A_MINUTE = 3  # of one channel, by whomever

logger = logging.getLogger(__name__)


class TooManyTests(FirebreakError):
    """The channel was tested a moment ago."""

    code = "rate_limited"
    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"This channel was tested {TESTS_A_MINUTE} times within a minute: wait {seconds} s.")
        self.retry_after = seconds


class NoAddress(Conflict):
    """The person who asks has no address that the channel takes, or the channel sends nothing at all."""

    code = "no_address"


def send_test(*, key: str, actor: Actor, now: dt.datetime) -> Sent | NotSent:
    """Send a test message to the person who asks, or to the place; returns the receipt or the reason.

    Waits for it: ten seconds at the most. The event says who tested what, and whether it left.
    """
    require(actor, "configure")
    channel = get_channel(key)
    recipient = _recipient(key, channel, actor, now)
    if waits := BUDGETS.spend(f"channel-test:{key}", TESTS_A_MINUTE):
        raise TooManyTests(waits)
    outcome: Sent | NotSent
    try:
        outcome = hand_over(_message(key, recipient, actor, now), channel)
    except NotSent as error:
        outcome = error
    except Exception as error:
        logger.exception("the test of channel %s failed unexpectedly", key)
        outcome = NotSent(f"{type(error).__name__}, see the log")
    with transaction.atomic():
        record_tested(key, sent=isinstance(outcome, Sent), actor=actor, now=utcnow())
    return outcome


def _recipient(key: str, channel: Channel, actor: Actor, now: dt.datetime) -> str:
    if channel.kind == STATUS_PAGE:
        raise NoAddress("Nothing is sent to the status page: what is approved stands on it.")
    means = Means.EMAIL if channel.kind == USER_EMAIL else channel.means  # one subscriber's mail, to you
    if means is None:
        return key
    contact = Contact.objects.filter(user=actor.user_id, active=True).first() if actor.user_id else None
    found = str(person_of(contact, now=now).addresses.get(means, "")) if contact else ""
    if not found and means is Means.EMAIL:
        found = User.objects.filter(pk=actor.user_id or 0).values_list("email", flat=True).first() or ""
    if not found:
        raise NoAddress(
            f"A test goes to you, and nothing says how {means.label.lower()} reaches you: a contact"
            " with your account and that address."
        )
    return found


def _message(key: str, recipient: str, actor: Actor, now: dt.datetime) -> Outgoing:
    subject = f"Test of the channel {key}"
    body = (
        f"{subject}\n\nAsked for by: {actor.label}\nTime: {now:%Y-%m-%d %H:%M:%S} UTC\n\n"
        "Nothing has happened: somebody tests whether messages of Firebreak arrive here.\n"
    )
    link = (f"{settings.PUBLIC_URL}/channels/", "Channels")
    return Outgoing(
        key=f"test_{uuid.uuid4().hex}",
        recipient=recipient,
        subject=subject,
        body=body,
        html=as_html(body, action=(link[1], link[0])),
        blocks=as_blocks(body, action=(link[1], link[0])),
        short=f"Firebreak: {subject}. Nothing has happened.",
        link=link[0],
        link_label=link[1],
        event_kind="channel.tested",
        occurred_at=rfc3339(now),
        incident="",
        rollback="",
    )
