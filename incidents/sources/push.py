"""Measurements that are sent in: `{"type": "push"}`, then `POST /api/v1/monitors/{id}/samples/`.

A check of such a monitor only looks whether something came: nothing for two intervals is a failed check.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from core.http import GuardedClient
from incidents.facts import Question, Reading
from incidents.states import SampleOutcome

INTERVALS = 2


def check(source: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with such a source, by field; empty when it is well formed."""
    return {f"source/{name[:60]}": "There is no such field." for name in sorted(set(source) - {"type"})}


async def read(client: GuardedClient, asked: Question) -> Reading | None:
    """Nothing to note while the newest sample is recent."""
    patience = dt.timedelta(seconds=INTERVALS * asked.interval_seconds)
    if asked.since is None:
        return Reading(SampleOutcome.STALE, error="nothing was ever pushed")
    if dt.datetime.now(dt.UTC) - asked.since <= patience:
        return None
    return Reading(SampleOutcome.STALE, error=f"nothing was pushed since {asked.since:%Y-%m-%d %H:%M:%S} UTC")
