"""The web process: the live stream natively async, everything else Django's WSGI application in threads."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

# Threads that stay keep their database connections: reconnecting costs three quarters of the speed.
_django = WSGIMiddleware(get_wsgi_application(), workers=16)  # type: ignore[arg-type]

from core.live_stream import Receive, Scope, Send  # noqa: E402
from core.live_stream import application as live_stream  # noqa: E402


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Send `/live/` to the stream and the rest to Django."""
    if scope["type"] == "http" and scope["path"] == "/live/":
        await live_stream(scope, receive, send)
        return

    async def read() -> Any:
        return await receive()  # a2wsgi wants a coroutine, Granian's own is another awaitable

    await _django(scope, read, send)  # type: ignore[arg-type]
