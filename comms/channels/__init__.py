"""How messages leave: one module per kind, each the twin of its neighbour."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from comms.channels import email, webhook
from comms.facts import Outgoing, Sent
from comms.playbook import EmailChannel, WebhookChannel

Send = Callable[[Outgoing, EmailChannel | WebhookChannel], Sent]
SENDERS: Mapping[str, Send] = {"email": email.send, "webhook": webhook.send}
