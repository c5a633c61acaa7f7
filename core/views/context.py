"""What every page shows: the actor and the banners."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from core import live
from core.accounts.sessions import actor_of_session


def page(request: HttpRequest) -> dict[str, Any]:
    """`actor`, `banners`, `live_since`, evaluated only where they are shown; nothing when signed out."""
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return {}
    return {
        "OIDC_NAME": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "actor": SimpleLazyObject(lambda: actor_of_session(request)),
        "banners": SimpleLazyObject(_banners),
        # What the page has seen of all changes; a page without panels but the banners says it here.
        "live_since": SimpleLazyObject(lambda: getattr(request, "live_since", "") or live.position()),
    }


def _banners() -> list[Any]:
    return [banner for path in settings.BANNERS for banner in import_string(path)()]
