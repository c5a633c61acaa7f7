"""The way of a page from a decision to the proof that it needs, and back to finish it."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.accounts.middleware import lead
from core.assurance import SecondFactorRequired
from core.errors import NotAllowed

UNFINISHED = "unfinished_form"
NOT_KEPT = {"csrfmiddlewaretoken", "password", "code", "credential"}
LONGEST = 4000


def prove_first(request: HttpRequest, doubt: NotAllowed) -> HttpResponse:
    """Lead to the proof that `doubt` asks for; what was typed waits in the session until the form is back."""
    if request.method == "POST":
        typed = {name: text[:LONGEST] for name, text in request.POST.items() if name not in NOT_KEPT}
        request.session[UNFINISHED] = {"path": request.path, "typed": typed}
    if isinstance(doubt, SecondFactorRequired):
        messages.warning(request, doubt.message)
    return lead_to_proof(request, doubt)


def lead_to_proof(request: HttpRequest, doubt: NotAllowed) -> HttpResponse:
    """Send the browser to where the proof is given; it comes back to this address, with its query."""
    if isinstance(doubt, SecondFactorRequired):
        return lead(request, reverse("mfa_index"))
    methods = get_adapter().get_reauthentication_methods(request.user)
    url = methods[0]["url"] if methods else reverse("account_reauthenticate")
    return lead(request, url, back_to=request.get_full_path())


def unfinished(request: HttpRequest) -> dict[str, Any]:
    """What was typed into the form of this address before the proof; given back once."""
    kept = request.session.get(UNFINISHED)
    if not kept or kept["path"] != request.path:
        return {}
    del request.session[UNFINISHED]
    return dict(kept["typed"])
