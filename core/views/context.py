"""What every page shows: the actor and the banners."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from core.accounts.sessions import actor_of_session


def page(request: HttpRequest) -> dict[str, Any]:
    """`actor` and `banners`, evaluated only by templates that show them; nothing when signed out."""
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return {}
    return {
        "OIDC_NAME": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "actor": SimpleLazyObject(lambda: actor_of_session(request)),
        "banners": SimpleLazyObject(_banners),
    }


def _banners() -> list[Any]:
    return [banner for path in settings.BANNERS for banner in import_string(path)()]
