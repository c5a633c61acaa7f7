"""Where measurements come from: one module per kind, each the twin of its neighbour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.http import GuardedClient
from incidents.facts import Question, Reading
from incidents.sources import http_json, http_probe, prometheus

Read = Callable[[GuardedClient, Question], Awaitable[Reading]]
Check = Callable[[Mapping[str, Any]], Mapping[str, str]]

SOURCES: Mapping[str, tuple[Check, Read]] = {
    "http_json": (http_json.check, http_json.read),
    "http_probe": (http_probe.check, http_probe.read),
    "prometheus": (prometheus.check, prometheus.read),
}
