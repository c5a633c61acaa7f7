"""The Celery application: one task per sweep of the wiring; a message is only a hint."""

from __future__ import annotations

import atexit
import os
from typing import Any

from celery import Celery, signals
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

RUNNER = "runner."  # what names of queues of rollbacks begin with

app = Celery("firebreak")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)


def _register_sweeps() -> None:
    from django.conf import settings

    for name, _function, _seconds in settings.SWEEPS:
        app.task(name=name, ignore_result=True)(_runner(name))


def _runner(name: str) -> Any:
    def run() -> None:
        from core.sweeps import run_sweep

        run_sweep(name)

    return run


@signals.setup_logging.connect
def _keep_our_logs(**_: Any) -> None:
    """Celery configures no logging of its own when somebody listens here: Django's stands."""


@signals.celeryd_after_setup.connect
def _serve_own_queues(instance: Any, **_: Any) -> None:
    """A worker of rollbacks (-Q runner.…) listens to the queues that RUNNER_QUEUES names, and to no other."""
    from django.conf import settings

    queues = instance.app.amqp.queues
    given = {name for name in queues.consume_from if name.startswith(RUNNER)}
    own = {f"{RUNNER}{name}" for name in settings.RUNNER_QUEUES}
    if given:
        for name in sorted(own - given):
            queues.select_add(name)
        queues.deselect(sorted(given - own))


@signals.worker_ready.connect
def _report_worker(sender: Any, **_: Any) -> None:
    """Signs of life of this worker, proved by the threads that run its tasks."""
    from core.operation import vitals
    from rollbacks.executor import presence
    from rollbacks.states import RunnerKind

    executor = getattr(sender.pool, "executor", None)
    prove = None if executor is None else lambda: executor.submit(int)
    runs_rollbacks = any(name.startswith(RUNNER) for name in sender.app.amqp.queues.consume_from)
    duty = presence.duty(RunnerKind.WORKER) if runs_rollbacks else None
    vitals.start(str(sender.hostname).split("@", 1)[0], prove=prove, duty=duty)


@signals.task_postrun.connect
def _note_work(**_: Any) -> None:
    from core.operation import vitals

    vitals.worked()


@signals.beat_init.connect
def _report_beat(**_: Any) -> None:
    """Signs of life of beat, proved by its ticks (core.operation.beat)."""
    from core.operation import vitals

    atexit.register(vitals.stop)
    vitals.start("beat")


@signals.worker_shutdown.connect
def _say_goodbye(**_: Any) -> None:
    from core.operation import vitals
    from rollbacks.executor import presence

    vitals.stop()
    presence.leave()


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
