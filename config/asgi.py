"""The web process: the live stream natively async, everything else Django's WSGI application in threads."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.wsgi import get_wsgi_application

from core.bridge import bridge

_django = bridge(get_wsgi_application())

from core.live_stream import Receive, Scope, Send  # noqa: E402
from core.live_stream import application as live_stream  # noqa: E402


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Send `/live/` to the stream and the rest to Django."""
    if scope["type"] == "http" and scope["path"] == "/live/":
        await live_stream(scope, receive, send)
        return
    await _django(scope, receive, send)
