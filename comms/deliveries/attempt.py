"""One attempt at one delivery: is it still true, may it leave now, and what came of it."""

from __future__ import annotations

import datetime as dt
import logging
import random
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError
from django.utils.module_loading import import_string

from comms import outbox_files
from comms.channels import CHANNELS
from comms.deliveries.daily import refuse_over_limit, sound_alarm
from comms.deliveries.outcome import mark_dead, mark_sent, put_back, put_off, supersede
from comms.facts import Channel, NotSent, Outgoing, Sent
from comms.links import Link, address_of
from comms.models import Delivery, Message
from comms.rules.forms import as_blocks, as_html, bundled
from comms.rules.limits import LIMITS, LONGEST_SECONDS, allowed_at
from comms.rules.retries import next_wait
from comms.rules.routing import is_stale
from comms.selectors.connections import open_connection
from comms.selectors.escalation import escalation, last_active_at
from comms.selectors.need_to_know import is_veiled
from comms.selectors.subscribers import USER_EMAIL, mail_of, unsubscribe_url
from comms.states import ASKING, PAGED, WAITING_STATES, DeliveryState, Template, Visibility
from comms.wording import Wording, render_veiled
from core.clock import utcnow
from core.encryption import NoEncryptionKey, Undecipherable
from core.events import rfc3339
from core.logs import about
from core.models import Event
from core.playbook import get_playbook
from incidents.models import Incident
from incidents.selectors.checklists import is_phase_overdue
from incidents.selectors.tasks import is_task_overdue
from rollbacks.models import Rollback

logger = logging.getLogger(__name__)

MOST_CRASHES = 5  # then it is the message itself: it is given up, within minutes
BUNDLED = 50  # at most into one message
TOGETHER_SECONDS = 5.0  # held back for the same limit, and free at about the same moment


def attempt(delivery_id: int) -> None:
    """Try the delivery, which this thread has claimed. Never raises for what is wrong with the delivery."""
    delivery = Delivery.objects.select_related("message__incident", "event").get(pk=delivery_id)
    message = delivery.message
    incident = message.incident.ref if message.incident else None
    with about(delivery=delivery_id, incident=incident, rollback=message.rollback_ref or None):
        try:
            _attempt(delivery)
        except NotSent as error:
            _fail(delivery, error)
        except DatabaseError as error:  # the database's fault, not the message's
            logger.exception("delivery %s by %s met the database", delivery_id, delivery.channel)
            _fail(delivery, NotSent(f"{type(error).__name__}, see the log"))
        except Exception as error:
            logger.exception("delivery %s by %s failed unexpectedly", delivery_id, delivery.channel)
            delivery.crashes += 1
            retry = delivery.crashes < MOST_CRASHES
            _fail(delivery, NotSent(f"{type(error).__name__}, see the log", retry=retry))


def _attempt(delivery: Delivery) -> None:
    if _is_stale(delivery.message):
        supersede(delivery, "no longer true")
        return
    channel: Channel | None = get_playbook()["channels"].root.get(delivery.channel)
    if channel is None:
        raise NotSent(f"the playbook has no channel {delivery.channel} any more", retry=False)
    if delivery.crashes >= MOST_CRASHES:
        raise NotSent("whoever sends it dies", retry=False)
    recipient = mail_of(delivery.recipient) if channel.kind == USER_EMAIL else delivery.recipient
    if recipient is None:
        supersede(delivery, "unsubscribed")
        return
    if (free_at := _free_at(delivery, channel)) is not None:
        put_back(delivery, free_at, "held back: no more calls and messages to this number for a while")
        return
    delivery.attempts += 1
    refuse_over_limit(delivery, channel)
    others = _others(delivery, channel)
    sent = hand_over(_outgoing(delivery, others, recipient), channel)
    mark_sent(delivery, sent, bundle=others)
    sound_alarm(delivery, channel)


def hand_over(message: Outgoing, channel: Channel) -> Sent:
    """Give the message to its channel, or to a file while that is not set up; raises NotSent."""
    kind = CHANNELS[channel.kind]
    try:
        settings = open_connection(channel)
    except (NoEncryptionKey, Undecipherable) as error:  # the operator's to mend, which takes a while
        raise NotSent("its connection cannot be opened: see ENCRYPTION_KEYS, or set it up anew") from error
    if kind.connection is not None and settings is None:
        return outbox_files.keep(message, channel.kind)
    return kind.send(message, channel, settings)


def _fail(delivery: Delivery, error: NotSent) -> None:
    now = utcnow()
    born = delivery.created_at or delivery.message.created_at
    wait = next_wait(
        delivery.attempts,
        age_seconds=(now - born).total_seconds(),
        chance=random.random(),  # noqa: S311 - spreads load, keeps no secret
        retry_after=error.retry_after,
    )
    if error.retry and wait is not None:
        put_off(delivery, now + dt.timedelta(seconds=wait), error.reason)
    else:
        mark_dead(delivery, error.reason)


# --- limits and bundles -----------------------------------------------------------------------------


