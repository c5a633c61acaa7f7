"""`python -m bench.declaring [URL]`: declare an incident for each line on standard input, `P1 title`, by the service.

Answers with a line: its reference, and when its transaction had committed. A webhook at URL is made before.
"""

from __future__ import annotations

import sys
import time

import django
from django.db import transaction


def main() -> None:
    django.setup()

    from comms.services.webhooks import create_webhook
    from core.actors import COMMAND_LINE
    from core.clock import utcnow
    from incidents.services.incidents import declare_incident

    def declare(severity: str, title: str) -> tuple[str, float]:
        committed: list[float] = []
        with transaction.atomic():
            transaction.on_commit(lambda: committed.append(time.time()))  # first: before any worker is woken
            incident = declare_incident(actor=COMMAND_LINE, now=utcnow(), title=title, severity=severity)
        return incident.ref, committed[0]

    for url in sys.argv[1:]:
        create_webhook(url=url, kinds=["incident.declared"], actor=COMMAND_LINE, now=utcnow())
    for line in sys.stdin:
        severity, _, title = line.strip().partition(" ")
        ref, at = declare(severity, title)
        sys.stdout.write(f"{ref} {at:.6f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
