"""How messages leave: one module per kind, each the twin of its neighbour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from comms.channels import apprise, email, slack, status_page, twilio, user_email
from comms.facts import Channel, Connection, Outgoing, Sent

Send = Callable[[Outgoing, Any, Any], Sent]
"""Takes the channel as its own kind declares it, and its connection; raises NotSent."""


@dataclass(frozen=True)
class Kind:
    """A kind of channel: its part of channels.yaml, how it sends, and what must be set up before.

    While a connection that it needs is not set up, its messages are lines of a file (comms.outbox_files).
    """

    model: type[Channel]
    send: Send
    connection: type[Connection] | None = None


CHANNELS: Mapping[str, Kind] = {
    "slack": Kind(slack.SlackChannel, slack.send_to_room, slack.SlackConnection),
    "slack_direct": Kind(slack.SlackDirectChannel, slack.send_to_person, slack.SlackConnection),
    "email": Kind(email.EmailChannel, email.send),
    "sms": Kind(twilio.SmsChannel, twilio.send_sms, twilio.TwilioConnection),
    "voice": Kind(twilio.VoiceChannel, twilio.send_call, twilio.TwilioConnection),
    "apprise": Kind(apprise.AppriseChannel, apprise.send, apprise.AppriseConnection),
    "status_page": Kind(status_page.StatusPageChannel, status_page.send),
    "user_email": Kind(user_email.UserEmailChannel, user_email.send),
}
