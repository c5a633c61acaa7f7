"""Leads people to what their account still lacks before they meet a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from core.accounts.sessions import actor_of_session
from core.assurance import current_assurance, must_enrol

Handler = Callable[[HttpRequest], HttpResponse]
OPEN_WITHOUT = {"account_logout", "account_reauthenticate", "reauthenticate_oidc"}


class EnrolmentMiddleware:
    """An administrator without a second factor comes to the page that sets one up, from every page.

    This is a signpost; the refusal itself is core.access, which the API answers with `mfa_required`.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        match = request.resolver_match
        name = match.view_name if match else ""  # with its namespace: only allauth's own begin like this
        if name in OPEN_WITHOUT or name.startswith(("mfa_", "openid_connect_")):
            return None
        if request.path.startswith("/api/") or not request.user.is_authenticated:
            return None
        asked = current_assurance()
        if not asked.second_factor_for or not must_enrol(actor_of_session(request), asked):
            return None
        return lead(request, f"{reverse('mfa_index')}?required")


def lead(request: HttpRequest, url: str, *, back_to: str = "") -> HttpResponse:
    """Send the browser to `url`, also when htmx asked; `back_to` is where that page returns to."""
    there = f"{url}?{urlencode({'next': back_to})}" if back_to else url
    if request.headers.get("HX-Request"):
        return HttpResponseClientRedirect(there)
    return HttpResponseRedirect(there)
