"""What a refusal looks like outside, whoever refuses: RFC 9457 problem details."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpResponse, JsonResponse

from core.logs import request_id

CONTENT_TYPE = "application/problem+json"


def problem(status: int, code: str, detail: str, **extras: Any) -> dict[str, Any]:
    """The body of a refusal; `code` is stable, `detail` is for people,
    `request_id` finds the request in the log."""
    title = "The request is not valid" if status == 400 else HTTPStatus(status).phrase
    return {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id(),
        **extras,
    }


def answer(status: int, code: str, detail: str, **extras: Any) -> HttpResponse:
    """The same as an answer of Django's."""
    return JsonResponse(problem(status, code, detail, **extras), status=status, content_type=CONTENT_TYPE)
