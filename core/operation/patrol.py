"""The watchdog's rounds beside its main job: each in a thread of its own, so that none waits for another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import httpx2
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection, connections

from core import heartbeats, shutdown

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
ANSWER_WITHIN_SECONDS = 3.0


def go_round(name: str, seconds: float, duty: Callable[[], object]) -> threading.Thread:
    """Do `duty` every so many seconds until the process is asked to stop."""
    thread = threading.Thread(target=_go_round, args=(name, seconds, duty), name=name, daemon=True)
    thread.start()
    return thread


def ask_web() -> bool:
    """Ask this host's web process over HTTP whether it answers; note the asking and the answer.

    Its own sign of life says that its threads are free; this one that they can be reached.
    """
    if not settings.WEB_PROBE_URL:
        return True
    try:
        with httpx2.Client(trust_env=False, timeout=ANSWER_WITHIN_SECONDS) as client:
            answer = client.get(settings.WEB_PROBE_URL)
        why = "" if answer.is_success else f"it answers {answer.status_code}"
    except httpx2.HTTPError as error:
        why = f"{type(error).__name__}: {error}"
    heartbeats.beat("web.asked", note=why)
    if why:
        logger.warning("web does not answer: %s", why)
        return False
    heartbeats.beat("web.answered")
    return True


def _go_round(name: str, seconds: float, duty: Callable[[], object]) -> None:
    try:
        while not shutdown.wait(seconds):
            try:
                close_old_connections()
                duty()
            except DatabaseError as error:
                logger.warning("%s: the database is away: %s", name, error)
                connection.close()
            except Exception:
                logger.exception("%s failed", name)
    finally:
        connections.close_all()
