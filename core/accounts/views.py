"""Pages about access that allauth does not have."""

from __future__ import annotations

from allauth.account.utils import get_next_redirect_url
from allauth.socialaccount.adapter import get_adapter
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from core.accounts import oidc


@require_safe
def reauthenticate_oidc(request: HttpRequest) -> HttpResponse:
    """For accounts that only the identity provider knows: a button that asks it once more."""
    if not settings.OIDC_ISSUER or not oidc.is_linked(request.user):  # type: ignore[arg-type]
        raise Http404
    provider = get_adapter().get_provider(request, oidc.PROVIDER_ID)
    there = get_next_redirect_url(request) or "/"
    context = {
        "name": settings.OIDC_NAME,
        "login_url": provider.get_login_url(request, process="login", next=there),
    }
    return render(request, "account/reauthenticate_oidc.html", context)
