"""A request to an allow-listed host, with a key that is the same for every attempt, judged by its answer."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import httpx2
from pydantic import Field, field_validator, model_validator

from core.http import NO_ANSWER, Answer, Blocked, GuardedClient
from core.playbook.schema import Key, PositiveSeconds, Text
from rollbacks.facts import PLACEHOLDER, ActingStep, Command, Ending, Invocation, Report, StepResult, Work
from rollbacks.supervisor import recording

MAX_BYTES = 262_144
SHOWN_BYTES = 65_536
Scalar = str | int | float | bool | None
FORWARDED = (httpx2.ConnectError, httpx2.ConnectTimeout, Blocked)
"""Errors before the request left: it cannot have had an effect."""


class HttpStep(ActingStep):
    """Ask a deployment tool over HTTP. No redirects, and only hosts that automation.yaml lists."""

    kind: Literal["http"] = Field(description="A request.")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="POST", description="The request's method."
    )
    url: Text = Field(
        description="`http(s)://host/…`; placeholders stand after the host and are percent-encoded."
    )
    body: Mapping[str, Text] = Field(
        default_factory=dict, description="Sent as a JSON object; placeholders are filled into its texts."
    )
    token_variable: str | None = Field(
        default=None,
        pattern=r"^[A-Z][A-Z0-9_]{0,99}$",
        description="The environment variable of the worker that holds the bearer token.",
    )
    timeout: PositiveSeconds = Field(
        default=30.0, description="After this long without the whole answer the step has failed."
    )
    statuses: tuple[int, ...] = Field(
        default=(200, 201, 202, 204), min_length=1, description="Every other status is a failure."
    )
    expect: Mapping[str, Scalar] = Field(
        default_factory=dict,
        description="What the answer must say: a path into its JSON (`job.state`) and the value there.",
    )
    poll: Key | None = Field(
        default=None,
        description="After a 202: the field of its JSON with the address to ask until `done`; `location`"
        " also means the header of that name.",
    )
    poll_every: PositiveSeconds = Field(default=2.0, description="How often that address is asked.")
    poll_for: PositiveSeconds = Field(
        default=900.0, description="After this long without an end the step has failed."
    )
    done: Mapping[str, Scalar] = Field(
        default_factory=dict, description="What the polled answer says when the work is done."
    )
    failed: Mapping[str, Scalar] = Field(
        default_factory=dict, description="What the polled answer says when the work has failed."
    )

    @field_validator("url")
    @classmethod
    def _the_host_is_fixed(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("must be http(s)://host/…, without a user")
        if PLACEHOLDER.search(parts.scheme + parts.netloc):
            raise ValueError("the host cannot be a parameter")
        return url

    @model_validator(mode="after")
    def _polls_for_something(self) -> HttpStep:
        if self.poll and not self.done:
            raise ValueError("`poll` needs `done`: what the answer says at the end")
        return self

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def work(self, commands: Mapping[str, Command]) -> Work:
        texts = [word for pair in self.body.items() for word in pair]
        fields = ("token_variable", "statuses", "expect", "poll", "poll_every", "poll_for", "done", "failed")
        options = {name: getattr(self, name) for name in fields}
        return Work((self.method, self.url, *texts), self.timeout, encoded=(1,), options=options)


def run(invocation: Invocation, *, report: Report, should_stop: Callable[[], bool]) -> StepResult:
    """Ask once, or look once at what an earlier answer (202) pointed to.

    A request that may have arrived but was not answered has an UNKNOWN ending. The exit code is 0 when
    the answer is the expected one, else 1.
    """
    if invocation.memory:
        return _look(invocation)
    try:
        answer = asyncio.run(_ask(invocation))
    except FORWARDED as error:
        return StepResult(Ending.EXITED, 1, "", note=f"no connection: {error}"[:300])
    except httpx2.TimeoutException as error:
        return StepResult(Ending.UNKNOWN, None, "", note=f"no answer: {error}"[:300])
    except NO_ANSWER as error:
        return StepResult(Ending.UNKNOWN, None, "", note=f"{type(error).__name__}: {error}"[:300])
    wrong = _wrong_with(answer, invocation.options["statuses"], invocation.options["expect"])
    if wrong:
        return StepResult(Ending.EXITED, 1, _text(answer), note=wrong)
    if answer.status == 202 and invocation.options["poll"]:
        return _begin_to_look(invocation, answer)
    return StepResult(Ending.EXITED, 0, _text(answer))


async def _ask(invocation: Invocation) -> Answer:
    method, url, *texts = invocation.words
    body = dict(zip(texts[::2], texts[1::2], strict=True))
    content = json.dumps(body).encode() if body else None
    headers = _headers(invocation) | ({"content-type": "application/json"} if content else {})
    return await _request(method, url, invocation.timeout_seconds, headers, content)


async def _request(
    method: str, url: str, seconds: float, headers: Mapping[str, str], content: bytes | None = None
) -> Answer:
    async with GuardedClient(connections=1) as client:
        return await client.request(
            method, url, deadline_seconds=seconds, max_bytes=MAX_BYTES, headers=headers, content=content
        )


def _headers(invocation: Invocation) -> dict[str, str]:
    headers = {
        "accept": "application/json",
        "idempotency-key": invocation.key,
        "firebreak-rollback": invocation.environment["FIREBREAK_ROLLBACK"],
        "firebreak-fence": invocation.environment["FIREBREAK_FENCE"],
    }
    variable = invocation.options["token_variable"]
    if variable and os.environ.get(variable):
        headers["authorization"] = f"Bearer {os.environ[variable]}"
    return headers


def _begin_to_look(invocation: Invocation, answer: Answer) -> StepResult:
    said = _json(answer)
    field = invocation.options["poll"]
    found = dict(_paths(said)).get(field) or (answer.headers.get("location") if field == "location" else None)
    asked = invocation.words[1]
    url = urljoin(asked, str(found)) if found else ""
    if not url or urlsplit(url)[:2] != urlsplit(asked)[:2]:
        return StepResult(
            Ending.EXITED, 1, _text(answer), note="the answer names no address of the same host to ask"
        )
    memory = {"url": url, "until": time.time() + invocation.options["poll_for"]}
    return StepResult(
        Ending.LATER, None, _text(answer), later_seconds=invocation.options["poll_every"], memory=memory
    )


def _look(invocation: Invocation) -> StepResult:
    """Ask the address of an accepted request; whatever goes wrong is asked again until its time is over."""
    later = StepResult(
        Ending.LATER, None, "", later_seconds=invocation.options["poll_every"], memory=invocation.memory
    )
    if time.time() > invocation.memory["until"]:
        return StepResult(Ending.TIMED_OUT, None, "", note="it was accepted, but did not end in time")
    try:
        answer = asyncio.run(
            _request(
                "GET", invocation.memory["url"], min(invocation.timeout_seconds, 10), _headers(invocation)
            )
        )
    except NO_ANSWER:
        return later
    said = dict(_paths(_json(answer)))
    if invocation.options["failed"] and _says(said, invocation.options["failed"]):
        return StepResult(Ending.EXITED, 1, _text(answer), note="the accepted work has failed")
    if answer.status < 300 and _says(said, invocation.options["done"]):
        return StepResult(Ending.EXITED, 0, _text(answer))
    return later


def _wrong_with(answer: Answer, statuses: tuple[int, ...], expect: Mapping[str, Any]) -> str:
    if answer.status not in statuses:
        return f"answered {answer.status}"
    said = dict(_paths(_json(answer)))
    wrong = [path for path, value in expect.items() if path not in said or said[path] != value]
    return f"the answer does not say {wrong[0]} = {json.dumps(expect[wrong[0]])}" if wrong else ""


def _says(said: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(path in said and said[path] == value for path, value in wanted.items())


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _paths(said: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value inside of objects with its dotted path."""
    if not isinstance(said, dict) or depth > 8:
        return
    for name, value in said.items():
        path = f"{prefix}{name}"
        yield path, value
        yield from _paths(value, f"{path}.", depth + 1)


def _text(answer: Answer) -> str:
    return f"HTTP {answer.status}\n" + recording.clean(answer.body[:SHOWN_BYTES])
