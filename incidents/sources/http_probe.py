"""Whether an address answers, how fast, how long its certificate is good: `{"type": "http_probe", "url": "https://…"}`.

`measure` is `latency` (milliseconds until the whole answer), `failure` (1 or 0: no answer, or a status of
400 and more, at two of three attempts) or `certificate` (days left; one that ended is no answer). Without it
the metric decides: `response_time` is latency, all else failure.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Mapping
from typing import Any

from core.http import NO_ANSWER, Failure, GuardedClient, failure_of, is_web_address
from incidents.facts import Question, Reading
from incidents.states import FailureKind, Metric, SampleOutcome

# Longer than the policy's worst response time, so that a target that slow is seen to be.
DEADLINE_SECONDS = 11.0
MAX_BYTES = 1_000_000
PAUSE_SECONDS = 0.5
MEASURES = ("latency", "failure", "certificate")
# These say something about Firebreak's own side, not about who should answer.
OWN_SIDE = (Failure.BLOCKED, Failure.UNRESOLVED)


def check(source: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with such a source, by field; empty when it is well formed."""
    unknown = set(source) - {"type", "url", "measure"}
    wrong = {f"source/{name[:60]}": "There is no such field." for name in sorted(unknown)}
    url, measure = source.get("url"), source.get("measure")
    if not is_web_address(url):
        wrong["source/url"] = "Must be an http or https address without credentials."
    if measure is not None and measure not in MEASURES:
        wrong["source/measure"] = f"Must be one of {', '.join(MEASURES)}."
    elif measure == "certificate" and not str(url).startswith("https://"):
        wrong["source/measure"] = "Only an https address has a certificate."
    return wrong


async def read(client: GuardedClient, asked: Question) -> Reading:
    """One GET, a failed one is repeated. A redirect is an answer and is not followed."""
    measure = asked.source.get("measure")
    if measure is None:
        measure = "latency" if asked.metric == Metric.RESPONSE_TIME else "failure"
    if measure != "failure":
        return await _once(client, asked.source["url"], measure)
    # One lost packet is no outage, and one failure of one is 100 %: two of three attempts decide.
    readings: list[Reading] = []
    while True:
        readings.append(await _once(client, asked.source["url"], measure))
        failed = sum(one.value != 0.0 for one in readings)
        if not failed or 2 in (failed, len(readings) - failed):
            return readings[-1]
        await asyncio.sleep(PAUSE_SECONDS)


async def _once(client: GuardedClient, url: str, measure: str) -> Reading:
    started = time.perf_counter()
    try:
        answer = await client.request(
            "GET", url, deadline_seconds=DEADLINE_SECONDS, max_bytes=MAX_BYTES, cut=True
        )
    except NO_ANSWER as error:
        failure = failure_of(error)
        if measure == "failure" and failure not in OWN_SIDE:
            return Reading.of(1.0)
        if measure == "latency" and failure is Failure.TIMED_OUT:
            return Reading.of(_milliseconds_since(started))  # it takes at least so long
        return Reading.failed(FailureKind(failure), f"{type(error).__name__}: {error}")
    if measure == "failure":
        return Reading.of(1.0 if answer.status >= 400 else 0.0)
    if measure == "latency":
        return Reading.of(_milliseconds_since(started))
    if answer.certificate_ends is None:
        return Reading(SampleOutcome.NO_DATA)
    return Reading.of((answer.certificate_ends - dt.datetime.now(dt.UTC)) / dt.timedelta(days=1))


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
