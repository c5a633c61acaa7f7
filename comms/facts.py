"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.playbook.schema import Section


@dataclass(frozen=True)
class Outgoing:
    """One message to one recipient, as a channel needs it. `key` is the same for every attempt."""

    key: str
    recipient: str
    subject: str
    body: str
    event_kind: str
    occurred_at: str
    incident: str
    rollback: str
    summary: str


@dataclass(frozen=True)
class Sent:
    """What the other side said when it took the message."""

    receipt: str


class Channel(Section):
    """Base of every kind of channel: what channels.yaml says about it, and who gets a delivery."""

    kind: str
    one_per_contact: ClassVar[bool] = False
    """Whether each contact's address gets a delivery of its own; else the channel gets one."""


class NotSent(Exception):
    """The message did not leave. `retry` says whether trying again can help."""

    def __init__(self, reason: str, *, retry: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason[:500]
        self.retry = retry
