"""Accounts and their API tokens."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac

from core.actors import Level
from core.history import keep_history

TOKEN_PREFIX = "fb"  # noqa: S105 - marks our tokens for secret scanners
SCOPES = ("read", "write", "rollback", "ingest")


@keep_history(
    "username",
    "email",
    "first_name",
    "last_name",
    "is_active",
    "is_staff",
    "is_superuser",
    thing="Account",
    named_by=("username",),
    seen_by="administer",
)
class User(AbstractUser):
    """An account. Its level is the highest of its groups; no group means no access.

    `session_stamp` only rises; the database raises it when something is taken away (a group, a role
    grant, the last second factor, `is_active`, `is_superuser`), and with it every session ends.
    """

    session_stamp = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("username"), name="username_unique_ignoring_case")
        ]

    @cached_property
    def level(self) -> Level:
        """The account level (one query, then remembered on the instance)."""
        return self.level_in(group.name for group in self.groups.all())

    def level_in(self, groups: Iterable[str]) -> Level:
        """The level of this account as a member of groups of these names."""
        if not self.is_active:
            return Level.NONE
        if self.is_superuser:
            return Level.ADMINISTRATOR
        known = {level.label: level for level in Level}
        return max((known[name] for name in groups if name in known), default=Level.NONE)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Django's, of the password, made to change with the stamp as well."""
        if not self.session_stamp:
            return super()._get_session_auth_hash(secret=secret)  # type: ignore[misc,no-any-return]
        covered = f"{self.session_stamp} {self.password}"
        return salted_hmac("core.models.User.session", covered, secret=secret, algorithm="sha256").hexdigest()


@keep_history(
    "user", "group", thing="Account level", named_by=("group", "user"), seen_by="administer", plain=True
)
class AccountLevel(User.groups.through):  # type: ignore[name-defined,misc]
    """That an account is in the group of a level; here so that its history is kept."""

    class Meta:
        proxy = True


@keep_history(
    "user", "type", thing="Second factor", named_by=("type", "user"), seen_by="administer", plain=True
)
class SecondFactor(Authenticator):  # type: ignore[misc]
    """A second factor or recovery codes of an account; here so that its history is kept, never its `data`."""

    class Meta:
        proxy = True


@keep_history(
    "user",
    "name",
    "scopes",
    "created_at",
    "expires_at",
    "revoked_at",
    thing="API token",
    named_by=("name", "user"),
    seen_by="administer",
)
class ApiToken(models.Model):
    """A named key of an account: `fb_<id>_<secret>`, shown once; only the secret's SHA-256 is kept."""

    id = models.CharField(primary_key=True, max_length=12, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    scopes = ArrayField(models.CharField(max_length=20, choices=[(s, s) for s in SCOPES]))
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"

    def is_usable(self, now: dt.datetime) -> bool:
        return self.revoked_at is None and self.expires_at > now and self.user.is_active

    @classmethod
    def issue(
        cls, *, user: User, name: str, scopes: list[str], expires_at: dt.datetime
    ) -> tuple[ApiToken, str]:
        """Create a token; returns it with the secret text, which cannot be had again."""
        secret, ident = secrets.token_urlsafe(32), secrets.token_hex(6)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        token = cls.objects.create(
            id=ident, digest=digest, user=user, name=name, scopes=scopes, expires_at=expires_at
        )
        return token, f"{TOKEN_PREFIX}_{ident}_{secret}"
