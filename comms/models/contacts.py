"""Whom to call. Source: seed, Emergency Contacts."""

from __future__ import annotations

import functools
from typing import ClassVar
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower

from comms.states import Means
from core.history import keep_history
from incidents.states import AUDIENCES, Role, audience_label


@functools.cache
def time_zones() -> frozenset[str]:
    """Every name of a time zone; read once, because it is a walk through folders."""
    return frozenset(available_timezones())


class ContactKind(models.TextChoices):
    PRIMARY = "primary", "Primary"
    ESCALATION = "escalation", "Escalation"
    EXTERNAL = "external", "External"
    TEAM = "team", "Team"


@keep_history(
    "name",
    "kind",
    "title",
    "role",
    "audiences",
    "email",
    "phone",
    "chat",
    "time_zone",
    "reach",
    "quiet_from",
    "quiet_until",
    "support_url",
    "user",
    "active",
    thing="Contact",
    named_by=("name",),
)
class Contact(models.Model):
    """A person or an outside party, the audiences they belong to, and how to reach them."""

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, choices=ContactKind.choices, default=ContactKind.TEAM)
    title = models.CharField(
        max_length=120, blank=True, help_text="Such as Technical Lead, CTO, Cloud Provider Support."
    )
    role = models.CharField(
        max_length=24, choices=Role.choices, blank=True, help_text="Primary contact for this role."
    )
    audiences = ArrayField(
        models.CharField(max_length=20, choices=[(a, audience_label(a)) for a in AUDIENCES]),
        default=list,
        blank=True,
    )
    email = models.EmailField(blank=True)
    phone = models.CharField(
        max_length=30,
        blank=True,
        validators=[RegexValidator(r"^\+?[0-9 ()./-]{3,30}\Z", "Digits, spaces and + ( ) . / -")],
    )
    chat = models.CharField(
        max_length=80,
        blank=True,
        db_default="",
        validators=[RegexValidator(r"^[A-Za-z0-9@._-]{2,80}\Z", "Letters, digits and @ . _ -")],
        help_text="The member's ID in the chat, such as U012AB3CD in Slack.",
    )
    time_zone = models.CharField(
        max_length=60, default="UTC", db_default="UTC", help_text="Such as Europe/Berlin."
    )
    reach = ArrayField(
        models.CharField(max_length=8, choices=Means.choices),
        default=list,
        db_default=[],
        blank=True,
        help_text="How to reach them, best first. Empty: the playbook's order.",
    )
    quiet_from = models.TimeField(
        null=True, blank=True, help_text="In their time zone. P0 and P1 are never held back."
    )
    quiet_until = models.TimeField(null=True, blank=True)
    support_url = models.URLField(blank=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    active = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["kind", "name"]  # by migration: the index contacts_search (words)
        constraints: ClassVar = [
            models.UniqueConstraint(
                Lower("email"),
                condition=~models.Q(email=""),
                name="contact_email_unique",
            ),
            models.CheckConstraint(
                condition=models.Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | models.Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="quiet_hours_have_both_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """What a field by itself cannot tell."""
        wrong: dict[str, str] = {}
        if self.time_zone not in time_zones():
            wrong["time_zone"] = f"There is no time zone {self.time_zone[:60]}, such as Europe/Berlin."
        if len(set(self.reach)) < len(self.reach):
            wrong["reach"] = "Name each way once."
        if len(set(self.audiences)) < len(self.audiences):
            wrong["audiences"] = "Name each audience once."
        if (self.quiet_from is None) != (self.quiet_until is None):
            wrong["quiet_from" if self.quiet_from is None else "quiet_until"] = "Give both ends, or neither."
        if wrong:
            raise ValidationError(wrong)
