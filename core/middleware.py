"""What every request passes before anything reads it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from core import history, schema
from core.actors import actor_for_user
from core.models import User

Handler = Callable[[HttpRequest], HttpResponse]


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


class SchemaMiddleware:
    """While the database is older than this code, answer 503 and say so: an upgrade is under way.

    Code and schema may only differ the other way round (docs/upgrade.md). What a monitor of Firebreak
    itself asks is let through.
    """

    ALWAYS = ("/healthz", "/readyz", "/metrics")
    RETRY_AFTER_SECONDS = "5"

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in self.ALWAYS or schema.is_current():
            return self.get_response(request)
        if request.path.startswith(("/api/", "/v2/")):
            problem = {
                "type": "/problems/upgrading",
                "title": "Firebreak is being upgraded",
                "status": 503,
                "detail": "The database does not have every migration of this version yet. Try again soon.",
            }
            answer: HttpResponse = JsonResponse(problem, status=503, content_type="application/problem+json")
        else:
            answer = HttpResponse(render_to_string("503.html"), status=503)
        answer["Retry-After"] = self.RETRY_AFTER_SECONDS
        answer["Cache-Control"] = "no-store"
        return answer


class HistoryMiddleware:
    """Say in the history of configuration whose request changed it; a token is named when it is read."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return self.get_response(request)
        with history.by_request(request):
            if isinstance(request.user, User):
                history.say_actor(actor_for_user(request.user))
            return self.get_response(request)
