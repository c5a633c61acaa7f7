"""The last answer: what is sent when the code itself broke."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from core.logs import HEADER


def server_error(request: HttpRequest) -> HttpResponse:
    """500 with the request's id, by which its traceback is found in the log; a problem below /api/."""
    request_id = str(getattr(request, "firebreak_request_id", ""))
    if request.path_info.startswith("/api/"):
        problem = {
            "type": "/problems/internal_error",
            "title": "Internal Server Error",
            "status": 500,
            "detail": "An unexpected error stopped this request. Nothing was half done.",
            "code": "internal_error",
            "request_id": request_id,
        }
        return JsonResponse(problem, status=500, content_type="application/problem+json")
    page = render_to_string("500.html", {"request_id": request_id, "header": HEADER})
    return HttpResponse(page, status=500)
