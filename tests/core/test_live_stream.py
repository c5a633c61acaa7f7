"""An open stream ends soon after its session does, and no other stream with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.db import InterfaceError

from core import live_stream


class Reader:
    """One open stream: what an ASGI server does for it."""

    def __init__(self, key: str) -> None:
        self.scope = {
            "type": "http",
            "method": "GET",
            "headers": [(b"cookie", f"a=b; sessionid={key}".encode())],
        }
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    def open(self) -> asyncio.Task[None]:
        return asyncio.create_task(live_stream.application(self.scope, self.receive, self.send))


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The sessions that are good; the door looks every 50 ms."""
    good = {"ida", "rob"}

    async def silence(_hub: Any, *_asked: Any) -> AsyncIterator[str]:
        while True:
            await asyncio.sleep(3600)
            yield ""

    monkeypatch.setattr(live_stream, "DOOR_SECONDS", 0.05)
    monkeypatch.setattr(live_stream, "_welcome", lambda keys: keys & good)
    monkeypatch.setattr(live_stream.Hub, "read", silence)
    monkeypatch.setattr(live_stream, "doorkeeper", live_stream.Doorkeeper())
    return good


def test_a_stream_ends_with_its_session(sessions: set[str]) -> None:
    async def story() -> None:
        ida, rob, late = Reader("ida"), Reader("rob"), Reader("ida")
        streams = ida.open(), rob.open()
        await asyncio.sleep(0.2)
        assert not any(stream.done() for stream in streams)
        sessions.discard("ida")
        await asyncio.wait_for(streams[0], 5)
        assert (ida.status, ida.sent[-1]) == (
            200,
            {"type": "http.response.body", "body": b"", "more_body": False},
        )
        await asyncio.wait_for(late.open(), 5)
        assert late.status == 401
        assert not streams[1].done()
        streams[1].cancel()
        await asyncio.gather(*streams, return_exceptions=True)

    asyncio.run(story())


@pytest.mark.parametrize("failure", [InterfaceError("closed"), RuntimeError("nobody thought of it")])
def test_a_round_that_fails_is_not_the_last(
    sessions: set[str], monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    failures = [failure]

    def look(keys: set[str]) -> set[str]:
        if "ida" not in sessions and failures:
            raise failures.pop()
        return keys & sessions

    async def story() -> None:
        stream = Reader("ida").open()
        await asyncio.sleep(0.1)
        sessions.discard("ida")
        await asyncio.wait_for(stream, 5)

    monkeypatch.setattr(live_stream, "_welcome", look)
    asyncio.run(story())
    assert not failures


@pytest.mark.parametrize("cookie", [b"", b"sessionid=", b"sessionid=\xff\x00;;=", b"other=1"])
def test_without_a_session_there_is_none(sessions: set[str], cookie: bytes) -> None:
    async def story() -> None:
        reader = Reader("")
        reader.scope["headers"] = [(b"cookie", cookie)]
        await asyncio.wait_for(reader.open(), 5)
        assert reader.status == 401

    asyncio.run(story())
