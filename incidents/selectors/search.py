"""Finding incidents and services by words, with the indexes that hold them."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from core.search import as_prefixes, has_words, words_of
from incidents.models import Incident

FEW = 500

# A reference, or its day: found by itself, its numbers are in too many words.
_REF = re.compile(r"\b(?:INC-)?(\d{4}-\d{2}-\d{2}(?:-\d*)?)(?![\w-])", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
# The expression that the index `incidents_search` holds; `services_search` holds that of `search_services`.
_FOUND = """
incidents_search_words(incidents_incident.ref, incidents_incident.title, incidents_incident.description,
                       incidents_incident.impact) @@ to_tsquery('pg_catalog.simple', %s)
"""


def search_incidents(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """The incidents in whose reference, title, description or impact every word of `text` begins one.

    `login` finds "LOGINS"; `ogin` finds nothing: the index knows words from their beginning.
    `INC-2026-11-24-0001` finds that incident, `2026-11-24` those of the day, by their references. A
    text without letters or digits finds nothing. Words cost a query here.
    """
    refs, words = _REF.findall(text), _WORD.findall(_REF.sub(" ", text))
    if not refs and not words:
        return rows.none()
    for ref in refs:
        rows = rows.filter(ref__startswith=f"INC-{ref}")
    if not words:
        return rows
    found = RawSQL(_FOUND, [as_prefixes(words)], output_field=BooleanField())  # noqa: S611 - a constant
    few = few_of(Incident.objects.filter(found))
    return rows.filter(found) if few is None else rows.filter(pk__in=few)


def few_of(found: QuerySet[Any]) -> list[int] | None:
    """The keys of what was found where it is few, read from the index of words; else None.

    What many have is met soon when the newest are looked at in their order. Where few have it, or nobody,
    the planner may do the same by a wrong guess, and then looks at every text there is.
    """
    few = list(found.order_by().values_list("pk", flat=True)[: FEW + 1])
    return few if len(few) <= FEW else None


def search_services(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """The services in whose slug, name or environment every word of `text` begins one; none without words."""
    words = words_of(text)
    if not words:
        return rows.none()
    return rows.filter(has_words("incidents_service_words", "slug", "name", "environment", words=words))
