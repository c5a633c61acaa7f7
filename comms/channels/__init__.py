"""How messages leave: one module per kind, each the twin of its neighbour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from comms.channels import email, webhook
from comms.facts import Channel, Outgoing, Sent

Send = Callable[[Outgoing, Any], Sent]
"""Takes the channel as its own kind declares it; raises NotSent."""

CHANNELS: Mapping[str, tuple[type[Channel], Send]] = {
    "email": (email.EmailChannel, email.send),
    "webhook": (webhook.WebhookChannel, webhook.send),
}
