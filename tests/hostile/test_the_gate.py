"""The gate by itself: what takes too long to try over a socket."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from core import gate, logs

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/",
    "query_string": b"",
    "headers": [(b"content-length", b"9")],
}


def ask(messages: list[dict[str, Any]], *headers: tuple[bytes, bytes]) -> tuple[list[Any], list[Any]]:
    """What the gate sent, and what it passed on; when no message is left, the sender dawdles for ever."""
    sent: list[Any] = []
    passed: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async def application(scope: Any, read: Any, _send: Any) -> None:
        passed.append((scope["headers"], await read()))

    scope = {**SCOPE, "headers": [*SCOPE["headers"], *headers]}
    asyncio.run(gate.Gate(application)(scope, receive, send))
    return sent, passed


def test_a_body_that_does_not_arrive_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.05)
    sent, passed = ask([{"type": "http.request", "body": b"half", "more_body": True}])
    assert (sent[0]["status"], passed) == (408, [])


def test_a_body_in_pieces_is_passed_on_whole() -> None:
    pieces = [{"type": "http.request", "body": b"123", "more_body": number < 2} for number in range(3)]
    sent, passed = ask(pieces)
    assert sent == []
    assert passed == [
        ([(b"content-length", b"9")], {"type": "http.request", "body": b"123123123", "more_body": False})
    ]


def test_a_sender_that_left_stores_nothing() -> None:
    sent, passed = ask(
        [{"type": "http.request", "body": b"1", "more_body": True}, {"type": "http.disconnect"}]
    )
    assert (sent[0]["status"], passed) == (400, [])


@pytest.mark.parametrize(("given", "taken"), [(b"proxy-0001", True), (b"no id\x1b[2J", False)])
def test_a_refusal_is_found_in_the_log_by_its_id(
    caplog: pytest.LogCaptureFixture, given: bytes, taken: bool
) -> None:
    caplog.handler.setFormatter(logs.formatter())
    with caplog.at_level(logging.INFO, "core.gate"):
        sent, _ = ask([{"type": "http.disconnect"}], (b"x-request-id", given))
    said = caplog.text.splitlines()
    request_id = dict(sent[0]["headers"])[b"x-request-id"].decode()
    assert (request_id == given.decode()) == taken
    assert json.loads(sent[1]["body"])["request_id"] == request_id
    assert len(said) == 1
    assert f"request_id={request_id}" in said[0]
