"""Addresses of contacts and of what was said about an incident."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from comms.api.filters import ContactFilters, MessageFilters
from comms.api.serializers import ContactSerializer, MessageSerializer
from comms.models import Contact, Message
from core.api.views import ApiViewSet
from incidents.selectors.records import get_incident


class ContactViewSet(ApiViewSet):
    """Whom to call."""

    queryset = Contact.objects.none()
    serializer_class = ContactSerializer
    scopes = {"GET": "read"}
    filters = ContactFilters

    def list(self, request: Request) -> Response:
        """Contacts, newest first."""
        return self.page(Contact.objects.select_related("user"), ContactSerializer)


class IncidentMessageViewSet(ApiViewSet):
    """What was said about one incident."""

    queryset = Message.objects.none()
    serializer_class = MessageSerializer
    scopes = {"GET": "read"}
    filters = MessageFilters

    def list(self, request: Request, ref: str) -> Response:
        """Messages about the incident, newest first."""
        return self.page(Message.objects.filter(incident=get_incident(ref, self.actor)), MessageSerializer)
