"""The Celery application: one task per sweep of the wiring; a message is only a hint."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("firebreak")
app.config_from_object("django.conf:settings", namespace="CELERY")


def _register_sweeps() -> None:
    from django.conf import settings

    for name, _function, _seconds in settings.SWEEPS:
        app.task(name=name, ignore_result=True)(_runner(name))


def _runner(name: str) -> Any:
    def run() -> None:
        from core.sweeps import run_sweep

        run_sweep(name)

    return run


@signals.worker_shutting_down.connect
def _stop_between_steps(**_: Any) -> None:
    """A warm stop: long work ends at its next step, not at its last."""
    from core import shutdown

    shutdown.request()


@signals.worker_process_init.connect
@signals.worker_init.connect
def _check_playbook(**_: Any) -> None:
    """A worker with a wrong playbook does not start."""
    from core.playbook import get_playbook

    get_playbook()


_register_sweeps()
