"""What every request passes before anything reads it, and every answer before it leaves."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import patch_vary_headers

from core.headers import BARE
from core.problem import CONTENT_TYPE, problem

Handler = Callable[[HttpRequest], HttpResponse]
FOR_PROGRAMS = ("/api/", "/v2/")  # addresses that programs call with a token


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
            return _refused(403, "tls_required", text)
        return self.get_response(request)


class CleanInputMiddleware:
    """Refuse what nobody means: NUL in address, cookies or names, an encoded body, a body over the cap."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return _refusal(request) or self.get_response(request)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    if "\0" in request.path or _has_nul(request.META.get("QUERY_STRING", "")):
        return _refused(400, "invalid", "The address contains a NUL character.")
    if any("\0" in value for value in request.COOKIES.values()):
        return _refused(400, "invalid", "A cookie contains a NUL character.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return _refused(415, "unsupported_media_type", "Send the body without a Content-Encoding.")
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdecimal() and len(length) < 19):
        return _refused(400, "invalid", "Content-Length is no number.")
    if int(length) > limit:
        return _refused(413, "too_large", f"A request holds at most {limit} bytes.")
    if request.content_type in _FORMS and request.method == "POST" and not _is_clean(request):
        return _refused(400, "invalid", "The form contains a NUL character.")
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


def _refused(status: int, code: str, detail: str) -> HttpResponse:
    return JsonResponse(problem(status, code, detail), status=status, content_type=CONTENT_TYPE)
