"""Saying which processes run rollbacks: of which queues, with which procedures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from django.conf import settings
from django.db import connection

from rollbacks import policy
from rollbacks.states import RunnerKind

_SAY = """
INSERT INTO rollbacks_runner (host, pid, kind, queues, digests, beat_at)
VALUES (%s, %s, %s, %s, %s, clock_timestamp())
ON CONFLICT (host, pid) DO UPDATE
   SET kind = EXCLUDED.kind, queues = EXCLUDED.queues, digests = EXCLUDED.digests, beat_at = EXCLUDED.beat_at
"""
_FORGET = """
DELETE FROM rollbacks_runner
 WHERE host = %s AND pid = %s OR beat_at < clock_timestamp() - interval '1 day'
"""


def report(kind: RunnerKind) -> None:
    """Say that this process claims rollbacks; called every ten seconds while it works."""
    if not settings.RUNNER_QUEUES:
        return
    digests = json.dumps(policy.digests())
    with connection.cursor() as cursor:
        cursor.execute(_SAY, [settings.HOST_NAME, os.getpid(), kind, list(settings.RUNNER_QUEUES), digests])


def report_watchdog() -> None:
    """The watchdog claims what no other process of its queues does."""
    report(RunnerKind.WATCHDOG)


def duty(kind: RunnerKind) -> Callable[[object], None]:
    """`report` as the duty of a sign of life (core.operation.vitals)."""
    return lambda _vitals: report(kind)


def leave() -> None:
    """This process ends in order; who ended without is forgotten after a day."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [settings.HOST_NAME, os.getpid()])
