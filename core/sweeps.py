"""Running the wiring's sweeps: by Celery on a hint or on time, by the watchdog when they are overdue."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import close_old_connections
from django.utils.module_loading import import_string

from core import heartbeats, schema
from core.clock import utcnow

logger = logging.getLogger(__name__)

Sweep = Callable[..., int]


def run_sweep(name: str) -> int:
    """Do the due work of one sweep; returns how much there was. The heartbeat says that it works.

    On a schema older than this code it does nothing and says no heartbeat: the version before goes on.
    """
    close_old_connections()
    if not schema.is_current():
        logger.warning("the database is older than this code: %s waits for `manage.py migrate`", name)
        return 0
    heartbeats.beat(f"sweep:{name}")
    heartbeats.beat("sweeps")
    handled = sweep_function(name)(now=utcnow())
    return handled


def sweep_function(name: str) -> Sweep:
    paths = {task: path for task, path, _seconds in settings.SWEEPS}
    function: Sweep = import_string(paths[name])
    return function
