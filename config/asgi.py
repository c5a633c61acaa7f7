"""The web process: the live stream natively async, everything else Django's WSGI application in threads."""

import os
from multiprocessing.util import Finalize

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from core import checks
from core.bridge import Bridge, Receive, Scope, Send

_wsgi = get_wsgi_application()
checks.stop_unless_ready()  # Granian runs none itself
_django = Bridge(_wsgi, threads=settings.WEB_THREADS)
# A lane of its own, so that a probe is answered also while every other thread waits for the database.
_probes = Bridge(_wsgi, threads=2)
PROBES = ("/readyz", "/metrics")  # not /healthz: it is answered by the threads that serve the pages

from core.gate import Gate, with_bare_headers  # noqa: E402
from core.live_batches import PanelDoor  # noqa: E402
from core.live_stream import application as live_stream  # noqa: E402
from core.operation import snapshot, vitals  # noqa: E402

vitals.start("web", prove=_django.prove, duty=snapshot.look_after)
Finalize(None, vitals.stop, exitpriority=10)  # Granian's workers end without atexit


_pages = PanelDoor(_django)


async def _route(scope: Scope, receive: Receive, send: Send) -> None:
    """Send `/live/` to the stream and the rest to Django."""
    if scope["type"] == "http" and scope["path"] == "/live/":
        await live_stream(scope, receive, with_bare_headers(send))
        return
    if scope["type"] == "http" and b"panels=" in bytes(scope["query_string"]):
        await _pages(scope, receive, send)
        return
    lane = _probes if scope["type"] == "http" and scope["path"] in PROBES else _django
    await lane(scope, receive, send)


application = Gate(_route)
