"""Pages about access that belong to no form of allauth's."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

RETRY_AFTER_SECONDS = 300  # the longest of the allowances; see ACCOUNT_RATE_LIMITS


def too_many(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """429 for a browser: when to come back, and that nobody else is shut out."""
    answer = render(request, "429.html", {"minutes": RETRY_AFTER_SECONDS // 60}, status=429)
    answer["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer
