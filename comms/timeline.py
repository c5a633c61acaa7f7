"""The only writer of this app's events: who has been told stands on the incident's timeline."""

from __future__ import annotations

import datetime as dt

from comms.models import Message
from core import events
from core.actors import SYSTEM


def record_message_finished(message: Message, *, sent: int, dead: int, now: dt.datetime) -> None:
    """Every delivery of a message has come to its end."""
    if message.incident is None:
        return
    label = message.get_template_display()
    people = f"{sent} delivered" + (f", {dead} given up" if dead else "")
    events.record(
        message.incident.stream_id,
        kind="message.sent" if sent else "message.failed",
        actor=SYSTEM,
        summary=f"{label}: {people}",
        now=now,
        data={
            "incident": message.incident.ref,
            "message": message.pk,
            "template": message.template,
        },
    )
