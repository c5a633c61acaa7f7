"""Addresses of contacts and of what was said about an incident."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from comms.api import serializers as shapes
from comms.api.filters import ContactFilters, ImportParameters, MessageFilters
from comms.api.serializers import ContactSerializer, MessageSerializer
from comms.deliveries.trial import send_test
from comms.facts import Sent
from comms.models import ConnectionSettings, Contact, Message
from comms.selectors.channels import list_channels
from comms.selectors.contacts import get_contact, sheet
from comms.selectors.outbox import get_message
from comms.services import composing, contacts, external
from comms.services.paging import page_for_role
from comms.states import PUBLIC, Template
from core.access import require
from core.actors import Actor
from core.api.parsers import BodyTooLarge
from core.api.serializers import EmptySerializer
from core.api.versions import etag_of
from core.api.views import ApiViewSet, command
from core.errors import Invalid, NotFound
from incidents.selectors.records import get_incident
from incidents.states import INCIDENT_ROLES


class SheetParser(BaseParser):
    """A body of the type text/csv, as it came."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body: bytes = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge
        return body.decode("latin-1")  # every byte as it is: the service reads it


class ContactViewSet(ApiViewSet):
    """Whom to call."""

    queryset = Contact.objects.none()
    serializer_class = ContactSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write", "PATCH": "write", "DELETE": "write"}
    filters = ContactFilters

    def list(self, request: Request) -> Response:
        """Contacts, newest first."""
        return self.page(Contact.objects.select_related("user"), ContactSerializer)

    @extend_schema(request=shapes.CreateContactSerializer, responses={201: ContactSerializer})
    def create(self, request: Request) -> Response:
        """Add somebody to call."""
        contact = contacts.create_contact(values=self.body(shapes.CreateContactSerializer), **self.by())
        return Response(ContactSerializer(get_contact(contact.pk)).data, status=201)

    def retrieve(self, request: Request, pk: int) -> Response:
        """One contact."""
        return Response(ContactSerializer(get_contact(pk)).data)

    @extend_schema(request=shapes.EditContactSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change who they are, or how they are reached."""
        changes = self.body(shapes.EditContactSerializer)
        contacts.edit_contact(contact_id=pk, changes=changes, **self.by())
        return Response(ContactSerializer(get_contact(pk)).data)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """No longer somebody to call."""
        contacts.remove_contact(contact_id=pk, **self.by())
        return Response(status=204)


class ContactSheetViewSet(ApiViewSet):
    """Contacts as CSV, out and in."""

    queryset = Contact.objects.none()
    scopes = {"GET": "read", "POST": "write"}
    filters = ImportParameters
    filtered = ("take_in",)
    about_more_than_one = ("give_out", "take_in")
    parser_classes = [SheetParser]

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR}, operation_id="contacts_sheet")
    def give_out(self, request: Request) -> HttpResponse:
        """All contacts as CSV, as the import takes them; no cell is a formula."""
        return HttpResponse(
            sheet(Contact.objects.order_by("pk")),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="contacts.csv"'},
        )

    @extend_schema(
        request={"text/csv": OpenApiTypes.STR},
        responses=shapes.ImportedSerializer,
        parameters=[ImportParameters],
        operation_id="contacts_import",
    )
    def take_in(self, request: Request) -> Response:
        """Look at a sheet, or with `?apply=true` store it: all of its rows, or none and what is wrong."""
        require(self.actor, "configure")  # before the body is read
        done = contacts.import_contacts(
            data=str(request.data or "").encode("latin-1"), apply=self.parameters()["apply"], **self.by()
        )
        return Response(shapes.ImportedSerializer(done).data, status=400 if done.wrong else 200)


class ChannelViewSet(ApiViewSet):
    """How messages leave."""

    queryset = ConnectionSettings.objects.none()
    serializer_class = shapes.ChannelSerializer
    lookup_field = "key"
    scopes = {"GET": "read", "POST": "write"}

    @extend_schema(responses=shapes.ChannelSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Every channel of the playbook, in its order: one page."""
        return self.whole(shapes.ChannelSerializer(list_channels(), many=True).data)

    @command(takes=EmptySerializer, answers=shapes.ChannelTestSerializer)
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
        return Response(shapes.PreviewSerializer(look(incident=incident, **asked, **self.by())).data)

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


class RolePageViewSet(ApiViewSet):
    """Calling people for a role of an incident that nobody holds."""

    queryset = Message.objects.none()
    serializer_class = shapes.PagedForRoleSerializer
    scopes = {"POST": "write"}

    @extend_schema(request=shapes.PageForRoleSerializer, responses=shapes.PagedForRoleSerializer)
    def page_for(self, request: Request, ref: str, role: str) -> Response:
        """Page everybody who may hold the role, at most once in five minutes."""
        incident = get_incident(ref, self.actor)
        if role not in INCIDENT_ROLES:
            raise NotFound(f"There is no role {role[:80]} on an incident.")
        body = self.body(shapes.PageForRoleSerializer)
        names = page_for_role(incident_id=incident.pk, role=role, **body, **self.by())
        return Response(shapes.PagedForRoleSerializer({"role": role, "paged": names}).data)


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
