"""A worker that can be broken quickly: the real sweeps in threads, with leases of seconds.

`python -m tests.faults.worker` does what the Celery workers of the runner's and the messages' queues and
beat do together, until TERM. FAULTS_REAL_LEASES=1 keeps the times of production; FAULTS_SWEEPS names the
sweeps that it does, FAULTS_THREADS how many threads a lane of messages has, FAULTS_CLAIM_SECONDS how long
whoever sends a message has for it.
"""

from __future__ import annotations

import os
import signal
import threading

import django

SWEEPS = ("rollbacks.run_due", "rollbacks.sweep_lost", "core.sweep_outbox", "comms.sweep_deliveries")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from comms.deliveries import lanes
    from core import shutdown
    from rollbacks.executor import lease
    from rollbacks.services import recovery

    signal.signal(signal.SIGTERM, lambda *_: shutdown.request())
    if os.environ.get("FAULTS_REAL_LEASES") != "1":
        lease.LEASE_SECONDS, lease.RENEW_SECONDS, lease.MARGIN_SECONDS = 4, 1, 1
        lease.LEAVE_TO_OTHERS_SECONDS, recovery.ADOPTION_SECONDS = 1, 8.0
        lanes.CLAIM_SECONDS, lanes.SPREAD_SECONDS = int(os.environ.get("FAULTS_CLAIM_SECONDS", "8")), 2
    if number := os.environ.get("FAULTS_THREADS"):
        lanes._STAFF._threads = int(number)
    sweeps = os.environ.get("FAULTS_SWEEPS", "").split() or SWEEPS
    threads = [threading.Thread(target=_sweep, args=(name,), name=name) for name in sweeps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _sweep(name: str) -> None:
    from django.db import Error, connection

    from core import shutdown
    from core.sweeps import run_sweep

    while not shutdown.wait(0.1 if name == "rollbacks.run_due" else 0.5):
        try:
            run_sweep(name)
        except Error as error:
            print(f"{name}: the database is away: {error}", flush=True)
            connection.close()


if __name__ == "__main__":
    main()
