"""Rollbacks one by one, with what each needs to be shown on its own."""

from __future__ import annotations

from django.db.models import Prefetch, QuerySet

from core.actors import Actor
from core.errors import NotFound
from rollbacks.models import Approval, Rollback


def rollback_records(actor: Actor) -> QuerySet[Rollback]:
    """The rollbacks that the actor may see, with steps and approvals (3 queries)."""
    approvals = Approval.objects.select_related("user")
    rows = Rollback.objects.visible_to(actor).select_related("incident", "service", "parent")
    return rows.prefetch_related("steps", Prefetch("approvals", queryset=approvals))


def get_rollback(ref: str, actor: Actor) -> Rollback:
    """The rollback of that reference; raises NotFound also where the actor may not see it."""
    rollback = Rollback.objects.visible_to(actor).filter(ref=ref).first()
    if rollback is None:
        raise NotFound(f"There is no rollback {ref[:80]}.")
    return rollback
