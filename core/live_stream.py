"""The live stream of open pages: one PostgreSQL listener per process, one bounded queue per reader."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import psycopg
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, connections
from django.http import parse_cookie

from core.live import CHANNEL
from core.live_door import welcome

logger = logging.getLogger(__name__)

MAX_STREAMS = 1000
QUEUE_LENGTH = 200
HEARTBEAT_SECONDS = 15.0
LIFE_SECONDS = 900.0  # then the reader comes back
DOOR_SECONDS = 10.0  # how often the sessions of all readers are looked at again
RESYNC = '{"topics":["resync"]}'

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Hub:
    """Listens to PostgreSQL while anybody reads, and hands every notification to every reader."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._listener: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return len(self._queues) >= MAX_STREAMS

    async def read(self) -> AsyncIterator[str]:
        """Payloads as they come, an empty string after 15 s of silence; ends when the reader is too slow."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_LENGTH)
        self._queues.add(queue)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        try:
            while True:
                try:
                    payload = await asyncio.wait_for(queue.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield ""
                    continue
                if payload is None:
                    return
                yield payload
        finally:
            self._queues.discard(queue)

    async def _listen(self) -> None:
        delay = 0.5
        while self._queues:
            try:
                async with await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True) as link:
                    await link.execute(f"LISTEN {CHANNEL}")
                    delay = 0.5
                    self._hand_out(RESYNC)  # something may have been missed while nobody listened
                    while self._queues:
                        async for notification in link.notifies(timeout=10):
                            self._hand_out(notification.payload)
                        await link.execute("SELECT 1")  # a half-open connection fails here
            except (psycopg.Error, OSError) as error:
                logger.warning("live stream waits for the database: %s", error)
                await asyncio.sleep(delay * random.uniform(0.7, 1.3))  # noqa: S311 - jitter, not a secret
                delay = min(delay * 2, 10)

    def _hand_out(self, payload: str) -> None:
        for queue in tuple(self._queues):
            if queue.full():  # too slow: end its stream; it comes back and fetches everything afresh
                self._queues.discard(queue)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(payload)


class Doorkeeper:
    """Looks at the sessions of all readers every 10 s and ends the streams of those that are over."""

    def __init__(self) -> None:
        self._readers: dict[asyncio.Event, str] = {}
        self._rounds: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def watch(self, session_key: str) -> Iterator[asyncio.Event]:
        """An event that is set when the session may not listen any more."""
        over = asyncio.Event()
        self._readers[over] = session_key
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._go_round())
        try:
            yield over
        finally:
            del self._readers[over]

    async def _go_round(self) -> None:
        while self._readers:
            await asyncio.sleep(DOOR_SECONDS)
            asked = set(self._readers.values())
            try:
                stay = await asyncio.to_thread(_welcome, asked)
            except DatabaseError as error:  # nobody can be told anything either
                logger.warning("live stream cannot look at its sessions: %s", error)
                continue
            except Exception:  # without its rounds no stream would ever end with its session
                logger.exception("live stream cannot look at its sessions")
                continue
            for over, session_key in self._readers.items():
                if session_key in asked - stay:
                    over.set()


hub = Hub()
doorkeeper = Doorkeeper()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of `/live/`: server-sent events for signed-in accounts."""
    if scope["method"] != "GET":
        await _answer(send, 405)
    elif hub.is_full:
        await _answer(send, 503, retry_after=10)
    elif not (session_key := _session_key(scope)):
        await _answer(send, 401)
    else:
        try:
            allowed = await asyncio.to_thread(_welcome, {session_key})
        except DatabaseError:
            await _answer(send, 503, retry_after=5)
            return
        if not allowed:
            await _answer(send, 401)
            return
        with doorkeeper.watch(session_key) as over:
            await _stream(receive, send, over)


async def _stream(receive: Receive, send: Send, over: asyncio.Event) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/event-stream"),
                (b"cache-control", b"no-cache, no-transform"),
                (b"x-accel-buffering", b"no"),
                (b"x-content-type-options", b"nosniff"),
            ],
        }
    )
    sending = asyncio.create_task(_send_events(send))
    leaving = asyncio.create_task(_left(receive))
    ending = asyncio.create_task(over.wait())
    try:
        await asyncio.wait(
            {sending, leaving, ending},
            timeout=LIFE_SECONDS * random.uniform(0.9, 1.1),  # noqa: S311 - spreads the reconnects
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        for task in (sending, leaving, ending):
            task.cancel()
        await asyncio.gather(sending, leaving, ending, return_exceptions=True)
    if not leaving.done() or leaving.cancelled():
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_events(send: Send) -> None:
    await _send_text(send, "retry: 2000\n\n")
    async for payload in hub.read():
        await _send_text(send, f"data: {payload}\n\n" if payload else ": still here\n\n")


async def _send_text(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, *, retry_after: int | None = None) -> None:
    headers = [(b"content-length", b"0")]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _welcome(session_keys: set[str]) -> set[str]:
    """`welcome` in a thread of its own, which leaves no connection behind."""
    try:
        return welcome(session_keys)
    finally:
        connections.close_all()


def _session_key(scope: Scope) -> str:
    """The session that the request's cookie names; empty when there is none."""
    given = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    key = parse_cookie(given.decode("latin-1")).get(settings.SESSION_COOKIE_NAME, "")
    return "" if "\0" in key else key


def _parameters() -> dict[str, Any]:
    known = {"dbname", "user", "password", "host", "port", "sslmode", "sslrootcert", "service"}
    known |= {"keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
    given = connection.get_connection_params()
    return {key: value for key, value in given.items() if key in known} | {
        "application_name": "firebreak live",
        "connect_timeout": 5,
    }
