"""What Firebreak says of its own work that is due."""

from __future__ import annotations

from core.operation.facts import WorkFacts
from core.operation.gather import list_due_work


def due_of(kind: str) -> WorkFacts:
    (found,) = (work for work in list_due_work() if work.key == kind)
    return found
