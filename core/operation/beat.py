"""Celery's scheduler, telling of each tick: beat is alive while it ticks, not while it hangs on a broker."""

from typing import Any

from celery.beat import PersistentScheduler

from core.operation import vitals


class Scheduler(PersistentScheduler):
    """`beat --scheduler` of Firebreak (CELERY_BEAT_SCHEDULER)."""

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        vitals.progress()
        return super().tick(*args, **kwargs)
