"""Telling open pages that something changed: PostgreSQL NOTIFY, delivered at commit or never.

Every open page hears every topic. So a topic that names an incident or a rollback goes as a digest that only
who may see the thing is given with its page: nobody hears the reference of what they may not see.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass

from django.db import connection
from django.utils.crypto import salted_hmac

CHANNEL = "firebreak_live"
# PostgreSQL refuses a payload of 8,000 bytes.
MOST_BYTES = 7_500

_SNAPSHOT = re.compile(r"(\d{1,19}):(\d{1,19}):((?:\d{1,19}(?:,\d{1,19}){0,999})?)", re.ASCII)


@dataclass(frozen=True)
class Position:
    """What a reading has seen of all changes: PostgreSQL's own snapshot, as `xmin:xmax:xip`.

    A change is known by the number of its transaction, which its notification carries. Numbers are given
    out in another order than changes are committed in, so that one number alone could not say it.
    """

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """None where the text is no snapshot."""
        found = _SNAPSHOT.fullmatch(text)
        if found is None:
            return None
        running = frozenset(int(number) for number in found[3].split(",") if number)
        return cls(int(found[1]), int(found[2]), running)

    def sees(self, change: int) -> bool:
        """Whether the reading was made after that transaction was committed."""
        return change < self.xmin or (change < self.xmax and change not in self.running)


def position() -> str:
    """What a reading that begins now will have seen at the least (one query); for Position.parse."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_snapshot()::text")
        return str(cursor.fetchone()[0])


# Kinds of topics whose names not everybody may read, and what a digest of one begins with.
SECRET_KINDS = ("incident", "rollback")
DIGEST = "~"


@functools.lru_cache(maxsize=10_000)
def spoken(topic: str) -> str:
    """The topic as it is sent and as pages listen for it; what is a digest already stays it."""
    kind, _colon, name = topic.partition(":")
    if kind not in SECRET_KINDS or not name or name.startswith(DIGEST):
        return topic
    return f"{kind}:{DIGEST}{salted_hmac('core.live', topic, algorithm='sha256').hexdigest()[:16]}"


def spoken_all(topics: str) -> str:
    """Of space-separated topics."""
    return " ".join(map(spoken, topics.split()))


def poke(*topics: str) -> None:
    """Say that what these topics name has changed. Ids only: every reader fetches with its own rights.

    Call it inside the transaction of the change. PostgreSQL drops duplicates within a transaction.
    """
    parts = [json.dumps(part, separators=(",", ":")) for part in _parts(sorted(set(map(spoken, topics))))]
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT pg_notify(%s, '{"change":' || pg_current_xact_id()::text || ',"topics":' || part || '}')
                 FROM unnest(%s::text[]) AS part""",
            [CHANNEL, parts],
        )


def _parts(topics: list[str]) -> list[list[str]]:
    """As few notifications as hold them: each takes a place in every reader's queue."""
    parts: list[list[str]] = [[]]
    size = 0
    for topic in topics:
        length = len(json.dumps(topic)) + 1
        if size + length > MOST_BYTES and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(topic)
        size += length
    return parts
