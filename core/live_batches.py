"""Requests for panels that come together are let in together, and answered from what was rendered already.

A change makes every page that shows it ask within the same tenth of a second. Whoever asks is looked at
for each request (session, account, level, what they may see), but for all that wait in one go, by a constant
number of queries; one of those who see the same goes on to Django, the others get what it rendered. What is
not in `core.live_panels` for exactly their audience is Django's to answer, as if this module were not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.urls import resolve

from core import logs, schema
from core.actors import Actor
from core.headers import bare_headers
from core.live_door import actors_of
from core.live_panels import Asked, answer, audiences, shared_panels
from core.live_stream import Receive, Scope, Send, session_key
from core.operation import requests

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 200
# From one look to the next: each costs as much for one who asks as for a hundred.
PACE_SECONDS = 0.04
# More of them side by side would only end later, all of them: they share one interpreter.
RENDERINGS_AT_ONCE = 3
TURN_SECONDS = 0.5
WAIT_SECONDS = 5.0  # for who renders the same; then everybody goes to Django alone

Onward = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class _Asker:
    audience: str
    user_id: int | None


@dataclass(frozen=True)
class _Waiting:
    session: str
    path: str
    asker: asyncio.Future[_Asker | None]


class PanelDoor:
    """Wraps the way to Django for `GET <page>?panels=…`."""

    def __init__(self, onward: Onward) -> None:
        self._onward = onward
        self._waiting: list[_Waiting] = []
        self._rounds: asyncio.Task[None] | None = None
        self._turns = asyncio.Semaphore(RENDERINGS_AT_ONCE)
        self._rendering: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._thread = ThreadPoolExecutor(1, "live-panels")  # keeps its database connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked, began = _asked(scope), time.perf_counter()
        session = session_key(scope) if asked else ""
        asker = await self._look_at(session, scope["path"]) if session else None
        if asked is None or asker is None:
            await self._onward(scope, receive, send)
            return
        key = (asked.page, asker.audience)
        for _try in range(3):
            found = shared_panels.find(asker.audience, asked)
            if found is not None:
                await _send(scope, send, answer(asked, found), asker.user_id, began)
                return
            if key not in self._rendering:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._rendering[key]), WAIT_SECONDS)
        await self._render(key, scope, receive, send)

    async def _render(self, key: tuple[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        """Go on to Django; those who see the same wait for it, unless they wait for another one already."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rendering.setdefault(key, done)
        try:
            async with self._turn():
                await self._onward(scope, receive, send)
        finally:
            if self._rendering.get(key) is done:
                del self._rendering[key]
            done.set_result(None)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Until it is this one's turn; who waited too long goes on without one."""
        try:
            await asyncio.wait_for(self._turns.acquire(), TURN_SECONDS)
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            self._turns.release()

    async def _look_at(self, session: str, path: str) -> _Asker | None:
        waiting = _Waiting(session, path, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._go_round())
        return await waiting.asker

    async def _go_round(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            began = loop.time()
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            try:
                found = await loop.run_in_executor(self._thread, _look, [(w.session, w.path) for w in batch])
            except Exception as error:  # Django finds the same trouble and says it properly
                if not isinstance(error, DatabaseError):
                    logger.exception("live panels cannot look at who asks")
                found = [None] * len(batch)
            for waiting, asker in zip(batch, found, strict=True):
                if not waiting.asker.done():  # else whoever asked has left
                    waiting.asker.set_result(asker)
            if len(self._waiting) < MOST_AT_ONCE:
                await asyncio.sleep(began + PACE_SECONDS - loop.time())


def _look(asked: Sequence[tuple[str, str]]) -> list[_Asker | None]:
    """Of each session who it is and the audience on that page, as everything stands at this moment."""
    close_old_connections()
    if not schema.is_current():
        return [None] * len(asked)
    actors = actors_of({session for session, _path in asked})
    known = [(actors[session], path) for session, path in asked if session in actors]
    decided = iter(audiences(known))
    return [_asker(actors[session], next(decided)) if session in actors else None for session, _path in asked]


def _asker(actor: Actor, audience: str | None) -> _Asker | None:
    return None if audience is None else _Asker(audience, actor.user_id)


def _asked(scope: Scope) -> Asked | None:
    query = bytes(scope["query_string"]).decode("latin-1")
    if scope["method"] != "GET" or "panels=" not in query or "%00" in query:
        return None
    return Asked.read(scope["path"], query)


async def _send(scope: Scope, send: Send, body: bytes, user_id: int | None, began: float) -> None:
    """Answer, log and count as Django would."""
    name = logs.HEADER.lower().encode()
    given = next((value for header, value in scope["headers"] if header == name), b"")
    request_id = logs.id_from(given.decode("latin-1"))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (name, request_id.encode()),
        *bare_headers(hsts_seconds=settings.SECURE_HSTS_SECONDS),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    took = time.perf_counter() - began
    route, about = _place(scope["path"])
    requests.count(route, "GET", 200, took)
    said = f"GET {scope['path']}?{bytes(scope['query_string']).decode('latin-1')}"
    logs.say_answered(said, 200, took, request_id=request_id, user_id=user_id, **about)


@functools.lru_cache(maxsize=1000)
def _place(path: str) -> tuple[str, dict[str, str]]:
    """The route of a path that has been rendered, and what a log line of it is about."""
    found = resolve(path)
    return requests.route_of(found), logs.subject(found.kwargs)
