"""Who does something: a frozen fact that enters at the door and travels down to the event."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.models import ApiToken, User


class Level(enum.IntEnum):
    """Account levels, each including those below it. Source: rulings, People and authority."""

    NONE = 0
    VIEWER = 1
    RESPONDER = 2
    COMMANDER = 3
    ADMINISTRATOR = 4

    @property
    def label(self) -> str:
        return self.name.lower()


class ActorKind(enum.StrEnum):
    USER = "user"
    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    SYSTEM = "system"
    AUTOMATION = "automation"
    CONTACT = "contact"


@dataclass(frozen=True)
class Actor:
    """A person, a person's token, a person by a link of theirs, Firebreak itself, or its automation.

    `user_id` is the account behind a person or a token; a token acts with its owner's level but is
    never a person: it cannot approve, arm or confirm. Who comes by a link has not signed in and may only
    acknowledge; theirs is the level of their account, if they have one. What a person's session proves,
    and since when, is `second_factor` and `authenticated_at`; see core.assurance.
    """

    kind: ActorKind
    label: str
    level: Level
    user_id: int | None = None
    token_id: str | None = None
    authenticated_at: dt.datetime | None = None
    second_factor: bool = False

    @property
    def is_person(self) -> bool:
        return self.kind is ActorKind.USER

    @property
    def is_machine(self) -> bool:
        return self.kind in (ActorKind.SYSTEM, ActorKind.AUTOMATION)


SYSTEM = Actor(ActorKind.SYSTEM, "Firebreak", Level.ADMINISTRATOR)
COMMAND_LINE = Actor(ActorKind.SYSTEM, "Command line", Level.ADMINISTRATOR)  # whoever has a shell
AUTOMATION = Actor(ActorKind.AUTOMATION, "Automation", Level.NONE)


def actor_for_user(user: User) -> Actor:
    """The account as an actor that proves nothing; doors use core.accounts.sessions.actor_of_session."""
    return Actor(ActorKind.USER, user.get_username(), user.level, user_id=user.pk)


def actor_for_token(token: ApiToken) -> Actor:
    """A token as an actor: its owner's level, never a person."""
    label = f"{token.user.get_username()} (token {token.name})"
    return Actor(ActorKind.TOKEN, label, token.user.level, user_id=token.user_id, token_id=token.pk)
