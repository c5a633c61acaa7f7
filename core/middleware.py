"""What every request passes before anything reads it, and every answer before it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

from core import history, problem, schema
from core.actors import actor_for_user
from core.body_limits import body_limit
from core.headers import BARE
from core.models import User
from core.views import probes

Handler = Callable[[HttpRequest], HttpResponse]
FOR_PROGRAMS = ("/api/", "/v2/")  # addresses that programs call with a token


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


class AnswerHeadersMiddleware:
    """Headers that no other middleware sets, on every answer; nothing is stored unless it says so."""

    NAMES = ("Permissions-Policy", "Cross-Origin-Resource-Policy", "Cache-Control")

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name in self.NAMES:
            response.headers.setdefault(name, BARE[name.lower()])
        if request.path.startswith(FOR_PROGRAMS):
            patch_vary_headers(response, ["Authorization"])
        return response


class CompressMiddleware(GZipMiddleware):
    """Compress what a browser waits for, where no proxy does it.

    A compressed answer's length would tell a guesser of secrets how well a guess compresses (BREACH): Django
    adds up to a hundred random bytes to each, and masks its form tokens anew. An answer with an `ETag` stays
    as it is: compression would make the tag a weak one, which `If-Match` may not be given. So does a part of
    a file.
    """

    TYPES = (
        "text/html", "text/css", "text/plain", "text/javascript", "application/javascript",
        "application/json", "application/problem+json", "application/atom+xml", "image/svg+xml",
    )  # fmt: skip

    WHOLE = 1_048_576  # bytes of a file

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if kind not in self.TYPES or response.has_header("ETag") or response.status_code in (204, 206, 304):
            return response
        if response.streaming:
            if int(response.headers.get("Content-Length") or self.WHOLE) >= self.WHOLE:
                return response
            # A file read as a whole: piece by piece it would be twice as large.
            response = HttpResponse(b"".join(response), status=response.status_code, headers=response.headers)
        return super().process_response(request, response)


class TlsForProgramsMiddleware:
    """Behind TLS, a program that calls plain HTTP is refused, not redirected.

    A redirect would be followed with the token in the clear again and again, and nobody would notice.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.BEHIND_TLS and not request.is_secure() and request.path.startswith(FOR_PROGRAMS):
            text = (
                f"Use {settings.PUBLIC_URL}; a token that was sent without TLS is known to others: revoke it."
            )
            return problem.answer(403, "tls_required", text)
        return self.get_response(request)


class SchemaMiddleware:
    """While the database is older than this code, answer 503 and say so: an upgrade is under way.

    Code and schema may only differ the other way round (docs/upgrade.md). Probes are answered before.
    """

    RETRY_AFTER_SECONDS = "5"

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if schema.is_current():
            return self.get_response(request)
        if request.path.startswith(FOR_PROGRAMS):
            said = "The database does not have every migration of this version yet. Try again soon."
            answer = problem.answer(503, "upgrading", said)
        else:
            answer = HttpResponse(render_to_string("503.html"), status=503)
        answer["Retry-After"] = self.RETRY_AFTER_SECONDS
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


class CleanInputMiddleware:
    """Refuse what nobody means: NUL in address, cookies or names, an encoded body, a body over the cap."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return _refusal(request) or self.get_response(request)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    if "\0" in request.path or _has_nul(request.META.get("QUERY_STRING", "")):
        return problem.answer(400, "invalid", "The address contains a NUL character.")
    if any("\0" in value for value in request.COOKIES.values()):
        return problem.answer(400, "invalid", "A cookie contains a NUL character.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return problem.answer(415, "unsupported_media_type", "Send the body without a Content-Encoding.")
    limit = body_limit(request.path, request.content_type or "")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdecimal() and len(length) < 19):
        return problem.answer(400, "invalid", "Content-Length is no number.")
    if int(length) > limit:
        return problem.answer(413, "too_large", f"A request holds at most {limit} bytes.")
    if request.content_type in _FORMS and request.method == "POST" and not _is_clean(request):
        return problem.answer(400, "invalid", "The form contains a NUL character.")
    return None


_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def _is_clean(request: HttpRequest) -> bool:
    """No NUL in a name, nor in what no form checks: the admin's own controls begin with an underscore.

    In any other value the form names the field.
    """
    return not any(
        "\0" in name or (name.startswith("_") and any("\0" in value for value in values))
        for name, values in request.POST.lists()
    )


def _has_nul(query: str) -> bool:
    return "%00" in query or "\0" in query
