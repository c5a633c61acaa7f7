"""Every channel with what an administrator asks about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.db import connection

from comms.channels import CHANNELS
from comms.facts import Channel
from comms.models import ConnectionSettings
from comms.playbook import Channels
from comms.selectors.connections import connection_name, is_ready
from comms.selectors.subscribers import USER_EMAIL
from comms.states import channel_name
from core.errors import NotFound
from core.playbook import get_playbook

# One step down an index for each channel, however many deliveries there are.
_LAST = """
SELECT k.key,
       (SELECT sent_at FROM comms_delivery WHERE channel = k.key AND state = 'sent'
         ORDER BY sent_at DESC LIMIT 1),
       f.last_error, f.due_at
  FROM unnest(%s::text[]) AS k(key)
  LEFT JOIN LATERAL (SELECT last_error, due_at FROM comms_delivery
                      WHERE channel = k.key AND state IN ('retrying', 'dead')
                      ORDER BY due_at DESC LIMIT 1) f ON true
"""


@dataclass(frozen=True)
class ChannelLine:
    """A way out. `means` is how it reaches persons (empty: a place), `ready` whether anything leaves."""

    key: str
    kind: str
    means: str
    place: str
    ready: bool
    connection: str
    daily_limit: int | None
    last_sent_at: dt.datetime | None
    last_error: str

    @property
    def name(self) -> str:
        return channel_name(self.key)


def list_channels() -> tuple[ChannelLine, ...]:
    """Every channel of the playbook, in its order (two queries).

    An error is told only while nothing was sent after it.
    """
    channels = cast(Channels, get_playbook()["channels"]).root
    known = set(ConnectionSettings.objects.values_list("name", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_LAST, [list(channels)])
        last: Mapping[str, Any] = {row[0]: row[1:] for row in cursor.fetchall()}
    return tuple(_line(key, channel, known, *last[key]) for key, channel in channels.items())


def get_channel(key: str) -> Channel:
    """A channel by its key; raises NotFound."""
    found = cast(Channels, get_playbook()["channels"]).root.get(key)
    if found is None:
        raise NotFound("The playbook has no channel of this name.")
    return found


def _line(
    key: str,
    channel: Channel,
    known: set[str],
    sent_at: dt.datetime | None,
    error: str | None,
    failed_at: dt.datetime | None,
) -> ChannelLine:
    overcome = sent_at is not None and failed_at is not None and sent_at >= failed_at
    return ChannelLine(
        key=key,
        kind=channel.kind,
        means=str(channel.means.value) if channel.means else "",
        place="subscribers" if channel.kind == USER_EMAIL else str(getattr(channel, "room", "")),
        ready=is_ready(channel, known),
        connection=connection_name(channel) if CHANNELS[channel.kind].connection else "",
        daily_limit=getattr(channel, "daily_limit", None),
        last_sent_at=sent_at,
        last_error="" if overcome else (error or ""),
    )
