"""The tokens of an account, for its page."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from core.models import ApiToken, User

SHOWN = 100
WARNED_DAYS = 14
# What each scope lets a token do, within its owner's level. Source: the API's permissions.
SCOPE_WORDS = {
    "read": "read incidents, rollbacks, services, monitors and contacts.",
    "write": "declare, update and resolve incidents; record releases; change services and monitors.",
    "rollback": "request and cancel rollbacks and disarm automation. It never approves: a person does.",
    "ingest": "send in alerts from a monitoring system.",
}


@dataclass(frozen=True)
class TokenLine:
    """One token. `state` is usable, soon (it expires within two weeks), expired or revoked."""

    ident: str
    name: str
    scopes: tuple[str, ...]
    state: str
    state_label: str
    created_at: dt.datetime
    expires_at: dt.datetime
    last_used_at: dt.datetime | None
    usable: bool


def list_tokens(user: User, now: dt.datetime) -> tuple[TokenLine, ...]:
    """The account's tokens, the usable ones first, at most a hundred (one query)."""
    rows = ApiToken.objects.filter(user=user).order_by("-created_at")[: SHOWN * 2]
    lines = [_line(token, now) for token in rows]
    return tuple(sorted(lines, key=lambda line: not line.usable)[:SHOWN])


def get_token(user: User, ident: str, now: dt.datetime) -> TokenLine | None:
    """One token of the account; None when it is nobody's or another's."""
    token = ApiToken.objects.filter(user=user, pk=ident).first()
    return _line(token, now) if token else None


def _line(token: ApiToken, now: dt.datetime) -> TokenLine:
    left = token.expires_at - now
    if token.revoked_at is not None:
        state, label = "revoked", "Revoked"
    elif left <= dt.timedelta(0):
        state, label = "expired", "Expired"
    elif left <= dt.timedelta(days=WARNED_DAYS):
        state, label = "soon", "Expires soon"
    else:
        state, label = "usable", "Usable"
    return TokenLine(
        ident=token.pk,
        name=token.name,
        scopes=tuple(token.scopes),
        state=state,
        state_label=label,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        usable=state in ("usable", "soon"),
    )
