"""Django's WSGI application inside the one ASGI process: in threads that stay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Threads that stay keep their database connections: reconnecting costs three quarters of the speed.
THREADS = 16


def bridge(wsgi: Any) -> Application:
    """A WSGI application as an ASGI one."""
    threads = WSGIMiddleware(wsgi, workers=THREADS)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        async def read() -> Any:
            return await receive()  # a2wsgi wants a coroutine, Granian's own is another awaitable

        await threads(scope, read, send)  # type: ignore[arg-type]

    return application
