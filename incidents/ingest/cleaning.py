"""Making what a sender wrote storable: cut, cleaned, and noted. Source: docs/hostile-input.md."""

from __future__ import annotations

import datetime as dt
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from core.http import is_web_address
from core.strict_json import is_storable
from core.texts import is_blank

LABELS = 64
NAME_LENGTH = 256
VALUE_LENGTH = 4_096
TITLE_LENGTH = 1_024
NOTES = 20
EARLIEST_YEAR = 2000
AHEAD = dt.timedelta(minutes=5)

_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,12}))?(?:([Zz])|([+-])(\d\d):?(\d\d))"
)
_ESCAPES = re.compile(r"\x1b(?:\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)|\[[0-?]{0,50}[ -/]{0,50}[@-~])")
_BREAKS = re.compile(r"[ \t]*[\t\n\v\f\r\x85\u2028\u2029]+[ \t]*")


class Notes:
    """What was not as it should be, each thing said once."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def add(self, text: str) -> None:
        if len(self._said) < NOTES:
            self._said[text] = None

    def all(self) -> tuple[str, ...]:
        return tuple(self._said)


def clean(value: Any, *, length: int, one_line: bool, what: str, notes: Notes) -> str:
    """A text of at most `length` characters that PostgreSQL, a terminal and a page can show."""
    text = value if isinstance(value, str) else _as_text(value)
    if not isinstance(value, str):
        notes.add(f"{what} was no text")
    if len(text) > length * 4:  # as long as that, what is left out may as well go unread
        notes.add(f"{what} was cut to {length:,} characters")
        text = text[: length * 4]
    if not is_storable(text):
        text = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
        notes.add(f"{what} held characters that cannot be stored")
    shown = _ESCAPES.sub("", text)
    shown = _BREAKS.sub(" ", shown) if one_line else shown.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in shown if c in "\n\t" or unicodedata.category(c) != "Cc").strip()
    if len(kept) > length:
        notes.add(f"{what} was cut to {length:,} characters")
        kept = cut(kept, length)
    return kept


def cut(text: str, length: int) -> str:
    """At most `length` characters, never in the middle of what a reader sees as one."""
    if len(text) <= length:
        return text
    end = length - 1
    while end > max(0, length - 40) and (_continues(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return text[:end] + "…"


def moment(value: Any, *, what: str, received_at: dt.datetime, notes: Notes) -> dt.datetime | None:
    """A time with its zone, from the year 2000 to five minutes from now; None for anything else.

    The zero time of Go (`0001-01-01T00:00:00Z`) means "not yet" and needs no note.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.startswith("0001-01-01T00:00:00"):
        return None
    found = _parse(value)
    if found is None or found.year < EARLIEST_YEAR or found > received_at + AHEAD:
        notes.add(f"{what} was no usable time")
        return None
    return found


def address(value: Any, *, what: str, notes: Notes) -> str:
    """An http or https address, or nothing."""
    if not value:
        return ""
    if is_web_address(value) and value.isprintable() and " " not in value:
        return str(value)
    notes.add(f"{what} was no web address")
    return ""


def labels(value: Any, *, what: str, first: Iterable[str], notes: Notes) -> dict[str, str]:
    """Names and texts; `first` are kept whatever comes when there are more than 64."""
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        notes.add(f"the {what}s were no object")
        return {}
    important = [name for name in first if name in value]
    ordered = [*important, *(name for name in value if name not in important)]
    if len(ordered) > LABELS:
        notes.add(f"{len(ordered) - LABELS:,} of the {what}s were left out")
    one_line = what == "label"
    found = {}
    for name in ordered[:LABELS]:
        key = clean(name, length=NAME_LENGTH, one_line=True, what=f"the name of a {what}", notes=notes)
        found[key] = clean(value[name], length=VALUE_LENGTH, one_line=one_line, what=f"a {what}", notes=notes)
    return found


def title(candidates: Iterable[Any], notes: Notes) -> str:
    """The first that a reader would see something of."""
    for candidate in candidates:
        if candidate is None or candidate == "":
            continue
        text = clean(candidate, length=TITLE_LENGTH, one_line=True, what="the title", notes=notes)
        if not is_blank(text):
            return text
    return "Alert without a title"


def _continues(character: str) -> bool:
    """Whether it belongs to the character before it: an accent, a joiner, a skin tone."""
    return (
        unicodedata.category(character)[0] == "M"
        or character == "\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | Mapping | list):
        return json.dumps(value)
    return str(value)


def _parse(value: Any) -> dt.datetime | None:
    parts = _MOMENT.fullmatch(value) if isinstance(value, str) and len(value) <= 64 else None
    if parts is None or not value.isascii():
        return None
    year, month, day, hour, minute, second = (int(part) for part in parts.groups()[:6])
    micro = int((parts[7] or "0")[:6].ljust(6, "0"))
    sign = -1 if parts[9] == "-" else 1
    try:
        zone = (
            dt.UTC
            if parts[8]
            else dt.timezone(sign * dt.timedelta(hours=int(parts[10]), minutes=int(parts[11])))
        )
        return dt.datetime(year, month, day, hour, minute, second, micro, tzinfo=zone).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
