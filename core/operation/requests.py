"""Counting requests and how long they took, by route template and status class: labels stay few."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

Handler = Callable[[HttpRequest], HttpResponse]
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})

disable_created_metrics()  # type: ignore[no-untyped-call]  # half as many series
# Not the default registry: what libraries add to that one is not ours to publish.
registry = CollectorRegistry()
_requests = Counter(
    "firebreak_http_requests",
    "Requests served by this web process.",
    ("route", "method", "status"),
    registry=registry,
)
_seconds = Histogram(
    "firebreak_http_request_duration_seconds",
    "Time from a request's arrival to its answer.",
    ("route",),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)


class MeasureMiddleware:
    """Measure every request; an address that is none counts as "unmatched", so nobody can add labels."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        method = request.method if request.method in METHODS else "other"
        count(_route(request), str(method), response.status_code, time.perf_counter() - started)
        return response


def count(route: str, method: str, status: int, seconds: float) -> None:
    """Count one request, also one that never comes to Django. `route` is a template, never an address."""
    _requests.labels(route, method, f"{status // 100}xx").inc()
    _seconds.labels(route).observe(seconds)


def route_of(found: ResolverMatch) -> str:
    return str(found.route) or "/"


def _route(request: HttpRequest) -> str:
    if request.resolver_match is not None:
        return route_of(request.resolver_match)
    return "static" if request.path_info.startswith(f"/{settings.STATIC_URL.strip('/')}/") else "unmatched"
