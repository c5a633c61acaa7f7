"""PagerDuty's Events API v2, so that a sender migrates by changing one address.

Source: the published schema of Events v2. The events of one `dedup_key` are one alert; a change event
says what was deployed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import FirebreakError
from core.texts import is_blank
from incidents.facts import Seen
from incidents.ingest.cleaning import VALUE_LENGTH, Notes, address, clean, labels, moment, title
from incidents.states import AlertStatus

TRIGGER, ACKNOWLEDGE, RESOLVE = "trigger", "acknowledge", "resolve"
ACTIONS = (TRIGGER, ACKNOWLEDGE, RESOLVE)
SEVERITIES = ("critical", "error", "warning", "info")
KEY_LENGTH = 255
LABEL_LENGTH = 256
_OWN = ("source", "component", "group", "class", "severity")


class NoEvent(FirebreakError):
    """The event is not of the format; `errors` says what is wrong, each in a sentence."""

    code = "invalid_event"

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


def check(document: Mapping[str, Any]) -> None:
    """Raises NoEvent unless it is an alert event."""
    action, key, payload = document.get("event_action"), document.get("dedup_key"), document.get("payload")
    wrong = []
    if action not in ACTIONS:
        wrong.append(f"'event_action' must be one of {', '.join(ACTIONS)}")
    if key is not None and not isinstance(key, str):
        wrong.append("'dedup_key' must be a string")
    if action in (ACKNOWLEDGE, RESOLVE) and (not isinstance(key, str) or not key):
        wrong.append(f"'dedup_key' is required to {action}")
    if payload is not None and not isinstance(payload, dict):
        wrong.append("'payload' must be an object")
    elif action == TRIGGER:
        wrong += _without_summary(payload)
    if wrong:
        raise NoEvent(wrong)


def check_change(document: Mapping[str, Any]) -> None:
    """Raises NoEvent unless it is a change event."""
    payload = document.get("payload")
    wrong = ["'payload' must be an object"] if not isinstance(payload, dict) else _without_summary(payload)
    if wrong:
        raise NoEvent(wrong)


def key_of(dedup_key: str) -> str:
    """The key as it can be stored: one that is too long or holds what cannot be is replaced by its digest."""
    plain = dedup_key.isprintable() and len(dedup_key) <= KEY_LENGTH
    return dedup_key if plain else hashlib.sha256(dedup_key.encode("utf-8", "surrogatepass")).hexdigest()


def said_at(document: Mapping[str, Any], *, received_at: dt.datetime) -> dt.datetime | None:
    """When the sender says that it happened, if it says so usably."""
    payload = document.get("payload")
    said = payload.get("timestamp") if isinstance(payload, dict) else None
    return moment(said, what="timestamp", received_at=received_at, notes=Notes())


def read(document: Mapping[str, Any], *, received_at: dt.datetime, important: Iterable[str]) -> Seen:
    """What a trigger says; status and times follow from all events of its key (rules.alerts)."""
    notes = Notes()
    payload = document.get("payload") or {}
    given = payload.get("custom_details")
    details = given if isinstance(given, Mapping) else {} if given is None else {"details": given}
    plain = {name: value for name, value in details.items() if _is_label(value)}
    known = labels(
        {name: payload[name] for name in _OWN if payload.get(name) not in (None, "")}
        | {name: value for name, value in plain.items() if name not in _OWN},
        what="label", first=(*_OWN, *important), notes=notes,
    )  # fmt: skip
    rest = {name: value for name, value in details.items() if name not in plain}
    for name in ("client", "links", "images"):
        if document.get(name):
            rest.setdefault(name, document[name])
    rest = {name: value if isinstance(value, str) else _json(value) for name, value in rest.items()}
    if payload.get("severity") not in SEVERITIES:
        notes.add("its severity is none of critical, error, warning, info")
    moment(payload.get("timestamp"), what="timestamp", received_at=received_at, notes=notes)
    return Seen(
        fingerprint="",
        starts_at=None,
        ends_at=None,
        status=AlertStatus.FIRING,
        title=title((payload.get("summary"),), notes),
        labels=known,
        annotations=labels(rest, what="annotation", first=(), notes=notes),
        url=address(document.get("client_url"), what="client_url", notes=notes),
        notes=notes.all(),
    )


def read_change(document: Mapping[str, Any]) -> dict[str, str]:
    """`service`, `version`, `commit` and `summary` of a change event, each perhaps empty."""
    payload, notes = document.get("payload") or {}, Notes()
    given = payload.get("custom_details")
    details = given if isinstance(given, Mapping) else {}

    def text(value: Any, length: int) -> str:
        return "" if value is None else clean(value, length=length, one_line=True, what="", notes=notes)

    return {
        "service": text(details.get("service"), 60),
        "version": text(details.get("version"), 100),
        "commit": text(details.get("commit"), 64),
        "summary": text(payload.get("summary"), 300),
    }


def _without_summary(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is required to trigger"]
    summary = payload.get("summary")
    if isinstance(summary, str) and not is_blank(summary):
        return []
    return ["'payload.summary' is missing or blank"]


def _is_label(value: Any) -> bool:
    """Whether it is short enough to tell alerts apart by; what is not is told beside them."""
    if isinstance(value, str):
        return len(value) <= LABEL_LENGTH and "\n" not in value
    return isinstance(value, int | float)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[: VALUE_LENGTH * 2]
