"""Messages by hand: how they would look in every channel and to how many, and those for inside."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from django.db import transaction

from comms.models import Message
from comms.playbook import Channels
from comms.rules.forms import as_sms
from comms.rules.publishing import in_words, page_text
from comms.rules.routing import Group, Planned
from comms.selectors.content import facts_for
from comms.selectors.public_facts import public_facts
from comms.selectors.subscribers import USER_EMAIL, count_subscribers
from comms.services.external import check_channels, compose_update, default_channels
from comms.services.messages import deliver, recipients_for
from comms.states import INTERNAL_BY_HAND, Means, MessageState, Template, channel_name
from comms.timeline import record_on_message
from comms.wording import Wording, render, render_public
from core import hints
from core.access import require
from core.actors import Actor
from core.errors import Conflict, Invalid, NotFound
from core.models import Event
from core.playbook import get_playbook
from incidents.models import Incident
from incidents.states import AUDIENCES, audience_label

STATUS_PAGE = "status_page"  # the kind of channel


@dataclass(frozen=True)
class ChannelPreview:
    """What one channel would carry, and to how many."""

    channel: str
    form: str
    text: str
    recipients: int

    @property
    def name(self) -> str:
        return channel_name(self.channel)


@dataclass(frozen=True)
class Preview:
    """A message that is not stored."""

    subject: str
    body: str
    channels: tuple[ChannelPreview, ...]

    @property
    def recipients(self) -> int:
        return sum(one.recipients for one in self.channels)


class NobodyToTell(Conflict):
    """No contact of these audiences can be reached by these channels."""

    code = "nobody_to_tell"


def preview_external(
    *,
    incident: Incident,
    template: str,
    actor: Actor,
    now: dt.datetime,
    channels: Sequence[str] = (),
    body: str = "",
    **fields: Any,
) -> Preview:
    """As `draft_message` would make it; raises the same errors and stores nothing."""
    require(actor, "respond")
    update = compose_update(incident, template, fields, now=now)
    used = check_channels(channels or default_channels(template))
    wording = render_public(Template(template), public_facts(update))
    return _external_preview(wording, body.strip() or wording.body, used)


def count_outside(template: str) -> str:
    """Where a message for users goes, in words: `the status page, 12 subscribers and 2 more places`."""
    known = cast(Channels, get_playbook()["channels"]).root
    kinds = [known[key].kind for key in default_channels(template) if key in known]
    subscribers = count_subscribers() if USER_EMAIL in kinds else 0
    others = len([kind for kind in kinds if kind not in (STATUS_PAGE, USER_EMAIL)])
    parts = ["the status page"] if STATUS_PAGE in kinds else []
    if USER_EMAIL in kinds:
        parts.append(f"{subscribers} subscriber{'' if subscribers == 1 else 's'}")
    if others:
        parts.append(f"{others} more place{'' if others == 1 else 's'}")
    return in_words(parts) if parts else "nowhere: the playbook has no channel for it"


def preview_draft(message: Message) -> Preview:
    """A stored external message as it would leave."""
    return _external_preview(
        Wording(message.subject, message.body, message.forms), message.body, message.channels
    )


def preview_message(
    *,
    incident: Incident,
    template: str,
    audiences: Sequence[str],
    actor: Actor,
    now: dt.datetime,
    text: str = "",
    channels: Sequence[str] = (),
) -> Preview:
    """As `send_message` would make it; raises the same errors and stores nothing."""
    require(actor, "respond")
    planned = _planned(template, audiences, channels, text)
    # An event that nobody records: the wording needs its time and nothing else of it.
    event = Event(summary="", occurred_at=now, kind="message.written", data={})
    wording = _wording(planned.template, event, incident, text)
    numbers = Counter(one.channel for one in recipients_for(planned, incident, now=now))
    return Preview(wording.subject, wording.body, _previews(wording, wording.body, numbers))


@transaction.atomic
def send_message(
    *,
    incident_id: int,
    template: str,
    audiences: Sequence[str],
    actor: Actor,
    now: dt.datetime,
    text: str = "",
    channels: Sequence[str] = (),
) -> Message:
    """Tell contacts inside at once; nothing to approve. Raises Invalid and NobodyToTell."""
    require(actor, "respond")
    incident = Incident.objects.visible_to(actor).filter(pk=incident_id).first()
    if incident is None:
        raise NotFound("No such incident.")
    planned = _planned(template, audiences, channels, text)
    told = ", ".join(audience_label(audience) for audience in planned.audiences)
    event = record_on_message(
        incident,
        "message.written",
        f"{planned.template.label} by hand, to {told}",
        template=planned.template,
        actor=actor,
        now=now,
    )
    wording = _wording(planned.template, event, incident, text)
    message = Message.objects.create(
        event=event,
        incident=incident,
        template=planned.template,
        audiences=list(planned.audiences),
        channels=list(planned.channels),
        subject=wording.subject,
        body=wording.body,
        forms=wording.forms,
        state=MessageState.QUEUED,
        drafted_by=actor.label[:200],
        created_at=now,
    )
    if not deliver(message, recipients_for(planned, incident, now=now), incident, now):
        raise NobodyToTell("Nobody of these audiences can be reached by these channels.")
    hints.wake("comms.sweep_deliveries")
    return message


def _planned(template: str, audiences: Sequence[str], channels: Sequence[str], text: str) -> Planned:
    if template not in INTERNAL_BY_HAND:
        raise Invalid({"template": f"Must be one of {', '.join(INTERNAL_BY_HAND)}."})
    if template == Template.NOTE and not text.strip():
        raise Invalid({"body": "Write what is to be said."})
    if not audiences or (unknown := sorted(set(audiences) - set(AUDIENCES))):
        wrong = f"No such audience: {', '.join(unknown)[:200]}" if audiences else "Say who is told."
        raise Invalid({"audience": wrong})
    known = internal_channels()
    if unknown := sorted(set(channels) - set(known)):
        raise Invalid({"channels": f"No such channel for inside: {', '.join(unknown)[:200]}"})
    group = Group(tuple(dict.fromkeys(audiences)), tuple(channels) or _usual(known), page=False)
    return Planned(Template(template), (group,))


def internal_channels() -> dict[str, Any]:
    """The channels that a message for inside may take."""
    channels = cast(Channels, get_playbook()["channels"]).root
    return {key: channel for key, channel in channels.items() if not channel.outside}


def _usual(known: Mapping[str, Any]) -> tuple[str, ...]:
    """E-mail, unless somebody chooses: it disturbs nobody's night."""
    mail = tuple(key for key, channel in known.items() if channel.means is Means.EMAIL)
    return mail or tuple(known)


def _wording(template: Template, event: Event, incident: Incident, text: str) -> Wording:
    return render(template, replace(facts_for(event, incident, None), text=text.strip()))


def _external_preview(wording: Wording, body: str, channels: Sequence[str]) -> Preview:
    known = cast(Channels, get_playbook()["channels"]).root
    numbers = {
        key: count_subscribers() if known[key].kind == USER_EMAIL else 1 for key in channels if key in known
    }
    return Preview(wording.subject, body, _previews(wording, body, numbers))


def _previews(wording: Wording, body: str, numbers: Mapping[str, int]) -> tuple[ChannelPreview, ...]:
    known = cast(Channels, get_playbook()["channels"]).root
    found = []
    for key, number in numbers.items():
        kind = known[key].kind
        if known[key].means in (Means.SMS, Means.VOICE):
            form, text = "short", as_sms(wording.forms.get("short") or wording.subject)
        elif kind == STATUS_PAGE:
            form, text = "page", page_text(body, headline=wording.subject)
        elif kind in ("email", USER_EMAIL):
            form, text = "mail", f"Subject: {wording.subject}\n\n{body}"
        else:
            form, text = "text", body
        found.append(ChannelPreview(key, form, text, number))
    return tuple(found)
