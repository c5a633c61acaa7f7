"""Webhooks by the rules of Standard Webhooks: when to try again, what is signed, who is told what. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Mapping

MINUTE, HOUR = 60.0, 3600.0
# After the first attempt, which is made at once. Source: Standard Webhooks, Deliverability and reliability.
WAITS = (5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
MOST_RETRY_AFTER = HOUR
JITTER_RATIO = 0.1
# An endpoint that fails is left alone a little, whatever waits for it: then one delivery asks how it is.
RESTS = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0)
CATCH_UP_FAILURES = 3  # in a row: it was down, and what it missed is sent once it is back
DISABLE_SECONDS = 5 * 24 * HOUR  # of nothing but failures
GONE = 410

SECRET_BEGIN, SECRET_BYTES = "whsec_", range(24, 65)
TEST_KIND = "webhook.test"

# What can be asked for, by the first word of the kind, with the kinds that a form offers one by one.
GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "incident": (
        "Incidents",
        (
            "incident.declared",
            "incident.acknowledged",
            "incident.response_breached",
            "incident.escalated",
            "incident.severity_changed",
            "incident.security_level_changed",
            "incident.restricted",
            "incident.unrestricted",
            "incident.updated",
            "incident.resolved",
            "incident.reopened",
            "incident.closed",
        ),
    ),
    "rollback": (
        "Rollbacks",
        (
            "rollback.requested",
            "rollback.approved",
            "rollback.started",
            "rollback.succeeded",
            "rollback.failed",
            "rollback.needs_attention",
            "rollback.cancelled",
            "rollback.break_glass",
        ),
    ),
    "release": ("Releases", ("release.recorded", "release.rolled_back", "release.quarantined")),
    "monitor": ("Monitors", ("monitor.level_changed",)),
    "automation": ("Automation", ()),
    "role": ("Roles on incidents", ()),
    "responder": ("Responders", ()),
    "note": ("Notes", ()),
    "action": ("Actions taken", ()),
    "decision": ("Decisions", ()),
    "checklist": ("Checklists", ()),
    "message": ("Messages", ()),
    "delivery": ("Deliveries of messages", ()),
    "alert": ("Alerts", ()),
    "silence": ("Silences", ()),
    "maintenance": ("Maintenance", ()),
    "service": ("Services", ()),
    "token": ("API tokens", ()),
    "connection": ("Connections", ()),
    "contact": ("Contacts", ()),
    "webhook": ("Webhooks", ()),
    "ingest": ("Incoming alerts", ()),
    "outbox": ("Parked events", ()),
    "process": ("Processes", ()),
    "playbook": ("The playbook", ()),
    "account": ("Accounts", ()),
}
_KIND = re.compile(r"([a-z_]{1,30})\.([a-z_]{1,30})?\Z")


def next_wait(attempts: int, *, chance: float, retry_after: float | None = None) -> float | None:
    """Seconds until the next attempt after `attempts` failed ones; None: it is given up.

    `chance` in 0..1 spreads by up to a tenth, later only: what failed together does not come back
    together. What the receiver asked for (`retry_after`) is the least, and counts up to an hour.
    """
    if attempts > len(WAITS):
        return None
    wait = WAITS[attempts - 1] * (1 + JITTER_RATIO * chance) if attempts > 0 else 0.0
    return max(wait, _asked(retry_after))


def rest_after(failures: int, *, chance: float, retry_after: float | None = None) -> float:
    """Seconds for which an endpoint is left alone after `failures` in a row."""
    rest = RESTS[min(failures, len(RESTS)) - 1] * (1 + JITTER_RATIO * chance)
    return max(rest, _asked(retry_after))


def _asked(retry_after: float | None) -> float:
    return min(max(retry_after or 0.0, 0.0), MOST_RETRY_AFTER)


def signatures(secrets: Iterable[str], *, key: str, stamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each secret that is valid, separated by spaces."""
    signed = f"{key}.{stamp}.".encode() + body
    macs = (hmac.new(secret_bytes(secret), signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(mac).decode('ascii')}" for mac in macs)


def secret_text(raw: bytes) -> str:
    """A secret as both sides write it down: `whsec_` and base64."""
    return SECRET_BEGIN + base64.b64encode(raw).decode("ascii")


def secret_bytes(secret: str) -> bytes:
    """What is signed with; raises ValueError for what is no secret of 24 to 64 bytes."""
    try:
        raw = base64.b64decode(secret.removeprefix(SECRET_BEGIN), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if not secret.startswith(SECRET_BEGIN) or len(raw) not in SECRET_BYTES:
        raise ValueError(f"not {SECRET_BEGIN} and 24 to 64 bytes in base64")
    return raw


def is_wanted(kind: str, kinds: Collection[str]) -> bool:
    """Whether an endpoint that names `kinds` is told of an event of this kind."""
    return not kinds or any(kind.startswith(one) if one.endswith(".") else kind == one for one in kinds)


def what_is_wrong_with_kind(kind: str) -> str | None:
    """Why this is neither a kind of event nor the beginning of one."""
    found = _KIND.fullmatch(kind)
    if found is None:
        return (
            f"{kind[:60]} is no kind of event, such as incident.declared, nor a beginning, such as incident."
        )
    if found[1] not in GROUPS:
        return f"There are no events {found[1]}.…; there are {', '.join(GROUPS)}."
    return None
