"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

from dataclasses import dataclass


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


class NotSent(Exception):
    """The message did not leave. `retry` says whether trying again can help."""

    def __init__(self, reason: str, *, retry: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason[:500]
        self.retry = retry
