"""A number inside a JSON document: `{"type": "http_json", "url": "http://…", "path": "stats.error_rate"}`.

`volume_path` may name how many requests the number is made of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.http import NO_ANSWER, GuardedClient, failure_of, is_web_address
from incidents.facts import Question, Reading
from incidents.states import FailureKind, SampleOutcome

DEADLINE_SECONDS = 4.0
MAX_BYTES = 1_000_000


def check(source: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with such a source, by field; empty when it is well formed."""
    unknown = set(source) - {"type", "url", "path", "volume_path"}
    wrong = {f"source/{name[:60]}": "There is no such field." for name in sorted(unknown)}
    if not is_web_address(source.get("url")):
        wrong["source/url"] = "Must be an http or https address without credentials."
    if not _is_path(source.get("path")):
        wrong["source/path"] = "Name the number, such as error_rate or stats.error_rate."
    if "volume_path" in source and not _is_path(source["volume_path"]):
        wrong["source/volume_path"] = "Name the number of requests, such as stats.requests."
    return wrong


async def read(client: GuardedClient, asked: Question) -> Reading:
    """Fetch the document and pick the number; null is no data, anything else is an error."""
    try:
        answer = await client.request(
            "GET", asked.source["url"], deadline_seconds=DEADLINE_SECONDS, max_bytes=MAX_BYTES
        )
    except NO_ANSWER as error:
        return Reading.failed(FailureKind(failure_of(error)), f"{type(error).__name__}: {error}")
    if answer.status != 200:
        return Reading.failed(FailureKind.BAD_ANSWER, f"answered {answer.status}")
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return _odd("the answer is not JSON")
    reading = _pick(document, asked.source["path"])
    if reading.outcome is SampleOutcome.OK and "volume_path" in asked.source:
        volume = _pick(document, asked.source["volume_path"])
        return volume if volume.kind else replace(reading, volume=volume.value)
    return reading


def _is_path(path: object) -> bool:
    return isinstance(path, str) and 0 < len(path) <= 200


def _pick(document: Any, path: str) -> Reading:
    for part in path.split("."):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return _odd(f"the document has no {path}")
    if document is None:
        return Reading(SampleOutcome.NO_DATA)
    if isinstance(document, bool) or not isinstance(document, int | float):
        return _odd(f"{path} is not a number")
    try:
        return Reading.of(float(document))
    except OverflowError:
        return _odd(f"{path} is out of range")


def _odd(text: str) -> Reading:
    return Reading.failed(FailureKind.BAD_ANSWER, text)
