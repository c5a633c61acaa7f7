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
from core.clock import utcnow
from core.models import User


def welcome(session_keys: Collection[str]) -> set[str]:
    """Those of the sessions that belong to an account that may read, as Django would see them at this moment.

    Three queries however many they are.
    """
    found = Session.objects.filter(session_key__in=session_keys, expire_date__gt=utcnow())
    sessions = {session.session_key: session.get_decoded() for session in found}
    ids = {str(data[SESSION_KEY]) for data in sessions.values() if SESSION_KEY in data}
    users = {str(user.pk): user for user in User.objects.filter(pk__in=ids).prefetch_related("groups")}
    return {key for key, data in sessions.items() if _may_read(data, users.get(data.get(SESSION_KEY, "")))}


def _may_read(data: dict[str, object], user: User | None) -> bool:
    if user is None or not user.is_active:
        return False
    if data.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return False
    if not constant_time_compare(str(data.get(HASH_SESSION_KEY, "")), user.get_session_auth_hash()):
        return False
    request = HttpRequest()
    request.user, request.session = user, data  # type: ignore[assignment]
    return may(actor_of_session(request), "read")
