"""Who watches the watcher: an address outside that is asked only while Firebreak works.

Whoever listens there (a dead man's switch such as Healthchecks) raises the alarm when it falls silent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx2
from django.conf import settings

from core import heartbeats
from core.http import GuardedClient
from core.operation.facts import Trouble
from core.operation.gather import list_troubles

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 10.0
TOLD, SILENT = "outside.told", "outside.silent"


def tell() -> bool:
    """Ask HEARTBEAT_URL, unless something is wrong; note what was done and why. Returns whether told."""
    if not settings.HEARTBEAT_URL:
        return False
    reason = why_silent(list_troubles()) or asyncio.run(_ask())
    if reason:
        heartbeats.beat(SILENT, note=reason)
        logger.warning("the outside heartbeat is silent: %s", reason)
        return False
    heartbeats.beat(TOLD, note=urlsplit(settings.HEARTBEAT_URL).hostname or "")
    return True


def why_silent(troubles: Sequence[Trouble]) -> str:
    """Why the outside must not be told that all is well; empty when it may."""
    return "; ".join(trouble.text for trouble in troubles if trouble.silences)


async def _ask() -> str:
    """Why asking failed; empty when it was heard. Never the address: its path is a secret."""
    try:
        async with GuardedClient() as client:
            answer = await client.request(
                "GET", settings.HEARTBEAT_URL, deadline_seconds=DEADLINE_SECONDS, max_bytes=100_000
            )
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        return f"HEARTBEAT_URL cannot be reached ({type(error).__name__})"
    return "" if 200 <= answer.status < 300 else f"HEARTBEAT_URL answers {answer.status}"
