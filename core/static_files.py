"""Static files by ServeStatic, in a middleware that lets every other request stay in its thread."""

from __future__ import annotations

import functools
from collections.abc import Callable

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from servestatic.middleware import ServeStaticMiddleware

_MISSING = HttpResponse(status=404)


async def _no_such_file(request: HttpRequest) -> HttpResponseBase:
    return _MISSING


@functools.cache
def _served() -> ServeStaticMiddleware:
    """Finding out what there is looks at every file: once a process, not once a handler."""
    return ServeStaticMiddleware(_no_such_file)


class StaticFilesMiddleware:
    """ServeStatic's own middleware is async only: with it, Django would give every request an event
    loop and three changes of thread, which is more than most requests cost altogether.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.files = _served()
        self.serve = async_to_sync(self.files)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(self.files.static_prefix):
            return self.get_response(request)
        answer = self.serve(request)
        return self.get_response(request) if answer is _MISSING else answer
