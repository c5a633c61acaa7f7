"""One number of Prometheus: `{"type": "prometheus", "url": "http://prometheus:9090", "query": "…"}`.

An instant query (`/api/v1/query`) that gives a scalar or one series. No series, NaN and infinity are no data:
Prometheus says so when a target is down, while an error is said about the question or about itself.
`volume_query` may say of how many requests the number is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from core.http import NO_ANSWER, Answer, GuardedClient, failure_of, is_web_address
from incidents.facts import Question, Reading
from incidents.states import FailureKind, SampleOutcome

DEADLINE_SECONDS = 10.0
# Prometheus gives up a little before we do, so that it is the one to say why.
PATIENCE_SECONDS = 8.0
MAX_BYTES = 1_000_000
# So many queries are joined into one request; a server that parses 2,000 characters each is quick with it.
JOINED = 50
ONE_BY_ONE = 8
MARK = "firebreak_query"
# What an answer of another shape raises where it is read.
NO_NUMBER = (KeyError, IndexError, TypeError, ValueError, OverflowError)


def check(source: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with such a source, by field; empty when it is well formed."""
    unknown = set(source) - {"type", "url", "query", "volume_query"}
    wrong = {f"source/{name[:60]}": "There is no such field." for name in sorted(unknown)}
    url, query = source.get("url"), source.get("query")
    if not is_web_address(url) or "?" in str(url) or "#" in str(url):
        wrong["source/url"] = "Must be the address of Prometheus, such as http://prometheus:9090."
    if not _is_query(query):
        wrong["source/query"] = "Must be a query that gives one number, such as sum(rate(errors_total[1m]))."
    if "volume_query" in source and not _is_query(source["volume_query"]):
        wrong["source/volume_query"] = "Must be a query, such as sum(increase(requests_total[1m]))."
    return wrong


def _is_query(query: object) -> bool:
    return isinstance(query, str) and bool(query.strip()) and len(query) <= 2000


def server(asked: Question) -> str:
    """Questions to one server are asked together."""
    return str(asked.source["url"]).rstrip("/")


async def read(client: GuardedClient, asked: Question) -> Reading:
    """Ask the query as of now, and how many requests its number is made of."""
    reading = await _ask(client, server(asked), asked.source["query"])
    volume_query = asked.source.get("volume_query")
    if reading.outcome is not SampleOutcome.OK or volume_query is None:
        return reading
    volume = await _ask(client, server(asked), volume_query)
    return volume if volume.kind else replace(reading, volume=volume.value or 0.0)


async def read_many(client: GuardedClient, questions: Sequence[Question]) -> list[Reading]:
    """Ask one server many queries in few requests, a query that several monitors have only once.

    PromQL joins them by `or`, each answer marked with its query's number. One query that the server
    refuses, or takes too long for, spoils all of them: they are asked one by one then, so that only its
    own monitor suffers. A server that hangs is waited for twice DEADLINE_SECONDS, however many queries.
    """
    url = server(questions[0])
    distinct = list(dict.fromkeys(query for asked in questions for query in _queries(asked)))
    parts = [distinct[begin : begin + JOINED] for begin in range(0, len(distinct), JOINED)]
    limit = asyncio.Semaphore(ONE_BY_ONE)
    found: dict[str, Reading] = {}
    for answers in await asyncio.gather(*(_ask_joined(client, url, part, limit) for part in parts)):
        found |= answers
    return [_put_together(asked, found) for asked in questions]


def _queries(asked: Question) -> list[str]:
    return [asked.source[name] for name in ("query", "volume_query") if name in asked.source]


def _put_together(asked: Question, found: Mapping[str, Reading]) -> Reading:
    reading = found[asked.source["query"]]
    if reading.outcome is not SampleOutcome.OK or "volume_query" not in asked.source:
        return reading
    volume = found[asked.source["volume_query"]]
    return volume if volume.kind else replace(reading, volume=volume.value or 0.0)


async def _ask_joined(
    client: GuardedClient, url: str, queries: Sequence[str], limit: asyncio.Semaphore
) -> dict[str, Reading]:
    if len(queries) > 1:
        # On lines of their own: a comment at a query's end must not swallow what follows.
        marked = (f'label_replace(\n{query}\n, "{MARK}", "{n}", "", "")' for n, query in enumerate(queries))
        answer = await _post(client, url, " or ".join(marked))
        answers = None if isinstance(answer, Reading) else _told_apart(answer, len(queries))
        if answers is not None:
            return dict(zip(queries, answers, strict=True))
        if isinstance(answer, Reading) and answer.kind not in (FailureKind.REJECTED, FailureKind.TIMED_OUT):
            return dict.fromkeys(queries, answer)
    return await _ask_one_by_one(client, url, queries, limit)


async def _ask_one_by_one(
    client: GuardedClient, url: str, queries: Sequence[str], limit: asyncio.Semaphore
) -> dict[str, Reading]:
    late = Reading.failed(FailureKind.TIMED_OUT, f"Prometheus: no answer within {DEADLINE_SECONDS:g} s")
    found = dict.fromkeys(queries, late)

    async def one(query: str) -> None:
        async with limit:
            found[query] = await _ask(client, url, query)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(*map(one, queries))
    return found


async def _ask(client: GuardedClient, url: str, query: str) -> Reading:
    answer = await _post(client, url, query)
    if isinstance(answer, Reading):
        return answer
    try:
        return _number(answer)
    except NO_NUMBER:
        return Reading.failed(FailureKind.BAD_ANSWER, "Prometheus' answer has no number")


async def _post(client: GuardedClient, url: str, query: str) -> Mapping[str, Any] | Reading:
    """The `data` of the answer, or why there is none."""
    form = urlencode({"query": query, "timeout": f"{PATIENCE_SECONDS:g}s"}).encode()
    try:
        answer = await client.request(
            "POST",
            f"{url}/api/v1/query",
            deadline_seconds=DEADLINE_SECONDS,
            max_bytes=MAX_BYTES,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            content=form,
        )
    except NO_ANSWER as error:
        return Reading.failed(FailureKind(failure_of(error)), f"Prometheus: {type(error).__name__}: {error}")
    return _understand(answer)


def _told_apart(data: Mapping[str, Any], count: int) -> list[Reading] | None:
    """The joined answer's series by their marks; None when it is not what was asked for."""
    series: list[list[Any]] = [[] for _number in range(count)]
    try:
        for one in data["result"]:
            series[int(one["metric"][MARK])].append(one)
    except NO_NUMBER:
        return None
    readings = []
    for mine in series:
        try:
            readings.append(_number({"resultType": "vector", "result": mine}))
        except NO_NUMBER:
            readings.append(Reading.failed(FailureKind.BAD_ANSWER, "Prometheus' answer has no number"))
    return readings


def _understand(answer: Answer) -> Mapping[str, Any] | Reading:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("status") not in ("success", "error"):
        kind = FailureKind.SOURCE_FAILED if answer.status >= 500 else FailureKind.BAD_ANSWER
        return Reading.failed(kind, f"Prometheus answered {answer.status}, and not as Prometheus does")
    if said["status"] == "error" or answer.status != 200:
        if said.get("errorType") == "timeout":
            kind = FailureKind.TIMED_OUT
        else:
            kind = FailureKind.REJECTED if 400 <= answer.status < 500 else FailureKind.SOURCE_FAILED
        return Reading.failed(kind, f"Prometheus: {said.get('errorType')}: {said.get('error')}")
    data = said.get("data")
    if not isinstance(data, dict):
        return Reading.failed(FailureKind.BAD_ANSWER, "Prometheus' answer has no number")
    return data


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
