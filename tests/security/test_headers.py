"""Security headers on every answer of every address: pages, API, admin, static files, refusals, the live stream."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from core.models import User
from tests.pages.conftest import Afternoon
from tests.signing_in import sign_in
from tests.web import WebProcess

EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = ("default-src 'none'", "frame-ancestors 'none'")
NO_ANSWER_KEPT = ("no-store", "private")
# What path converters take; the value names something of `afternoon` where it can.
SAMPLES = {"str": "x", "slug": "x", "int": "1", "path": "x", "uuid": "0" * 32}


def every_address(resolver: URLResolver | None = None, before: str = "") -> Iterator[str]:
    """One address of each route, made from its pattern."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from every_address(pattern, route)
        elif isinstance(pattern, URLPattern):
            yield "/" + _fill(route)


def _fill(route: str) -> str:
    route = re.sub(r"<(?:(\w+):)?\w+>", lambda match: SAMPLES[match[1] or "str"], route)
    route = re.sub(r"\(\?P<(\w+)>(?:\([^()]*\)|[^()])*\)", "x", route)  # what regular expressions name
    return re.sub(r"[\^$\\?]|\(\.\*\)", "", route)


def is_guarded(answer: Any, address: str) -> None:
    """The headers of one answer of Django."""
    for name, value in EXPECTED.items():
        allowed = (value, "no-referrer") if name == "Referrer-Policy" else (value,)  # what is stricter, too
        assert answer.headers.get(name) in allowed, (address, answer.status_code, name)
    policy = answer.headers.get("Content-Security-Policy", "")
    assert all(directive in policy for directive in POLICY), (address, answer.status_code, policy)
    scripts = re.search(r"script-src ([^;]*)", policy) or re.search(r"default-src ('none')", policy)
    assert scripts and "unsafe-eval" not in policy and "unsafe-inline" not in scripts[1]
    assert "camera=()" in answer.headers["Permissions-Policy"]
    kept = ("public",) if address.startswith("/status/") else ()  # it is everybody's
    words = (*NO_ANSWER_KEPT, *kept)
    assert any(word in answer.headers["Cache-Control"] for word in words), (address, answer.headers)
    assert "X-Powered-By" not in answer.headers
    assert not re.search(r"\d", answer.headers.get("Server", "")), address


def test_every_route_for_everybody(afternoon: Afternoon, db: None) -> None:
    addresses = set(every_address())
    assert len(addresses) > 120
    ada = User.objects.create(username="ada", is_staff=True, is_superuser=True)
    signed_in, nobody = Client(raise_request_exception=False), Client(raise_request_exception=False)
    sign_in(signed_in, ada)
    for address in sorted(addresses):
        for answer in (signed_in.get(address), signed_in.put(address), nobody.get(address)):
            assert answer.status_code < 500, address
            is_guarded(answer, address)


def test_pages_of_a_session_are_not_another_ones(afternoon: Afternoon, ida: Client) -> None:
    for address in ("/", f"/incidents/{afternoon.incident.ref}/", "/api/v1/incidents/"):
        answer = ida.get(address)
        assert answer.status_code == 200
        assert "Cookie" in answer["Vary"] and "no-store" in answer["Cache-Control"]
    assert "Authorization" in ida.get("/api/v1/incidents/")["Vary"]


@pytest.mark.parametrize("address", ["/", "/api/v1/incidents/", "/admin/"])
def test_refusals_and_faults_have_them_too(
    ida: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ida.raise_request_exception = False
    is_guarded(ida.get(address, HTTP_HOST="evil.test"), "400")
    is_guarded(ida.get(f"{address}?x=%00"), "400 NUL")
    is_guarded(ida.get(f"{address}nothing/here/"), "404")
    is_guarded(ida.post(address, "x" * 1_100_000, content_type="text/plain"), "413")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = ida.cookies
    is_guarded(strict.post("/incidents/declare/", {"title": "x"}), "403 CSRF")

    def broken(request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    monkeypatch.setattr(
        "django.contrib.sessions.middleware.SessionMiddleware.process_request", lambda *_: broken
    )
    monkeypatch.setattr(
        "django.contrib.sessions.middleware.SessionMiddleware.process_response", lambda *_: 1 / 0
    )
    answer = ida.get(address)
    assert answer.status_code == 500
    is_guarded(answer, "500")
    if address.startswith("/api/"):
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "internal_error"
    assert b"ZeroDivisionError" not in answer.content and b"Traceback" not in answer.content


def test_what_django_never_sees_has_them_too(web: WebProcess) -> None:
    for address, status in (
        ("/static/firebreak/app.css", 200),
        ("/static/nothing.css", 404),
        ("/live/", 401),
        ("/accounts/login/", 200),
        ("/", 302),
    ):
        found, headers = _fetch(web.url + address)
        assert found == status, address
        for name, value in EXPECTED.items():
            assert headers[name] == value, (address, name)
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], address
        assert "camera=()" in headers["Permissions-Policy"], address
        assert not re.search(r"\d", headers.get("Server", "")), headers
    assert "no-store" not in _fetch(web.url + "/static/firebreak/app.css")[1]["Cache-Control"]


class _NotFollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _fetch(url: str) -> tuple[int, Message]:
    try:
        with urllib.request.build_opener(_NotFollowed).open(url, timeout=20) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers
