"""What every request passes before anything reads it."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from django.http import HttpRequest, HttpResponse, JsonResponse

from core.views import probes

Handler = Callable[[HttpRequest], HttpResponse]


class ProbesMiddleware:
    """Answer probes before anything else looks at them.

    A load balancer's probe names no allowed host, speaks no TLS and signs nobody in; none of that
    may make a healthy process look dead. /metrics guards itself.
    """

    answers: ClassVar[Mapping[str, Handler]] = {
        "/healthz": probes.healthz,
        "/readyz": probes.readyz,
        "/metrics": probes.metrics,
    }

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.answers.get(request.path_info, self.get_response)(request)


class CleanInputMiddleware:
    """Refuse NUL bytes in path and query: PostgreSQL stores none, so they are never meant."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        query = request.META.get("QUERY_STRING", "")
        if "\0" in request.path or "%00" in query or "\0" in query:
            problem = {
                "type": "/problems/invalid",
                "title": "The request is not valid",
                "status": 400,
                "detail": "The address contains a NUL character.",
            }
            return JsonResponse(problem, status=400, content_type="application/problem+json")
        return self.get_response(request)
