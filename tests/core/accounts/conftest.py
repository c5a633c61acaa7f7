"""A sign-in through the real form, and the codes of a real authenticator app."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

PASSWORD = "a long passphrase for tests"
Enter = Callable[..., HttpResponse]


def code_of(secret: str, *, periods_from_now: int = 0) -> str:
    """RFC 6238, written anew here so that it is not the code under test that checks itself."""
    counter = struct.pack(">Q", int(time.time()) // 30 + periods_from_now)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


def enter(browser: Client, username: str = "ida", password: str = PASSWORD, **more: Any) -> Any:
    """Post the sign-in form."""
    return browser.post("/accounts/login/", {"login": username, "password": password}, **more)


def confirm(browser: Client, password: str = PASSWORD) -> Any:
    return browser.post("/accounts/reauthenticate/", {"password": password})


def enrol(browser: Client) -> str:
    """Set up an authenticator app; returns its secret. The session has to have confirmed lately."""
    secret: str = browser.get("/accounts/2fa/totp/activate/").context["form"].secret
    done = browser.post("/accounts/2fa/totp/activate/", {"code": code_of(secret, periods_from_now=-1)})
    assert done.status_code == 302, done.context["form"].errors
    return secret


@pytest.fixture
def both_asked(settings: Any) -> None:
    """As with PUBLIC_URL=https://…"""
    settings.MFA_REQUIRED_FOR = ["administrators", "approving"]
