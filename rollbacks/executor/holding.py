"""Making sure, inside a transaction, that this worker still holds the rollback it writes to."""

from __future__ import annotations

from core.actors import SYSTEM
from rollbacks.models import Rollback
from rollbacks.services.endings import lock_rollback
from rollbacks.transitions import StaleWorker


def hold(rollback_id: int, fence: int) -> Rollback:
    """The rollback, locked after its incident, if `fence` is still the latest; raises StaleWorker."""
    rollback = lock_rollback(rollback_id, SYSTEM)
    if rollback.fence != fence:
        raise StaleWorker("Another worker holds this rollback.", state=rollback.state)
    return rollback
