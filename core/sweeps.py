"""Running the wiring's sweeps: by Celery on a hint or on time, by the watchdog when they are overdue."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db import close_old_connections
from django.utils.module_loading import import_string

from core import heartbeats
from core.clock import utcnow

Sweep = Callable[..., int]


def run_sweep(name: str) -> int:
    """Do the due work of one sweep; returns how much there was. The heartbeat says that it works."""
    close_old_connections()
    heartbeats.beat(f"sweep:{name}")
    heartbeats.beat("sweeps")
    handled = sweep_function(name)(now=utcnow())
    return handled


def sweep_function(name: str) -> Sweep:
    paths = {task: path for task, path, _seconds in settings.SWEEPS}
    function: Sweep = import_string(paths[name])
    return function
