"""How accounts come to be: an administrator makes them, nobody signs up."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignup(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-in only; accounts are created in the admin."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
