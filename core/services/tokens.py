"""Commands on API tokens: issue one, revoke one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.conf import settings
from django.db import transaction

from core import events
from core.access import may, require
from core.actors import Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import ApiToken, User
from core.models.accounts import SCOPES

LONGEST_DAYS = 365
DEFAULT_DAYS = 90


class TooManyTokens(Conflict):
    """The account has as many usable tokens as it may have."""

    code = "too_many_tokens"


@transaction.atomic
def issue_token(
    *, username: str, name: str, scopes: Iterable[str], days: int, actor: Actor, now: dt.datetime
) -> tuple[ApiToken, str]:
    """Make a token of an account; returns it with the secret text, which cannot be had again.

    A person makes tokens for themselves alone, and no more than `TOKENS_PER_ACCOUNT` usable ones; a
    token makes none; somebody with a shell makes any. Raises Invalid naming the field.
    """
    owner = User.objects.select_for_update(no_key=True).filter(username=username, is_active=True).first()
    if owner is None:
        raise NotFound(f"There is no active account {username}.")
    _check_may_issue(actor, owner)
    name, wanted = " ".join(name.split()), sorted(set(scopes))
    _check(name, wanted, days)
    if actor.is_person and usable_tokens(owner, now) >= settings.TOKENS_PER_ACCOUNT:
        raise TooManyTokens(
            f"{owner} has {settings.TOKENS_PER_ACCOUNT} usable tokens, as many as may be: revoke one first."
        )
    expires = now + dt.timedelta(days=days)
    token, text = ApiToken.issue(user=owner, name=name, scopes=wanted, expires_at=expires)
    _record(token, "issued", f"for {days} days, {', '.join(wanted)}", actor=actor, now=now)
    return token, text


@transaction.atomic
def revoke_token(*, token_id: str, actor: Actor, now: dt.datetime) -> ApiToken:
    """End a token at once: its owner may, an administrator may, somebody with a shell may.

    Raises NotFound, also for a token that the actor may not revoke, and Conflict for an ended one.
    """
    rows = ApiToken.objects.select_for_update(of=("self",), no_key=True).select_related("user")
    token = rows.filter(pk=token_id).first()
    owned = token is not None and actor.is_person and token.user_id == actor.user_id
    if token is None or not (owned or actor.is_machine or (actor.is_person and may(actor, "administer"))):
        raise NotFound("There is no such token.")
    if token.revoked_at is not None:
        raise Conflict(f"The token {token.name} is revoked already.", state="revoked")
    token.revoked_at = now
    token.save(update_fields=["revoked_at"])
    _record(token, "revoked", "", actor=actor, now=now)
    return token


def usable_tokens(owner: User, now: dt.datetime) -> int:
    """How many tokens of the account work now."""
    return ApiToken.objects.filter(user=owner, revoked_at=None, expires_at__gt=now).count()


def _check_may_issue(actor: Actor, owner: User) -> None:
    if actor.is_machine:
        return
    if not actor.is_person:
        raise NotAllowed("A token makes no tokens; a person does.")
    if actor.user_id != owner.pk:
        raise NotAllowed("Everybody makes their own tokens: a token acts in its owner's name.")
    require(actor, "read")


def _check(name: str, scopes: list[str], days: int) -> None:
    wrong: dict[str, str] = {}
    if not 1 <= len(name) <= 100 or not name.isprintable():
        wrong["name"] = "Give it a name of 1 to 100 characters."
    if not scopes or not set(scopes) <= set(SCOPES):
        wrong["scopes"] = f"Choose at least one of {', '.join(SCOPES)}."
    if not 1 <= days <= LONGEST_DAYS:
        wrong["days"] = f"Must lie between 1 and {LONGEST_DAYS} days."
    if wrong:
        raise Invalid(wrong)


def _record(token: ApiToken, what: str, detail: str, *, actor: Actor, now: dt.datetime) -> None:
    events.record(
        events.system_stream().pk,
        kind=f"token.{what}",
        actor=actor,
        summary=f"Token {token.name} of {token.user} {what}" + (f" {detail}" if detail else ""),
        now=now,
        data={
            "token": token.pk,
            "name": token.name,
            "owner": token.user.get_username(),
            "scopes": list(token.scopes),
            "expires_at": events.rfc3339(token.expires_at),
        },
    )
