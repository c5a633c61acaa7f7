"""The account level that the identity provider's claim gives, and takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction

from core.actors import Level
from core.models import User

LEVELS = {level.label: level for level in Level if level}


def level_of_claim(claims: Mapping[str, Any]) -> Level | None:
    """The highest level of OIDC_LEVELS that the claim names; None when there is none."""
    given = claims.get(settings.OIDC_LEVEL_CLAIM)
    values = given if isinstance(given, list) else [given]
    mapping = settings.OIDC_LEVELS
    return max((LEVELS[mapping[v]] for v in values if isinstance(v, str) and v in mapping), default=None)


@transaction.atomic
def follow_claim(user: User, claims: Mapping[str, Any]) -> None:
    """Give the account exactly the level of the claim, where levels come from the provider.

    Taking the old group away ends the account's sessions (a trigger; see migration sessions_end).
    """
    if not settings.OIDC_LEVEL_CLAIM:
        return
    level = level_of_claim(claims)
    wanted = {level.label} if level else set()
    held = set(user.groups.filter(name__in=LEVELS).values_list("name", flat=True))
    user.groups.remove(*Group.objects.filter(name__in=held - wanted))
    user.groups.add(*Group.objects.filter(name__in=wanted - held))
    # The session about to begin must carry the new stamp; the level is remembered on the instance.
    user.refresh_from_db(fields=["session_stamp"])
    user.__dict__.pop("level", None)
