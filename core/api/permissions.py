"""What a sender may reach at all; what they may do there is the service's decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from core.access import require
from core.api.authentication import actor_of
from core.api.throttling import slow_down_sender
from core.errors import NotAllowed
from core.models import ApiToken

if TYPE_CHECKING:
    from rest_framework.views import (
        APIView,  # at run time a circle: it reads the settings that name this module
    )


class ScopeMissing(NotAllowed):
    """The token was not given the scope that this request needs."""

    code = "scope_missing"


class ScopedAccess(BasePermission):
    """Viewers and above; a token also needs the scope that the view declares for the method.

    `scopes = {"GET": "read", "POST": "write"}`: a method that is missing there refuses tokens.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user or not request.user.is_authenticated:
            slow_down_sender(request)
            return False
        try:
            require(actor_of(request), "read")
            if isinstance(request.auth, ApiToken):
                _require_scope(request.auth, request.method or "", view)
        except NotAllowed:
            slow_down_sender(request)  # a refusal counts as well, and comes before the throttles
            raise
        return True


def _require_scope(token: ApiToken, method: str, view: APIView) -> None:
    if method not in view.allowed_methods and method != "HEAD":
        return  # the view itself answers 405
    declared: Mapping[str, str] = getattr(view, "scopes", {})
    needed = declared.get("GET" if method == "HEAD" else method)
    if needed is None:
        raise ScopeMissing("Tokens cannot do this.")
    if needed not in token.scopes:
        raise ScopeMissing(f"This needs a token with the scope {needed}.")
