"""One number of Prometheus: `{"type": "prometheus", "url": "http://prometheus:9090", "query": "…"}`.

An instant query (`/api/v1/query`) that gives a scalar or one series. No series, NaN and infinity are no data:
Prometheus says so when a target is down, while an error is said about the question or about itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from core.http import NO_ANSWER, Answer, GuardedClient, failure_of, is_web_address
from incidents.facts import Question, Reading
from incidents.states import FailureKind, SampleOutcome

DEADLINE_SECONDS = 10.0
# Prometheus gives up a little before we do, so that it is the one to say why.
PATIENCE_SECONDS = 8.0
MAX_BYTES = 1_000_000


def check(source: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with such a source, by field; empty when it is well formed."""
    unknown = set(source) - {"type", "url", "query"}
    wrong = {f"source/{name[:60]}": "There is no such field." for name in sorted(unknown)}
    url, query = source.get("url"), source.get("query")
    if not is_web_address(url) or "?" in str(url) or "#" in str(url):
        wrong["source/url"] = "Must be the address of Prometheus, such as http://prometheus:9090."
    if not isinstance(query, str) or not query.strip() or len(query) > 2000:
        wrong["source/query"] = "Must be a query that gives one number, such as sum(rate(errors_total[1m]))."
    return wrong


async def read(client: GuardedClient, asked: Question) -> Reading:
    """Ask the query as of now."""
    words = urlencode({"query": asked.source["query"], "timeout": f"{PATIENCE_SECONDS:g}s"})
    url = f"{asked.source['url'].rstrip('/')}/api/v1/query?{words}"
    try:
        answer = await client.request("GET", url, deadline_seconds=DEADLINE_SECONDS, max_bytes=MAX_BYTES)
    except NO_ANSWER as error:
        return Reading.failed(FailureKind(failure_of(error)), f"Prometheus: {type(error).__name__}: {error}")
    return _understand(answer)


def _understand(answer: Answer) -> Reading:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("status") not in ("success", "error"):
        kind = FailureKind.SOURCE_FAILED if answer.status >= 500 else FailureKind.BAD_ANSWER
        return Reading.failed(kind, f"Prometheus answered {answer.status}, and not as Prometheus does")
    if said["status"] == "error" or answer.status != 200:
        kind = FailureKind.REJECTED if 400 <= answer.status < 500 else FailureKind.SOURCE_FAILED
        return Reading.failed(kind, f"Prometheus: {said.get('errorType')}: {said.get('error')}")
    try:
        return _number(said["data"])
    except (KeyError, IndexError, TypeError, ValueError):
        return Reading.failed(FailureKind.BAD_ANSWER, "Prometheus' answer has no number")


def _number(data: Mapping[str, Any]) -> Reading:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return Reading.of(float(result[1]))
    if kind != "vector":
        return Reading.failed(FailureKind.REJECTED, f"the query gives a {kind}, not one number")
    if not result:
        return Reading(SampleOutcome.NO_DATA)
    if len(result) > 1:
        return Reading.failed(
            FailureKind.REJECTED, f"the query gives {len(result)} series: aggregate it, with sum() or max()"
        )
    return Reading.of(float(result[0]["value"][1]))
