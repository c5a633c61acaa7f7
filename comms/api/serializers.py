"""Shapes of contacts."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from comms.models import Contact
from comms.models.contacts import AUDIENCES, ContactKind


class ContactSerializer(serializers.ModelSerializer[Contact]):
    """Whom to call, and how."""

    kind = serializers.ChoiceField(choices=ContactKind.choices)
    role = serializers.CharField()
    audiences = serializers.ListField(child=serializers.ChoiceField(choices=AUDIENCES))
    user = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)

    class Meta:
        model = Contact
        fields = (
            "id",
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
        )
        read_only_fields = fields
