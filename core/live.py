"""Telling open pages that something changed: PostgreSQL NOTIFY, delivered at commit or never."""

import json

from django.db import connection

CHANNEL = "firebreak_live"
# PostgreSQL refuses a payload of 8,000 bytes.
MOST_BYTES = 7_500


def poke(*topics: str) -> None:
    """Say that what these topics name has changed. Ids only: every reader fetches with its own rights.

    Call it inside the transaction of the change. PostgreSQL drops duplicates within a transaction.
    """
    payloads = [json.dumps({"topics": part}, separators=(",", ":")) for part in _parts(sorted(set(topics)))]
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
