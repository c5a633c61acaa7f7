"""What a browser session proves about the person: where those facts enter."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.http import HttpRequest

from core.actors import Actor, actor_for_user
from core.models import User

PROOFS = ("password", "mfa", "socialaccount")  # allauth's names for how somebody showed who they are


def actor_of_session(request: HttpRequest) -> Actor:
    """The signed-in person with what the session proves (one query, for the account's level)."""
    user = request.user
    assert isinstance(user, User)
    proofs = [
        record for record in get_authentication_records(request, user) if record.get("method") in PROOFS
    ]
    latest = max((float(record["at"]) for record in proofs), default=None)
    return dataclasses.replace(
        actor_for_user(user),
        authenticated_at=None if latest is None else dt.datetime.fromtimestamp(latest, dt.UTC),
        second_factor=any(_is_second_factor(record) for record in proofs),
    )


def _is_second_factor(record: dict[str, Any]) -> bool:
    if record["method"] == "socialaccount":
        return bool(settings.OIDC_SECOND_FACTOR)
    return bool(record["method"] == "mfa")
