"""The ceiling as Firebreak's own config/asgi.py: ASGI outside, Django's WSGI application in as many threads."""

import os
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.ceiling.settings"

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

_django = WSGIMiddleware(get_wsgi_application(), workers=16)  # type: ignore[arg-type]


async def application(scope: Any, receive: Any, send: Any) -> None:
    async def read() -> Any:
        return await receive()

    await _django(scope, read, send)
