"""Django's sessions in the database, which end a fixed time after the sign-in however busy they are."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore

from core.clock import utcnow

SIGNED_IN_AT = "signed_in_at"


class SessionStore(DatabaseSessionStore):
    """A session whose end is at most SESSION_MAX_AGE_SECONDS after the sign-in that gave it its key."""

    def cycle_key(self) -> None:
        self.pop(SIGNED_IN_AT, None)  # somebody has just shown who they are: the age begins anew
        super().cycle_key()

    def save(self, must_create: bool = False) -> None:
        if SESSION_KEY in self and SIGNED_IN_AT not in self:
            self[SIGNED_IN_AT] = utcnow().timestamp()
        super().save(must_create)

    def get_expiry_date(self, **kwargs: Any) -> dt.datetime:
        usual, signed_in_at = super().get_expiry_date(**kwargs), self.get(SIGNED_IN_AT)
        if signed_in_at is None:
            return usual
        end = dt.datetime.fromtimestamp(signed_in_at, dt.UTC) + dt.timedelta(
            seconds=settings.SESSION_MAX_AGE_SECONDS
        )
        return min(usual, end)

    def get_expiry_age(self, **kwargs: Any) -> int:
        left = self.get_expiry_date(**kwargs) - kwargs.get("modification", utcnow())
        return max(0, int(left.total_seconds()))
