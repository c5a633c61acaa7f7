"""Rate limits at the door: by token or account, by address for those who are neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.exceptions import Throttled
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from core.client_address import sender_of
from core.models import ApiToken
from core.ratelimits import BUDGETS

if TYPE_CHECKING:
    from rest_framework.views import (
        APIView,  # at run time a circle: it reads the settings that name this module
    )


class RateLimit(BaseThrottle):
    """API_RATE_READ and API_RATE_WRITE a minute for each token or account, API_RATE_ANONYMOUS for others."""

    waits = 0

    def allow_request(self, request: Request, view: APIView) -> bool:
        self.waits = BUDGETS.spend(*_budget_of(request))
        return self.waits == 0

    def wait(self) -> float | None:
        return self.waits or None


def slow_down_sender(request: Request) -> None:
    """Count a request that goes no further; raises Throttled when its sender sent too many."""
    _spend(*_budget_of(request))


def slow_down_guesser(request: Request) -> None:
    """Count a token that was refused; raises Throttled when its address sent too many of them."""
    _spend(f"refused:{sender_of(request)}", settings.API_RATES["refused"])


def is_guessing(request: Request) -> bool:
    """Whether so many tokens of this address were refused that no unknown one is looked at for now."""
    return BUDGETS.is_refused(f"refused:{sender_of(request)}")


def _budget_of(request: Request) -> tuple[str, int]:
    if isinstance(request.auth, ApiToken):
        sender = f"token:{request.auth.pk}"
    elif request.user and request.user.is_authenticated:
        sender = f"user:{request.user.pk}"
    else:
        return f"anonymous:{sender_of(request)}", settings.API_RATES["anonymous"]
    kind = "read" if request.method in SAFE_METHODS else "write"
    return f"{sender}:{kind}", settings.API_RATES[kind]


def _spend(key: str, limit: int) -> None:
    if waits := BUDGETS.spend(key, limit):
        raise Throttled(wait=waits)
