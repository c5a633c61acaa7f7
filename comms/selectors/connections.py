"""Whether a channel is set up, and with what."""

from __future__ import annotations

from typing import cast

from django.conf import settings

from comms.channels import CHANNELS
from comms.facts import Channel, Connection
from comms.models import ConnectionSettings
from comms.playbook import Channels
from comms.rules.reach import Way
from core.encryption import decrypt
from core.playbook import get_playbook

_TO_FILES = "django.core.mail.backends.filebased.EmailBackend"


def open_connection(channel: Channel) -> Connection | None:
    """The opened settings of the channel's connection; None when it needs none or has none (one query).

    Raises Undecipherable, NoEncryptionKey.
    """
    model = CHANNELS[channel.kind].connection
    if model is None:
        return None
    row = ConnectionSettings.objects.filter(name=connection_name(channel)).first()
    return None if row is None else model.model_validate_json(decrypt(row.sealed))


def connection_name(channel: Channel) -> str:
    """The name by which the channel's connection is kept."""
    return str(getattr(channel, "connection", channel.kind))


def list_ways() -> tuple[Way, ...]:
    """Every channel that reaches persons, as the playbook orders them (one query)."""
    known = set(ConnectionSettings.objects.values_list("name", flat=True))
    channels = cast(Channels, get_playbook()["channels"]).root
    return tuple(
        Way(key, channel.means, _is_ready(channel, known))
        for key, channel in channels.items()
        if channel.means is not None
    )


def _is_ready(channel: Channel, known: set[str]) -> bool:
    """Whether what it sends leaves this machine: until then it goes to files."""
    if channel.kind == "email":
        return settings.EMAIL_BACKEND != _TO_FILES
    return CHANNELS[channel.kind].connection is None or connection_name(channel) in known
