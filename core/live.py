"""Telling open pages that something changed: PostgreSQL NOTIFY, delivered at commit or never."""

import json

from django.db import connection

CHANNEL = "firebreak_live"


def poke(*topics: str) -> None:
    """Say that what these topics name has changed. Ids only: every reader fetches with its own rights.

    Call it inside the transaction of the change. PostgreSQL drops duplicates within a transaction.
    """
    payload = json.dumps({"topics": sorted(set(topics))}, separators=(",", ":"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])
