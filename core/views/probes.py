"""The doors of probes: alive, ready, metrics. They are reached before every other middleware."""

from __future__ import annotations

import ipaddress
import logging

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import split_domain_port, validate_host
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.exceptions import AuthenticationFailed, Throttled

from core.actors import Level
from core.api.authentication import BearerAuthentication
from core.client_address import Address, client_address, forwarded_address
from core.operation.metrics import render_metrics
from core.operation.readiness import UNAVAILABLE, check_readiness, require_database

logger = logging.getLogger(__name__)

_FORWARDED = tuple(
    f"HTTP_{name}"
    for name in ("X_FORWARDED_FOR", "FORWARDED", "X_REAL_IP", "VIA", "X_FORWARDED_HOST", "X_FORWARDED_PROTO")
)


def healthz(request: HttpRequest) -> HttpResponse:
    """A thread that serves pages is free. No I/O: a dead database does not make the process dead."""
    return _refused_method(request) or _plain("ok\n")


def readyz(request: HttpRequest) -> HttpResponse:
    """Whether this process can serve, and what is behind it: 200 when ok or degraded, else 503."""
    if refused := _refused_method(request):
        return refused
    status, checks = check_readiness()
    body = {"status": status, "checks": {name: check.as_json() for name, check in checks.items()}}
    answer = JsonResponse(body, status=503 if status == UNAVAILABLE else 200)
    answer["Cache-Control"] = "no-store"
    return answer


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics for METRICS_ALLOWED_NETWORKS, and for tokens with the scope read."""
    if refused := _refused_method(request):
        return refused
    try:
        if not (_comes_from_allowed_network(request) or _has_token(request)):
            answer = _plain("A Bearer token with the scope read is needed.\n", status=401)
            answer["WWW-Authenticate"] = 'Bearer realm="metrics"'
            return answer
        return HttpResponse(render_metrics(), content_type=CONTENT_TYPE_LATEST)
    except Throttled as refusal:
        answer = _plain("Too many tokens of your address were refused; wait.\n", status=429)
        answer["Retry-After"] = str(refusal.wait)  # type: ignore[attr-defined]
        return answer
    except (TimeoutError, DatabaseError) as error:
        logger.warning("no metrics: %s", error or "the database does not answer")
        return _plain("The database does not answer.\n", status=503)


def _comes_from_allowed_network(request: HttpRequest) -> bool:
    """By the address of who asks. What came through a proxy is judged by what that proxy says, and
    only when NUM_PROXIES says that there is one: else everyone behind it would be loopback.

    A browser can be led here by a name that its attacker owns, so names must be allowed hosts.
    """
    address = _address_of(request)
    if address is None or not _host_is_known(request):
        return False
    return any(address in ipaddress.ip_network(network) for network in settings.METRICS_ALLOWED_NETWORKS)


def _address_of(request: HttpRequest) -> Address | None:
    if any(header in request.META for header in _FORWARDED):
        return forwarded_address(request)  # never the peer: that is the proxy
    return client_address(request)


def _host_is_known(request: HttpRequest) -> bool:
    domain, _port = split_domain_port(request.META.get("HTTP_HOST") or request.META["SERVER_NAME"])
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
    return True


def _has_token(request: HttpRequest) -> bool:
    if not request.META.get("HTTP_AUTHORIZATION"):
        return False
    require_database()  # looking for the token must not wait for a frozen one
    try:
        found = BearerAuthentication().authenticate(request)  # type: ignore[arg-type]
    except AuthenticationFailed:
        return False
    return found is not None and "read" in found[1].scopes and found[0].level >= Level.VIEWER


def _refused_method(request: HttpRequest) -> HttpResponse | None:
    if request.method in ("GET", "HEAD"):
        return None
    answer = _plain("Only GET.\n", status=405)
    answer["Allow"] = "GET, HEAD"
    return answer


def _plain(text: str, *, status: int = 200) -> HttpResponse:
    answer = HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
    answer["Cache-Control"] = "no-store"
    return answer
