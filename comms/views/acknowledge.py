"""The page behind the link of a message: what it is about, and one button."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from comms.links import BadLink, Link, read_token
from comms.selectors.acknowledging import LinkState, look_at_link
from comms.services.acknowledging import LinkRefused, acknowledge_by_link
from core.client_address import sender_of
from core.clock import utcnow
from core.errors import Conflict
from core.ratelimits import BUDGETS

_STATUS: Mapping[LinkState, int] = {
    LinkState.EXPIRED: 410,
    LinkState.INACTIVE: 403,
    LinkState.NOT_YOURS: 403,
    LinkState.NOT_ALLOWED: 403,
}


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def acknowledge(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows, POST acknowledges: what follows links by itself, such as a mail scanner, does nothing."""
    if waits := _waits(request):
        return _page(request, {"state": "too_many", "seconds": waits}, status=429, retry_after=waits)
    try:
        link = read_token(token)
    except BadLink:
        BUDGETS.spend(_budget("refused", request), settings.API_RATES["refused"])
        return _page(request, {"state": "bad"}, status=404)
    if request.method == "POST":
        return _acknowledge(request, link)
    return _show(request, link)


def _acknowledge(request: HttpRequest, link: Link) -> HttpResponse:
    """Back to the page, which says who acknowledged, whoever it was."""
    try:
        # Somebody was first, or it is over: the page says so.
        with contextlib.suppress(Conflict):
            acknowledge_by_link(link=link, visitor=_visitor(request), now=utcnow())
    except LinkRefused:
        return _show(request, link)
    return HttpResponseRedirect(request.path)


def _show(request: HttpRequest, link: Link) -> HttpResponse:
    asked = look_at_link(link, visitor=_visitor(request), now=utcnow())
    return _page(request, {"asked": asked, "state": asked.state}, status=_STATUS.get(asked.state, 200))


def _visitor(request: HttpRequest) -> int | None:
    return request.user.pk if request.user.is_authenticated else None


def _waits(request: HttpRequest) -> int:
    """Seconds that this sender has to wait: asked too often, or guessed too often."""
    refused = _budget("refused", request)
    if BUDGETS.is_refused(refused):
        return BUDGETS.spend(refused, settings.API_RATES["refused"])
    return BUDGETS.spend(_budget("links", request), settings.API_RATES["anonymous"])


def _budget(name: str, request: HttpRequest) -> str:
    return f"{name}:{sender_of(request)}"


def _page(
    request: HttpRequest, context: Mapping[str, Any], *, status: int, retry_after: int = 0
) -> HttpResponse:
    answer = render(request, "comms/acknowledge.html", dict(context), status=status)
    answer["Cache-Control"] = "no-store"
    # Not `no-referrer`: with it a browser sends the form with `Origin: null`, which no CSRF check passes.
    answer["Referrer-Policy"] = "same-origin"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    if retry_after:
        answer["Retry-After"] = str(retry_after)
    return answer
