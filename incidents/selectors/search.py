"""Finding incidents by words."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

_WORD = re.compile(r"[^\W_]+")
# The expression that the index `incidents_search` holds.
_FOUND = """
incidents_search_words(incidents_incident.ref, incidents_incident.title, incidents_incident.description,
                       incidents_incident.impact) @@ to_tsquery('pg_catalog.simple', %s)
"""


def search_incidents(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """The incidents in whose reference, title, description or impact every word of `text` begins one.

    `login` finds "LOGINS", `2026-11-24` finds that day's references; `ogin` finds nothing: the index
    knows words from their beginning. A text without letters or digits finds nothing.
    """
    words = _WORD.findall(text)
    if not words:
        return rows.none()
    asked = " & ".join(f"'{word}':*" for word in words)
    return rows.filter(RawSQL(_FOUND, [asked], output_field=BooleanField()))  # noqa: S611 - a constant
