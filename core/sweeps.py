"""Running the wiring's sweeps: by Celery on a hint or on time, by the watchdog when they are overdue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.db import close_old_connections
from django.utils.module_loading import import_string

from core import heartbeats, schema
from core.clock import utcnow
from core.logs import about

logger = logging.getLogger(__name__)

Sweep = Callable[..., int]

# How long each sweep's last run in this process took: written with the next run's heartbeat, so that
# a run costs one small write.
_took: dict[str, float] = {}


def run_sweep(name: str) -> int:
    """Do the due work of one sweep; returns how much there was. The heartbeat says that it works.

    On a schema older than this code it does nothing and says no heartbeat: the version before goes on.
    """
    close_old_connections()
    if not schema.is_current():
        logger.warning("the database is older than this code: %s waits for `manage.py migrate`", name)
        return 0
    heartbeats.beat(f"sweep:{name}", seconds=_took.get(name))
    for part in settings.SWEEP_PARTS.get(name, ()):
        heartbeats.beat(f"sweep:{name}:{part}")
    started = time.monotonic()
    try:
        with about(sweep=name):
            return sweep_function(name)(now=utcnow())
    finally:
        _took[name] = time.monotonic() - started


def sweep_function(name: str) -> Sweep:
    paths = {task: path for task, path, _seconds in settings.SWEEPS}
    function: Sweep = import_string(paths[name])
    return function