def _free_at(delivery: Delivery, channel: Channel) -> dt.datetime | None:
    """When a person's limit lets this one through; None: now."""
    limits = LIMITS.get(channel.means) if channel.means else None
    if limits is None:
        return None
    now = utcnow()
    to_them = Delivery.objects.filter(channel=delivery.channel, recipient=delivery.recipient)
    since = now - dt.timedelta(seconds=LONGEST_SECONDS)
    left = to_them.filter(state=DeliveryState.SENT, sent_at__gt=since).order_by("-sent_at")
    times = list(left.values_list("sent_at", flat=True)[: max(most for _seconds, most in limits)])
    # Another process may be sending at this moment: the older of the two goes.
    if to_them.filter(state=DeliveryState.SENDING, due_at__gt=now, pk__lt=delivery.pk).exists():
        times.append(now)
    moment = allowed_at([at for at in times if at], limits=limits, now=now)
    return moment if moment > now else None


def _others(delivery: Delivery, channel: Channel) -> list[Delivery]:
    """What else waits for this person on a channel with limits: it leaves as one with this."""
    if channel.means not in LIMITS:
        return []
    waiting = (
        Delivery.objects.filter(
            channel=delivery.channel,
            recipient=delivery.recipient,
            state__in=WAITING_STATES,
            due_at__lte=utcnow() + dt.timedelta(seconds=TOGETHER_SECONDS),
        )
        .exclude(pk=delivery.pk)
        .select_related("message__incident", "event")
        .order_by("-pk")
    )
    return [other for other in waiting[:BUNDLED] if not _is_stale(other.message)]


# --- what is said -----------------------------------------------------------------------------------


def _outgoing(delivery: Delivery, others: list[Delivery], recipient: str) -> Outgoing:
    message, event = delivery.message, delivery.event
    veiled = is_veiled(delivery)
    inside = message.visibility == Visibility.INTERNAL and not veiled  # else no reference
    words = _words(delivery, veiled=veiled)
    link, label = _link(delivery)
    action = (label, link) if link else None
    short = words.forms.get("short") or words.subject
    if others:
        newest_first = sorted((delivery, *others), key=lambda one: one.pk, reverse=True)
        each = [_words(one, veiled=is_veiled(one)) for one in newest_first]
        short = bundled([one.forms.get("short") or one.subject for one in each])
    return Outgoing(
        key=f"msg_{delivery.pk}_{event.hash[:16]}",
        recipient=recipient,
        subject=words.subject,
        body=words.body,
        html=words.forms.get("html") or as_html(words.body, action=action),
        blocks=words.forms.get("blocks") or as_blocks(words.body, action=action),
        short=short,
        link=link,
        link_label=label,
        event_kind=event.kind,
        occurred_at=rfc3339(event.occurred_at),
        incident=message.incident.ref if inside and message.incident else "",
        rollback="" if veiled else message.rollback_ref,
        unsubscribe=unsubscribe_url(delivery.recipient) if delivery.lane == USER_EMAIL else "",
    )


def _words(delivery: Delivery, *, veiled: bool) -> Wording:
    """What the message says to this recipient."""
    message, incident = delivery.message, delivery.message.incident
    if not veiled or incident is None:
        return Wording(message.subject, message.body, message.forms)
    address = f"{settings.PUBLIC_URL}/incidents/{incident.ref}/"
    return render_veiled(Template(message.template), incident.code_name, url=address, drill=incident.drill)


def _link(delivery: Delivery) -> tuple[str, str]:
    """Where the recipient does what the message asks for, and what that is.

    A link that acknowledges is one person's own: a room gets the incident's address.
    """
    message, incident = delivery.message, delivery.message.incident
    if incident is None or message.template not in ASKING or message.visibility != Visibility.INTERNAL:
        return "", ""
    if delivery.contact_id is None or incident.acknowledged_at is not None:
        return f"{settings.PUBLIC_URL}/incidents/{incident.ref}/", "Open the incident"
    until = message.created_at + dt.timedelta(seconds=escalation().link_valid_for)
    return address_of(Link(incident.pk, delivery.contact_id, until)), "Acknowledge"


def _is_stale(message: Message) -> bool:
    incident = message.incident
    if message.template == Template.REMINDER:
        return not _is_still_due(message.event)
    if incident is None:
        return False
    rollback = Rollback.objects.filter(ref=message.rollback_ref).first() if message.rollback_ref else None
    return is_stale(
        message.template,
        incident_open=incident.is_open,
        acknowledged=incident.acknowledged_at is not None,
        rollback_state=rollback.state if rollback else "",
        overdue=_is_overdue(message.template, incident, message.event),
        answered=message.template == Template.ESCALATION and _is_answered(incident, message.event),
    )


def _is_still_due(event: Event) -> bool:
    """Whether what the event reminds of is still to be done, as the app says whose event it is."""
    path = settings.REMINDERS.get(event.kind)
    if path is None:
        return True
    still_due: Callable[[Event], bool] = import_string(path)
    return still_due(event)


def _is_overdue(template: str, incident: Incident, event: Event) -> bool:
    if template == Template.UPDATE_OVERDUE:
        due = incident.next_update_due_at
        return due is not None and rfc3339(due) == event.data["since"]
    if template == Template.TASK_OVERDUE:
        return is_task_overdue(event.data["task"], event.data["due_at"], now=utcnow())
    if template != Template.CHECKLIST_OVERDUE:
        return False
    named = {name: event.data[name] for name in ("checklist", "phase")}
    return is_phase_overdue(incident, **named, now=utcnow())


def _is_answered(incident: Incident, event: Event) -> bool:
    """Whether somebody did something since the ladder said that nobody did; an escalation by hand stands."""
    if event.kind != PAGED:
        return False
    active_at = last_active_at(incident)
    return active_at is not None and active_at > event.recorded_at
