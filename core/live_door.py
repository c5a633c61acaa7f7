"""Whose live stream may be open: asked when it opens, and for all open ones again and again."""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from core.access import may
from core.accounts.sessions import actor_of_session
from core.actors import Actor
from core.clock import utcnow
from core.models import User


def welcome(session_keys: Collection[str]) -> set[str]:
    """Those of the sessions that belong to an account that may read at this moment."""
    return set(actors_of(session_keys))


def actors_of(session_keys: Collection[str]) -> dict[str, Actor]:
    """By session who it is, as Django would see them at this moment; only accounts that may read.

    Three queries however many they are.
    """
    found = Session.objects.filter(session_key__in=session_keys, expire_date__gt=utcnow())
    sessions = {session.session_key: session.get_decoded() for session in found}
    ids = {str(data[SESSION_KEY]) for data in sessions.values() if SESSION_KEY in data}
    users = {str(user.pk): user for user in User.objects.filter(pk__in=ids).prefetch_related("groups")}
    actors = {key: _actor(data, users.get(data.get(SESSION_KEY, ""))) for key, data in sessions.items()}
    return {key: actor for key, actor in actors.items() if actor is not None and may(actor, "read")}


def _actor(data: dict[str, object], user: User | None) -> Actor | None:
    if user is None or not user.is_active:
        return None
    if data.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    if not constant_time_compare(str(data.get(HASH_SESSION_KEY, "")), user.get_session_auth_hash()):
        return None
    request = HttpRequest()
    request.user, request.session = user, data  # type: ignore[assignment]
    return actor_of_session(request)
