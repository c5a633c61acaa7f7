"""A number inside a JSON document: `{"type": "http_json", "url": "http://…", "path": "stats.error_rate"}`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from core.http import GuardedClient
from incidents.facts import Reading
from incidents.states import SampleOutcome

DEADLINE_SECONDS = 4.0
MAX_BYTES = 1_000_000


def check(source: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with such a source, by field; empty when it is well formed."""
    unknown = set(source) - {"type", "url", "path"}
    wrong = {f"source/{name[:60]}": "There is no such field." for name in sorted(unknown)}
    url, path = source.get("url"), source.get("path")
    if not isinstance(url, str) or len(url) > 2000 or not _is_http(url):
        wrong["source/url"] = "Must be an http or https address without credentials."
    if not isinstance(path, str) or not path or len(path) > 200:
        wrong["source/path"] = "Name the number, such as error_rate or stats.error_rate."
    return wrong


async def read(client: GuardedClient, source: Mapping[str, Any]) -> Reading:
    """Fetch the document and pick the number; null is no data, anything else is an error."""
    try:
        answer = await client.request(
            "GET", source["url"], deadline_seconds=DEADLINE_SECONDS, max_bytes=MAX_BYTES
        )
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        return _failed(f"{type(error).__name__}: {error}")
    if answer.status != 200:
        return _failed(f"answered {answer.status}")
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return _failed("the answer is not JSON")
    return _pick(document, source["path"])


def _pick(document: Any, path: str) -> Reading:
    for part in path.split("."):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return _failed(f"the document has no {path}")
    if document is None:
        return Reading(SampleOutcome.NO_DATA)
    if isinstance(document, bool) or not isinstance(document, int | float):
        return _failed(f"{path} is not a number")
    try:
        value = float(document)
    except OverflowError:
        return _failed(f"{path} is out of range")
    return Reading(SampleOutcome.OK, value) if math.isfinite(value) else Reading(SampleOutcome.NO_DATA)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and parts.port != 0
        )
    except ValueError:
        return False


def _failed(text: str) -> Reading:
    return Reading(SampleOutcome.ERROR, error=text[:300])
