"""Frozen shapes that pass between rooms of this app."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict, SecretStr, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from comms.states import Means
from core.playbook.schema import Section


@dataclass(frozen=True)
class Outgoing:
    """One message to one recipient, as a channel needs it. `key` is the same for every attempt.

    `body` is the text; `html`, `blocks` and `short` are the same for mail, Slack and SMS. `link` is where
    the recipient acknowledges or reads on, theirs alone where it acts.
    """

    key: str
    recipient: str
    subject: str
    body: str
    event_kind: str
    occurred_at: str
    incident: str
    rollback: str
    html: str = ""
    blocks: Sequence[Mapping[str, Any]] = field(default=())
    short: str = ""
    link: str = ""
    link_label: str = ""
    unsubscribe: str = ""  # where a subscriber ends the subscription, theirs alone


@dataclass(frozen=True)
class PublicFacts:
    """All that an external template may print: words that were written for outside, and public names.

    `comms.selectors.public_facts` alone makes it, from public fields alone.
    """

    title: str
    status_label: str
    impact: str
    update: str
    root_cause: str
    expected_duration: str
    components: tuple[str, ...]
    started_at: dt.datetime
    resolved_at: dt.datetime | None
    status_url: str


@dataclass(frozen=True)
class Sent:
    """What the other side said when it took the message."""

    receipt: str


class Channel(Section):
    """Base of every kind of channel: what channels.yaml says about it, and who gets a delivery."""

    kind: str
    means: ClassVar[Means | None] = None
    """Which address of a contact gets a delivery of its own; None: the channel is a place and gets one."""

    @property
    def outside(self) -> bool:
        """Whether the public reads it: such a channel takes external messages alone."""
        return False


class Connection(Section):
    """Base of what a kind of channel needs to know before it can send: an account, a token.

    It is kept sealed in the database and set by an administrator. What is secret is a SecretStr: it
    is written out only where the context asks for it (`secrets`), for sealing. What is wrong with an
    input is said without the input.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    @model_serializer(mode="wrap")
    def _with_secrets(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        made: dict[str, Any] = handler(self)
        if (info.context or {}).get("secrets"):
            for name, value in self:
                if isinstance(value, SecretStr):
                    made[name] = value.get_secret_value()
        return made


class NotSent(Exception):
    """The message did not leave. `retry` says whether trying again can help, `retry_after` when (seconds)."""

    def __init__(self, reason: str, *, retry: bool = True, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason[:500]
        self.retry = retry
        self.retry_after = retry_after
