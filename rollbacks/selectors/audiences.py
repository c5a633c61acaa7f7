"""Whom the panels of rollbacks tell something that nobody else is told."""

from __future__ import annotations

from rollbacks.models import Rollback


def named_in_rollbacks(people: set[int], refs: set[str]) -> set[tuple[int, str]]:
    """Account and incident of who asked for a live rollback, edited its plan or decided about it (one query):
    the rule of authority asks who they are.
    """
    live = Rollback.objects.live().filter(incident__ref__in=refs)
    columns = ("incident__ref", "requested_by_user", "edited_by_user", "approvals__user")
    return {
        (person, ref) for ref, *named in live.values_list(*columns) for person in named if person in people
    }
