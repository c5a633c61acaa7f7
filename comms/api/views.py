"""Addresses of contacts and of what was said about an incident."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from comms.api import serializers as shapes
from comms.api.filters import ContactFilters, MessageFilters
from comms.api.serializers import ContactSerializer, MessageSerializer
from comms.models import Contact, Message
from comms.selectors.outbox import get_message
from comms.services import composing, external
from comms.states import PUBLIC, Template
from core.actors import Actor
from core.api.serializers import EmptySerializer
from core.api.versions import etag_of
from core.api.views import ApiViewSet, command
from core.clock import utcnow
from core.errors import Invalid
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
    scopes = {"GET": "read", "POST": "write"}
    filters = MessageFilters

    def list(self, request: Request, ref: str) -> Response:
        """Messages about the incident, newest first."""
        return self.page(Message.objects.filter(incident=get_incident(ref, self.actor)), MessageSerializer)

    @extend_schema(request=shapes.ComposeSerializer, responses={201: shapes.MessageDetailSerializer})
    def create(self, request: Request, ref: str) -> Response:
        """Tell contacts at once, or with the audience `public` draft a message for users."""
        incident = get_incident(ref, self.actor)
        asked, outside = self._asked()
        send = external.draft_message if outside else composing.send_message
        made = send(incident_id=incident.pk, **asked, **self.by())
        return _detail(made, self.actor, status=201)

    @extend_schema(request=shapes.ComposeSerializer, responses=shapes.PreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request, ref: str) -> Response:
        """The message in each channel with the number of recipients; nothing is stored."""
        incident = get_incident(ref, self.actor)
        asked, outside = self._asked()
        look = composing.preview_external if outside else composing.preview_message
        return Response(shapes.PreviewSerializer(look(incident=incident, now=utcnow(), **asked)).data)

    def _asked(self) -> tuple[dict[str, Any], bool]:
        """What the service takes, and whether it is for users; raises Invalid."""
        body = self.body(shapes.ComposeSerializer)
        audience = body.pop("audience")
        if audience == PUBLIC:
            return {"template": Template.EXTERNAL_UPDATE, **body}, True
        text, template, channels = body.pop("body", ""), body.pop("template", ""), body.pop("channels", [])
        if body:
            raise Invalid(dict.fromkeys(body, "Only a message for users has this field."))
        return {
            "template": template or Template.NOTE,
            "audiences": [audience],
            "text": text,
            "channels": channels,
        }, False


class MessageViewSet(ApiViewSet):
    """One message, and the gate of those for users."""

    queryset = Message.objects.none()
    serializer_class = shapes.MessageDetailSerializer
    scopes = {"GET": "read", "PATCH": "write", "POST": "write"}
    versioned = True
    stands_still = False
    lookup_url_kwarg = "message"
    lookup_value_converter = "int"

    @extend_schema(responses=shapes.MessageDetailSerializer)
    def retrieve(self, request: Request, message: int) -> Response:
        """What it says, and what became of each delivery."""
        return _detail(get_message(self.actor, message), self.actor)

    @extend_schema(request=shapes.EditMessageSerializer, responses=shapes.MessageDetailSerializer)
    def partial_update(self, request: Request, message: int) -> Response:
        """Other words for a draft for users."""
        row = get_message(self.actor, message)
        body = self.body(shapes.EditMessageSerializer)
        with self.unchanged(row):
            external.edit_message(message_id=row.pk, **body, **self.by())
        return _detail(row, self.actor)

    @command(takes=EmptySerializer, answers=shapes.MessageDetailSerializer)
    def approve(self, request: Request, message: int) -> Response:
        """Let a draft for users out, as incident commander and in person; a token never does."""
        row = get_message(self.actor, message)
        self.body(EmptySerializer)
        with self.unchanged(row):
            external.approve_message(message_id=row.pk, **self.by())
        return _detail(row, self.actor)


def _detail(message: Message, actor: Actor, *, status: int = 200) -> Response:
    row = get_message(actor, message.pk)
    data = shapes.MessageDetailSerializer(row).data
    return Response(data, status=status, headers={"ETag": etag_of(row.version)})
