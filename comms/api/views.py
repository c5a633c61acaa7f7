"""Addresses of contacts."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from comms.api.serializers import ContactSerializer
from comms.models import Contact
from core.api.views import ApiViewSet


class ContactViewSet(ApiViewSet):
    """Whom to call."""

    queryset = Contact.objects.none()
    serializer_class = ContactSerializer
    scopes = {"GET": "read"}

    def list(self, request: Request) -> Response:
        """Contacts, newest first."""
        return self.page(Contact.objects.select_related("user"), ContactSerializer)
