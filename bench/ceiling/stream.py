"""The bare fan-out behind the same server: a stream for each reader, and an answer made beforehand.

`POST /change` tells every open stream; a GET answers with a body of the size of Firebreak's panels that names the
newest change.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

SIZE = int(os.environ.get("BENCH_BODY_BYTES", "40000"))


class _State:
    change = 0
    body = b""
    queues: set[asyncio.Queue[bytes]] = set()


def _turn(change: int) -> None:
    _State.change = change
    _State.body = b"Change %d " % change + b"x" * SIZE


_turn(0)


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/live/":
        await _stream(send)
        return
    if scope["method"] == "POST":
        _turn(_State.change + 1)
        event = b'data: {"topics":["x"],"change":%d,"spread":0}\n\n' % _State.change
        for queue in tuple(_State.queues):
            queue.put_nowait(event)
    length = str(len(_State.body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": _State.body})


async def _stream(send: Any) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
    )
    await send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    _State.queues.add(queue)
    try:
        while True:
            await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})
    finally:
        _State.queues.discard(queue)
