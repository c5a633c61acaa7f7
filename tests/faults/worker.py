"""A worker that can be broken quickly: the real sweeps in a loop, with leases of seconds.

`python -m tests.faults.worker` does what a Celery worker of the runner's queue and beat do together:
`rollbacks.run_due` and `rollbacks.sweep_lost`, again and again, until TERM.
"""

from __future__ import annotations

import os
import threading
import time

import django


def main() -> None:
    django.setup()
    from django.db import Error, connection

    from core import shutdown
    from core.clock import utcnow
    from rollbacks.executor import lease, run_due
    from rollbacks.services import recovery

    if os.environ.get("FAULTS_REAL_LEASES") != "1":
        lease.LEASE_SECONDS, lease.RENEW_SECONDS, lease.MARGIN_SECONDS = 4, 1, 1
        recovery.ADOPTION_SECONDS = 4.0

    def look_for_lost() -> None:
        while not shutdown.wait(0.5):
            try:
                recovery.flag_lost_rollbacks(now=utcnow())
            except Error:
                connection.close()

    threading.Thread(target=look_for_lost, daemon=True).start()
    print("ready", flush=True)
    while not shutdown.requested():
        try:
            run_due(now=utcnow())
        except Error as error:
            print(f"the database is away: {error}", flush=True)
            connection.close()
        time.sleep(0.1)


if __name__ == "__main__":
    import signal

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from core import shutdown

    signal.signal(signal.SIGTERM, lambda *_: shutdown.request())
    main()
