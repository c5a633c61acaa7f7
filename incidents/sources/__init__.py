"""Where measurements come from: one module per kind, each the twin of its neighbour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from core.http import GuardedClient
from incidents.facts import Question, Reading
from incidents.sources import http_json, http_probe, prometheus, push


class Source(NamedTuple):
    """One kind of source.

    `check` says what is wrong with such a source, by field. `read` asks one question; None is nothing to
    note. Where `together` is given, `read_many` asks several questions with the same key at once.
    """

    check: Callable[[Mapping[str, Any]], Mapping[str, str]]
    read: Callable[[GuardedClient, Question], Awaitable[Reading | None]]
    together: Callable[[Question], str] | None = None
    read_many: Callable[[GuardedClient, Sequence[Question]], Awaitable[list[Reading]]] | None = None


SOURCES: Mapping[str, Source] = {
    "http_json": Source(http_json.check, http_json.read),
    "http_probe": Source(http_probe.check, http_probe.read),
    "prometheus": Source(prometheus.check, prometheus.read, prometheus.server, prometheus.read_many),
    "push": Source(push.check, push.read),
}
