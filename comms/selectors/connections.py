"""Whether a channel is set up, and with what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

from django.conf import settings

from comms.channels import CHANNELS
from comms.facts import Channel, Connection
from comms.models import ConnectionSettings
from comms.playbook import Channels
from comms.rules.reach import Way
from comms.selectors.subscribers import USER_EMAIL
from core.encryption import decrypt
from core.errors import NotFound
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


@dataclass(frozen=True)
class ConnectionLine:
    """A connection that the playbook's channels need: whether it is set up, by whom, and never with what."""

    name: str
    kind: str
    channels: tuple[str, ...]
    changed_at: dt.datetime | None
    changed_by: str

    @property
    def is_set_up(self) -> bool:
        return self.changed_at is not None


def list_connections() -> tuple[ConnectionLine, ...]:
    """Every connection that a channel names, and those that are left from others (one query)."""
    rows = {row.name: row for row in ConnectionSettings.objects.defer("sealed")}
    users: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for key, channel in cast(Channels, get_playbook()["channels"]).root.items():
        if (model := CHANNELS[channel.kind].connection) is not None:
            name = connection_name(channel)
            users.setdefault(name, []).append(key)
            kinds[name] = model.__name__.removesuffix("Connection")
    return tuple(
        ConnectionLine(
            name=name,
            kind=kinds.get(name, ""),
            channels=tuple(users.get(name, ())),
            changed_at=rows[name].changed_at if name in rows else None,
            changed_by=rows[name].changed_by if name in rows else "",
        )
        for name in [*kinds, *sorted(rows.keys() - kinds.keys())]
    )


def connection_model(name: str) -> type[Connection]:
    """What a connection of this name consists of; raises NotFound."""
    for channel in cast(Channels, get_playbook()["channels"]).root.values():
        model = CHANNELS[channel.kind].connection
        if model is not None and connection_name(channel) == name:
            return model
    raise NotFound("No channel of the playbook needs a connection of this name.")


def connection_name(channel: Channel) -> str:
    """The name by which the channel's connection is kept."""
    return str(getattr(channel, "connection", channel.kind))


def list_ways() -> tuple[Way, ...]:
    """Every channel that reaches persons, as the playbook orders them (one query)."""
    known = set(ConnectionSettings.objects.values_list("name", flat=True))
    channels = cast(Channels, get_playbook()["channels"]).root
    return tuple(
        Way(key, channel.means, is_ready(channel, known))
        for key, channel in channels.items()
        if channel.means is not None
    )


def is_ready(channel: Channel, known: Collection[str]) -> bool:
    """Whether what it sends leaves this machine: until then it goes to files."""
    if channel.kind in ("email", USER_EMAIL):
        return settings.EMAIL_BACKEND != _TO_FILES
    return CHANNELS[channel.kind].connection is None or connection_name(channel) in known
