"""Who sends a request: a token's bearer or a signed-in person."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import hmac
import re
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import (
    BaseAuthentication,
    SessionAuthentication,
    get_authorization_header,
)
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from core import history
from core.accounts.sessions import actor_of_session
from core.actors import Actor, actor_for_token
from core.api.throttling import is_guessing, slow_down_guesser
from core.clock import utcnow
from core.models import ApiToken, User
from core.models.accounts import TOKEN_PREFIX

__all__ = ["BearerAuthentication", "SessionAuthentication", "actor_of", "usable_token"]

_TOKEN = re.compile(rf"{TOKEN_PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{20,100}})")
_NO_DIGEST = "0" * 64
USE_NOTED_EVERY = dt.timedelta(minutes=1)


class KnownTokens:
    """Digests of the tokens that this process has seen working: others may be guesses."""

    def __init__(self, most: int = 1_000) -> None:
        self._digests: dict[str, None] = {}
        self._most = most

    def add(self, text: str) -> None:
        self._digests[_digest(text)] = None
        while len(self._digests) > self._most:
            self._digests.pop(next(iter(self._digests)), None)

    def has(self, text: str) -> bool:
        return _digest(text) in self._digests


_KNOWN = KnownTokens()


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer fb_<id>_<secret>`; `request.auth` becomes the ApiToken."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = usable_token(request, text.strip())
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def usable_token(request: Request, text: str) -> ApiToken:
    """The token of that text; raises AuthenticationFailed, or Throttled for an address that guesses."""
    now = utcnow()
    if is_guessing(request) and not _KNOWN.has(text):
        slow_down_guesser(request)
    token = _token_of(text)
    if token is None or not token.is_usable(now):
        slow_down_guesser(request)
        raise AuthenticationFailed("This token is unknown, expired or revoked.")
    _KNOWN.add(text)
    # Not a write for every request.
    if token.last_used_at is None or token.last_used_at < now - USE_NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    history.say_actor(actor_for_token(token))
    return token


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes tokens."""

    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of `manage.py token create`.",
        }


def actor_of(request: Request) -> Actor:
    """The authenticated sender as an actor: a token is never a person."""
    if isinstance(request.auth, ApiToken):
        return actor_for_token(request.auth)
    return actor_of_session(request)


def _token_of(text: str) -> ApiToken | None:
    parts = _TOKEN.fullmatch(text)
    if parts is None:
        return None
    ident, secret = parts.groups()
    token: Any = next(iter(_with_owner().filter(pk=ident)), None)
    given = _digest(secret)
    # Compared also when there is no such token, so that the time tells nothing.
    same = hmac.compare_digest(token.digest if token else _NO_DIGEST, given)
    if token is None or not same:
        return None
    owner: User = token.user
    owner.level = owner.level_in(token.owners_groups)
    found: ApiToken = token
    return found


@functools.cache
def _with_owner() -> QuerySet[Any]:
    """Tokens with their account and what its level follows from, in one query: every request asks this."""
    groups = Group.objects.filter(user=OuterRef("user_id")).order_by().values("name")
    # Building the statement is a fifth of a small request, and each column is part of that.
    needed = ("digest", "name", "scopes", "expires_at", "revoked_at", "last_used_at")
    of_the_owner = ("user__username", "user__is_active", "user__is_superuser")
    tokens = ApiToken.objects.select_related("user").only(*needed, *of_the_owner).order_by()
    return tokens.annotate(owners_groups=ArraySubquery(groups))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
