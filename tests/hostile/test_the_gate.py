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


UPLOAD = "/api/v1/incidents/INC-2026-11-20-0001/evidence/"
FORM = (b"content-type", b"Multipart/Form-Data; boundary=b")
SIGNED = (b"cookie", b"sessionid=x")


def upload(
    application: Any,
    *pieces: bytes,
    headers: tuple[tuple[bytes, bytes], ...] = (FORM, SIGNED),
    path: str = UPLOAD,
) -> tuple[list[Any], gate.Gate]:
    """What a gate before `application` answers to a chunked body, or to one of the announced length."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    wall = gate.Gate(application)

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {**SCOPE, "path": path, "headers": [(b"transfer-encoding", b"chunked"), *headers]}
    asyncio.run(wall(scope, receive, send))
    return sent, wall


def statuses(sent: list[Any]) -> list[int]:
    return [message["status"] for message in sent if message["type"] == "http.response.start"]


def test_a_large_form_passes_at_its_address_and_is_counted_until_its_answer() -> None:
    seen: list[tuple[int, int]] = []

    async def application(_scope: Any, read: Any, _send: Any) -> None:
        seen.append((len((await read())["body"]), wall.uploads))

    wall = gate.Gate(application)
    body = [{"type": "http.request", "body": b"x" * 3_000_000, "more_body": False}]

    async def receive() -> Any:
        return body.pop()

    async def send(message: Any) -> None:
        raise AssertionError(message)

    headers = [(b"content-length", b"3000000"), FORM, SIGNED]
    asyncio.run(wall({**SCOPE, "path": UPLOAD, "headers": headers}, receive, send))
    assert (seen, wall.uploads) == ([(3_000_000, 1)], 0)


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ((FORM, SIGNED), UPLOAD.replace("evidence", "timeline"), 413),  # another address
        ((FORM, SIGNED), f"{UPLOAD}1/", 413),
        ((FORM, SIGNED), f"/x{UPLOAD}", 413),
        (((b"content-type", b"application/json"), SIGNED), UPLOAD, 413),  # no form
        ((SIGNED,), UPLOAD, 413),
        ((FORM,), UPLOAD, 401),  # nobody
    ],
)
def test_more_than_the_ordinary_limit_passes_nowhere_else(
    headers: tuple[tuple[bytes, bytes], ...], path: str, status: int
) -> None:
    async def application(*_arguments: Any) -> None:
        raise AssertionError("it passed")

    sent, _ = upload(application, b"x" * 600_000, b"x" * 600_000, headers=headers, path=path)
    assert statuses(sent) == [status]


def test_a_form_has_an_end_too_and_its_place_is_free_again() -> None:
    async def application(*_arguments: Any) -> None:
        raise AssertionError("it passed")

    sent, wall = upload(application, *[b"x" * 1_000_000] * 12)
    assert (statuses(sent), wall.uploads) == ([413], 0)


def test_a_form_that_dawdles_is_408_and_its_place_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "UPLOAD_SECONDS", 0.05)
    wall = gate.Gate(None)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {**SCOPE, "path": UPLOAD, "headers": [(b"content-length", b"3000000"), FORM, SIGNED]}
    asyncio.run(wall(scope, receive, send))
    assert (statuses(sent), wall.uploads) == ([408], 0)


def test_while_as_many_large_forms_arrive_as_may_the_next_comes_later(settings: Any) -> None:
    settings.UPLOADS_AT_ONCE = 0

    async def application(*_arguments: Any) -> None:
        raise AssertionError("it passed")

    sent, _ = upload(application, b"x")
    assert statuses(sent) == [503]
    assert (b"retry-after", b"5") in sent[0]["headers"]


def test_a_small_form_needs_no_place_and_no_session_here(settings: Any) -> None:
    settings.UPLOADS_AT_ONCE = 0
    passed: list[int] = []

    async def application(_scope: Any, read: Any, _send: Any) -> None:
        passed.append(len((await read())["body"]))

    body = [{"type": "http.request", "body": b"x" * 9, "more_body": False}]

    async def receive() -> Any:
        return body.pop()

    async def send(message: Any) -> None:
        raise AssertionError(message)

    headers = [(b"content-length", b"9"), FORM]
    asyncio.run(gate.Gate(application)({**SCOPE, "path": UPLOAD, "headers": headers}, receive, send))
    assert passed == [9]


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
