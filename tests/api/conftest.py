"""Clients of the API: people with a session, programs with a token."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from core.clock import utcnow
from core.models import ApiToken, User
from tests.signing_in import sign_in

Signed = Callable[[User], APIClient]
Tokened = Callable[..., APIClient]


def issue(user: User, *scopes: str, days: float = 1) -> str:
    expires = utcnow() + dt.timedelta(days=days)
    _token, text = ApiToken.issue(user=user, name="ci", scopes=list(scopes), expires_at=expires)
    return text


@pytest.fixture
def person() -> Signed:
    """A client with the user's browser session."""

    def enter(user: User) -> APIClient:
        client = APIClient()
        sign_in(client, user)
        return client

    return enter


@pytest.fixture
def program() -> Tokened:
    """`program(user, "read", "write")`: a client with a new token of these scopes."""

    def with_token(user: User, *scopes: str) -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(user, *scopes)}")
        return client

    return with_token


@pytest.fixture
def ida(commander: object) -> User:
    """The commander of tests/conftest.py as an account."""
    return User.objects.get(username="ida")


@pytest.fixture
def api(ida: User, person: Signed) -> APIClient:
    """Ida's session."""
    return person(ida)
