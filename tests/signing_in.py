"""Sessions as a real sign-in leaves them: with the record of what was proven, which `force_login` has not."""

from __future__ import annotations

import time

from allauth.account.internal.flows.login import (
    _AUTHENTICATION_METHODS_USER_SESSION_KEY,
    AUTHENTICATION_METHODS_SESSION_KEY,
)
from django.test import Client

from core.models import User


def sign_in(browser: Client, user: User, *, seconds_ago: float = 0, second_factor: bool = False) -> None:
    """Sign the account in as by password (and a code) so many seconds ago."""
    browser.force_login(user)
    session = browser.session
    methods = ["password", "mfa"] if second_factor else ["password"]
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        {"method": method, "at": time.time() - seconds_ago} for method in methods
    ]
    session[_AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(user.pk)
    session.save()
