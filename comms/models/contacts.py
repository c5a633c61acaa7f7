"""Whom to call. Source: seed, Emergency Contacts."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower

from core.history import keep_history
from incidents.states import AUDIENCES, Role, audience_label


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
    support_url = models.URLField(blank=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    active = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["kind", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                Lower("email"),
                condition=~models.Q(email=""),
                name="contact_email_unique",
            )
        ]

    def __str__(self) -> str:
        return self.name
