"""Addresses of contacts and of what was said about an incident."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from comms.api.filters import ContactFilters, MessageFilters
from comms.api.serializers import (
    ChannelSerializer,
    ChannelTestSerializer,
    ContactSerializer,
    MessageSerializer,
)
from comms.deliveries.trial import send_test
from comms.facts import Sent
from comms.models import ConnectionSettings, Contact, Message
from comms.selectors.channels import list_channels
from core.api.serializers import EmptySerializer
from core.api.views import ApiViewSet, command
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


class ChannelViewSet(ApiViewSet):
    """How messages leave."""

    queryset = ConnectionSettings.objects.none()
    serializer_class = ChannelSerializer
    lookup_field = "key"
    scopes = {"GET": "read", "POST": "write"}

    @extend_schema(responses=ChannelSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Every channel of the playbook, in its order: one page."""
        return self.whole(ChannelSerializer(list_channels(), many=True).data)

    @command(takes=EmptySerializer, answers=ChannelTestSerializer)
    def test(self, request: Request, key: str) -> Response:
        """Send a test message to yourself, or to the channel's place; a few a minute."""
        self.body(EmptySerializer)
        outcome = send_test(key=key, **self.by())
        if isinstance(outcome, Sent):
            return Response({"sent": True, "receipt": outcome.receipt, "reason": ""})
        return Response({"sent": False, "receipt": "", "reason": outcome.reason})


class IncidentMessageViewSet(ApiViewSet):
    """What was said about one incident."""

    queryset = Message.objects.none()
    serializer_class = MessageSerializer
    scopes = {"GET": "read"}
    filters = MessageFilters

    def list(self, request: Request, ref: str) -> Response:
        """Messages about the incident, newest first."""
        return self.page(Message.objects.filter(incident=get_incident(ref, self.actor)), MessageSerializer)
