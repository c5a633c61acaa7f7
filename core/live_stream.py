"""The live stream of open pages: one PostgreSQL listener per process, one bounded queue per reader."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import psycopg
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, connections
from django.http import parse_cookie

from core.live import CHANNEL, Position
from core.live_door import welcome

logger = logging.getLogger(__name__)

MAX_STREAMS = 1000
QUEUE_LENGTH = 200
HEARTBEAT_SECONDS = 15.0
LIFE_SECONDS = 900.0  # then the reader comes back
DOOR_SECONDS = 10.0  # how often the sessions of all readers are looked at again
MEMORY_LENGTH = 2000  # notifications that a reader who comes back is told of
MEMORY_SECONDS = 600.0
MOST_MISSED = 100  # more than that is fetched faster than told
MOST_SPREAD = 250

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(eq=False)
class _Reader:
    """One open stream. `since` is what its page has seen, until that was compared with what is remembered."""

    queue: asyncio.Queue[str | None]
    since: Position | None
    beat: asyncio.TimerHandle | None = None


@dataclass(frozen=True)
class _Heard:
    """A notification: the change (None from a process of the version before), its topics, when it came."""

    number: int
    change: int | None
    topics: tuple[str, ...]
    at: float


class Hub:
    """Listens to PostgreSQL while anybody reads, and hands every notification to every reader.

    It remembers the last minutes: who comes with a page of a while ago, or comes back after a break, is told
    what that page has not seen, and nothing where it has seen everything. Only where the memory does not
    reach so far is the reader told to fetch all ("resync").
    """

    def __init__(self) -> None:
        self.name = secrets.token_hex(4)
        self._readers: set[_Reader] = set()
        self._listener: asyncio.Task[None] | None = None
        self._left_at = 0.0  # when the last reader left
        self._heard: deque[_Heard] = deque()
        self._count = 0
        # Every change from this number on is in the memory; None while nobody listens.
        self._known_from: int | None = None

    @property
    def is_full(self) -> bool:
        return len(self._readers) >= MAX_STREAMS

    async def read(self, since: Position | None = None, last: str = "") -> AsyncIterator[str]:
        """Events as they come, an empty string every 15 s while none waits; ends when the reader is too slow.

        `since` is what the reader's page has seen, `last` the id of the last event it was given.
        """
        reader = _Reader(asyncio.Queue(QUEUE_LENGTH), since)
        self._readers.add(reader)
        if self._listener is None or self._listener.done():
            self._known_from = None
            self._listener = asyncio.create_task(self._listen())
        try:
            if self._known_from is not None:  # else the listener says it, once it listens
                self._catch_up(reader, last)
            self._arm(reader)
            # Waited for without a timeout: that would be a task and a timer more for each event and reader.
            while (event := await reader.queue.get()) is not None:
                yield event
        finally:
            if reader.beat is not None:
                reader.beat.cancel()
            self._readers.discard(reader)
            self._left_at = time.monotonic()

    def _arm(self, reader: _Reader) -> None:
        reader.beat = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._beat, reader)

    def _beat(self, reader: _Reader) -> None:
        if reader.queue.empty():
            reader.queue.put_nowait("")
        self._arm(reader)

    def _goes_on(self) -> bool:
        """A while longer than anybody reads: who opens the next page is told only what it missed."""
        return bool(self._readers) or time.monotonic() - self._left_at < MEMORY_SECONDS

    def _catch_up(self, reader: _Reader, last: str = "") -> None:
        """Tell the reader what happened between its page, or its last event, and now."""
        missed = self._missed(reader.since, last)
        reader.since = None
        for event in [self._resync()] if missed is None else map(self._event, missed):
            self._hand(reader, event)

    def _missed(self, since: Position | None, last: str) -> list[_Heard] | None:
        """None where the memory does not reach so far, or there is too much of it."""
        name, _, number = last.partition("-")
        if name == self.name and number.isdecimal() and len(number) < 16:
            first = self._count - len(self._heard)
            missed = None if int(number) < first else [one for one in self._heard if one.number > int(number)]
        elif since is None or self._known_from is None or since.xmin < self._known_from:
            missed = None
        else:
            missed = [one for one in self._heard if one.change is None or not since.sees(one.change)]
        return None if missed is None or len(missed) > MOST_MISSED else missed

    async def _listen(self) -> None:
        delay = 0.5
        while self._goes_on():
            try:
                async with await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True) as link:
                    await link.execute(f"LISTEN {CHANNEL}")
                    row = await (await link.execute("SELECT pg_current_snapshot()::text")).fetchone()
                    delay = 0.5
                    self._begin(Position.parse(row[0]) if row else None)
                    while self._goes_on():
                        async for notification in link.notifies(timeout=10):
                            self._hear(notification.payload)
                        await link.execute("SELECT 1")  # a half-open connection fails here
            except (psycopg.Error, OSError) as error:
                logger.warning("live stream waits for the database: %s", error)
                await asyncio.sleep(delay * random.uniform(0.7, 1.3))  # noqa: S311 - jitter, not a secret
                delay = min(delay * 2, 10)
            finally:
                self._known_from = None

    def _begin(self, listening: Position | None) -> None:
        """Everything that this snapshot does not see will be heard; what it sees may have been missed."""
        self._heard.clear()
        self._known_from = listening.xmax if listening else None
        for reader in tuple(self._readers):
            self._catch_up(reader)

    def _hear(self, payload: str) -> None:
        try:
            said = json.loads(payload)
            change, topics = said.get("change"), tuple(map(str, said["topics"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            logger.warning("live stream: a notification that nobody understands")
            change, topics = None, ("resync",)
        self._count += 1
        heard = _Heard(self._count, change if isinstance(change, int) else None, topics, time.monotonic())
        self._heard.append(heard)
        while len(self._heard) > MEMORY_LENGTH or self._heard[0].at < heard.at - MEMORY_SECONDS:
            forgotten = self._heard.popleft().change
            if forgotten is not None and self._known_from is not None:
                self._known_from = max(self._known_from, forgotten + 1)
        event = self._event(heard)
        for reader in tuple(self._readers):
            self._hand(reader, event)

    def _hand(self, reader: _Reader, event: str) -> None:
        if not reader.queue.full():
            reader.queue.put_nowait(event)
            return
        self._readers.discard(reader)  # too slow: end its stream; it comes back and fetches what it missed
        while not reader.queue.empty():
            reader.queue.get_nowait()
        reader.queue.put_nowait(None)

    def _event(self, heard: _Heard) -> str:
        said = {"topics": heard.topics, "change": heard.change, "spread": self._spread()}
        return f"id: {self.name}-{heard.number}\ndata: {json.dumps(said, separators=(',', ':'))}\n\n"

    def _resync(self) -> str:
        said = {"topics": ["resync"], "spread": self._spread()}
        return f"id: {self.name}-{self._count}\ndata: {json.dumps(said, separators=(',', ':'))}\n\n"

    def _spread(self) -> int:
        """Milliseconds over which so many readers are to come for the news, not all in one moment."""
        return min(MOST_SPREAD, len(self._readers) // 4)


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
            for over, key in self._readers.items():
                if key in asked - stay:
                    over.set()


hub = Hub()
doorkeeper = Doorkeeper()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of `/live/`: server-sent events for signed-in accounts."""
    if scope["method"] != "GET":
        await _answer(send, 405)
    elif hub.is_full:
        await _answer(send, 503, retry_after=10)
    elif not (key := session_key(scope)):
        await _answer(send, 401)
    else:
        try:
            allowed = await asyncio.to_thread(_welcome, {key})
        except DatabaseError:
            await _answer(send, 503, retry_after=5)
            return
        if not allowed:
            await _answer(send, 401)
            return
        with doorkeeper.watch(key) as over:
            await _stream(scope, receive, send, over)


async def _stream(scope: Scope, receive: Receive, send: Send, over: asyncio.Event) -> None:
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
    sending = asyncio.create_task(_send_events(scope, send))
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


async def _send_events(scope: Scope, send: Send) -> None:
    await _send_text(send, f"retry: {2000 + random.randrange(1000)}\n\n")  # noqa: S311 - spreads the reconnects
    since, last = _where(scope)
    async for event in hub.read(since, last):
        await _send_text(send, event or ": still here\n\n")


def _where(scope: Scope) -> tuple[Position | None, str]:
    """What the reader's page has seen, and the last event that the reader was given."""
    given = parse_qs(bytes(scope.get("query_string", b"")).decode("latin-1"), max_num_fields=None)
    last = next((value for name, value in scope["headers"] if name == b"last-event-id"), b"")
    return Position.parse(given.get("since", [""])[-1]), last.decode("latin-1")


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


def session_key(scope: Scope) -> str:
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
