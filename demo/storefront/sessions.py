"""Shopper sessions: what a signed cookie holds, and how a forged one is told from an old one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import asdict, dataclass


class SessionForged(Exception):
    """The cookie was not signed by this site."""


@dataclass(frozen=True)
class Session:
    """What the site remembers of a shopper between requests."""

    user: str | None = None
    cart: tuple[str, ...] = ()


def seal(session: Session, *, key: str, lifetime_seconds: int) -> str:
    """The cookie's value: the session and its end, signed with `key`."""
    fields = asdict(session) | {"expires": int(time.time()) + lifetime_seconds}
    payload = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()
    return f"{payload}.{_signature(payload, key)}"


def unseal(cookie: str, *, key: str) -> Session:
    """The session in `cookie`, an empty one if it has ended; raises `SessionForged`."""
    payload, _, signature = cookie.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(payload, key).encode()):
        raise SessionForged
    fields = json.loads(base64.urlsafe_b64decode(payload))
    if fields["expires"] < time.time():
        return Session()
    return Session(user=fields["user"], cart=tuple(fields["cart"]))


def _signature(payload: str, key: str) -> str:
    return hmac.new(key.encode(), payload.encode(), hashlib.sha256).hexdigest()
