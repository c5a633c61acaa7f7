"""Where Firebreak differs from allauth: nobody signs up, and guessing is slow without locking anyone out."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse

from core.accounts import oidc
from core.accounts.pages import too_many
from core.client_address import client_address, sender_of

UNKNOWN_ADDRESS = "0.0.0.0"  # noqa: S104 - what has no address shares one allowance; nothing binds to it


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are created in the admin or by the identity provider, never by signing up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """For the list of sessions, and for allauth's limits, which count an IPv6 address by its /64 too."""
        return str(client_address(request) or UNKNOWN_ADDRESS)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the attempt before any hash is computed; a right password gives it back.

        The allowance is the account's *from this address*: whoever guesses elsewhere locks nobody out.
        """
        login = str(credentials.get("username") or credentials.get("email") or "").casefold()
        self._login_failed_rl_usage = ratelimit.consume(
            request,
            app="allauth.account",
            action="login_failed",
            key=f"{sender_of(request)} {login}",
        )
        if not self._login_failed_rl_usage:
            raise self.validation_error("too_many_login_attempts")

    def validation_error(self, code: str, *args: Any) -> ValidationError:
        if code in ("too_many_login_attempts", "rate_limited"):
            raise ImmediateHttpResponse(too_many(self.request))
        error: ValidationError = super().validation_error(code, *args)
        return error

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """allauth's, and for an account without any of its own: the identity provider once more."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if not methods and user.is_authenticated and oidc.is_linked(user):
            methods = [
                {
                    "id": "oidc",
                    "description": f"Confirm with {settings.OIDC_NAME}",
                    "url": reverse("reauthenticate_oidc"),
                }
            ]
        return methods
