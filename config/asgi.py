"""The web process: the live stream natively async, everything else Django's WSGI application in threads."""

import os
from multiprocessing.util import Finalize
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

_wsgi = get_wsgi_application()
# Threads that stay keep their database connections: reconnecting costs three quarters of the speed.
_django = WSGIMiddleware(_wsgi, workers=16)  # type: ignore[arg-type]
# A lane of its own, so that a probe is answered also while every other thread waits for the database.
_probes = WSGIMiddleware(_wsgi, workers=2)  # type: ignore[arg-type]
PROBES = ("/readyz", "/metrics")  # not /healthz: it is answered by the threads that serve the pages

from core.gate import Gate, with_bare_headers  # noqa: E402
from core.live_stream import Receive, Scope, Send  # noqa: E402
from core.live_stream import application as live_stream  # noqa: E402
from core.operation import snapshot, vitals  # noqa: E402

vitals.start("web", prove=lambda: _django.executor.submit(lambda: None), duty=snapshot.look_after)
Finalize(None, vitals.stop, exitpriority=10)  # Granian's workers end without atexit


async def _route(scope: Scope, receive: Receive, send: Send) -> None:
    """Send `/live/` to the stream and the rest to Django."""
    if scope["type"] == "http" and scope["path"] == "/live/":
        await live_stream(scope, receive, with_bare_headers(send))
        return

    async def read() -> Any:
        return await receive()  # a2wsgi wants a coroutine, Granian's own is another awaitable

    lane = _probes if scope["type"] == "http" and scope["path"] in PROBES else _django
    await lane(scope, read, send)  # type: ignore[arg-type]


application = Gate(_route)
