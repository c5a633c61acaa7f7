"""What is shown when a request failed before or outside a view: problems to programs, pages to people."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import defaults

from core import problem
from core.logs import request_id
from core.middleware import FOR_PROGRAMS


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the request is malformed, such as an unknown host or too many fields."""
    if _is_program(request):
        return problem.answer(400, "malformed", "The request is malformed.")
    return defaults.bad_request(request, exception)


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    if _is_program(request):
        return problem.answer(403, "not_allowed", "Not allowed.")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    if _is_program(request):
        return problem.answer(404, "not_found", "Nothing is at this address.")
    return defaults.page_not_found(request, exception)


def broken(request: HttpRequest) -> HttpResponse:
    """500 with the request's id, by which its traceback is found; 503 when the database is away."""
    away = isinstance(sys.exception(), OperationalError | InterfaceError)
    status = 503 if away else 500
    if not _is_program(request):
        page = render_to_string("500.html", {"request_id": request_id(), "away": away})
        answer = HttpResponse(page, status=status)
    elif away:
        said = "The database does not answer. Nothing was half done; try again in a few seconds."
        answer = problem.answer(status, "database_away", said)
    else:
        said = "An unexpected error stopped this request. Nothing was half done."
        answer = problem.answer(status, "internal_error", said)
    if away:
        answer["Retry-After"] = "5"
    return answer


def without_csrf(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: a form without its token, mostly one that stood open while the sign-in changed."""
    said = "This form is not valid any more. Go back, reload the page and send it again."
    return defaults.permission_denied(request, PermissionError(said))


def _is_program(request: HttpRequest) -> bool:
    return request.path_info.startswith(FOR_PROGRAMS)
