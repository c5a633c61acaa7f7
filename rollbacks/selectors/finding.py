"""What a search finds of this app: rollbacks."""

from __future__ import annotations

import re

from django.urls import reverse

from core.actors import Actor
from core.search import Hit
from rollbacks.models import Rollback
from rollbacks.states import RollbackState

# A reference as far as it is typed, and one of an incident that is whole.
_BEGUN = re.compile(r"RB(?:-[\d-]{0,20})?\Z", re.IGNORECASE)
_WHOLE = re.compile(r"INC-\d{4}-\d{2}-\d{2}-\d+\Z", re.IGNORECASE)
NEWEST = 200  # of those that begin alike; only these are asked whether the actor may see them


def find_rollbacks(actor: Actor, words: str, limit: int) -> tuple[Hit, ...]:
    """By their reference as far as it is typed, or by their incident's (one query)."""
    rows = Rollback.objects.visible_to(actor).select_related("service").order_by("-pk")
    if _WHOLE.match(words):
        rows = rows.filter(incident__ref=words.upper())
    elif _BEGUN.match(words):
        begun = Rollback.objects.filter(ref__startswith=words.upper()).order_by("-pk")
        rows = rows.filter(pk__in=begun.values("pk")[:NEWEST])
    else:
        return ()
    return tuple(_rollback(row) for row in rows[:limit])


def _rollback(row: Rollback) -> Hit:
    state = RollbackState(row.state)
    return Hit(
        kind="rollback",
        key=row.ref,
        label=f"{row.service.name}: {row.way}",
        detail=str(state.label) + (" · DRILL" if row.drill else ""),
        url=reverse("rollbacks:rollback", args=[row.ref]),
        icon="arrow-uturn-left",
        tone=state.value,
    )
