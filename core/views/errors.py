"""The last answer: what is sent when the code itself broke, or the database is away."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string


def server_error(request: HttpRequest) -> HttpResponse:
    """500 with the request's id, by which its traceback is found in the log; 503 when it was the
    database. A problem below /api/.
    """
    away = isinstance(sys.exc_info()[1], OperationalError | InterfaceError)
    status, code, title = (
        (503, "database_away", "Service Unavailable")
        if away
        else (500, "internal_error", "Internal Server Error")
    )
    detail = (
        "The database does not answer. Nothing was half done; try again in a few seconds."
        if away
        else "An unexpected error stopped this request. Nothing was half done."
    )
    request_id = str(getattr(request, "firebreak_request_id", ""))
    if request.path_info.startswith("/api/"):
        problem = {"type": f"/problems/{code}", "title": title, "status": status, "detail": detail}
        answer: HttpResponse = JsonResponse(
            problem | {"code": code, "request_id": request_id},
            status=status,
            content_type="application/problem+json",
        )
    else:
        context = {"request_id": request_id, "away": away}
        answer = HttpResponse(render_to_string("500.html", context), status=status)
    if away:
        answer["Retry-After"] = "5"
    return answer
