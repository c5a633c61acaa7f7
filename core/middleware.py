"""What every request passes before anything reads it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

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
