"""Telling open pages that something changed: PostgreSQL NOTIFY, delivered at commit or never.

Every open page hears every topic. So a topic that names an incident or a rollback goes as a digest that only
who may see the thing is given with its page: nobody hears the reference of what they may not see.
"""

import functools
import json

from django.db import connection
from django.utils.crypto import salted_hmac

CHANNEL = "firebreak_live"
# PostgreSQL refuses a payload of 8,000 bytes.
MOST_BYTES = 7_500


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
    parts = _parts(sorted(set(map(spoken, topics))))
    payloads = [json.dumps({"topics": part}, separators=(",", ":")) for part in parts]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload", [CHANNEL, payloads]
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
