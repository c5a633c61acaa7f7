"""Addresses of outgoing webhooks."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from comms.api import webhook_serializers as shapes
from comms.api.filters import WebhookDeliveryFilters, WebhookFilters
from comms.models import WebhookDelivery, WebhookEndpoint
from comms.selectors.webhooks import delivery_records, get_webhook, webhook_records
from comms.services import webhooks
from core.api.serializers import EmptySerializer
from core.api.views import ApiViewSet, command


class WebhookViewSet(ApiViewSet):
    """Outgoing webhooks: which addresses are told of which events."""

    queryset = WebhookEndpoint.objects.none()
    serializer_class = shapes.WebhookSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write", "PATCH": "write", "DELETE": "write"}
    filters = WebhookFilters
    versioned = True
    stands_still = False

    def list(self, request: Request) -> Response:
        """Webhooks, newest first."""
        return self.page(webhook_records(self.actor), shapes.WebhookSerializer)

    @extend_schema(
        request=shapes.CreateWebhookSerializer, responses={201: shapes.WebhookWithSecretSerializer}
    )
    def create(self, request: Request) -> Response:
        """Tell an address of events from now on. The answer has the secret, this once."""
        endpoint, secret = webhooks.create_webhook(**self.body(shapes.CreateWebhookSerializer), **self.by())
        return self._with_secret(endpoint, secret, status=201)

    def retrieve(self, request: Request, pk: int) -> Response:
        """One webhook."""
        return self.show(get_webhook(pk, self.actor), shapes.WebhookSerializer, moves=True)

    @extend_schema(request=shapes.EditWebhookSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change which events go where, disable it, or enable it again."""
        endpoint, changes = get_webhook(pk, self.actor), self.body(shapes.EditWebhookSerializer)
        with self.unchanged(endpoint):
            endpoint = webhooks.edit_webhook(webhook_id=pk, changes=changes, **self.by())
        return self.show(endpoint, shapes.WebhookSerializer)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Tell it nothing more; its log goes with it."""
        endpoint = get_webhook(pk, self.actor)
        with self.unchanged(endpoint):
            webhooks.remove_webhook(webhook_id=pk, **self.by())
        return Response(status=204)

    @command(takes=EmptySerializer, answers=shapes.WebhookWithSecretSerializer)
    def rotate_secret(self, request: Request, pk: int) -> Response:
        """A new secret, shown this once; the old one signs as well for 24 hours."""
        endpoint = get_webhook(pk, self.actor)
        self.body(EmptySerializer)
        with self.unchanged(endpoint):
            endpoint, secret = webhooks.rotate_webhook_secret(webhook_id=pk, **self.by())
        return self._with_secret(endpoint, secret, status=200)

    @extend_schema(responses={202: shapes.WebhookDeliverySerializer})
    @command(takes=EmptySerializer, answers=shapes.WebhookDeliverySerializer)
    def test(self, request: Request, pk: int) -> Response:
        """Send it an event of the kind `webhook.test`; the log says what it answered."""
        self.body(EmptySerializer)
        delivery = webhooks.send_test(webhook_id=pk, **self.by())
        return Response(shapes.WebhookDeliverySerializer(delivery).data, status=202)

    @extend_schema(responses={202: shapes.ReplayedSerializer})
    @command(takes=shapes.ReplaySerializer, answers=shapes.ReplayedSerializer)
    def replay(self, request: Request, pk: int) -> Response:
        """Send every event since a time again, also what it got already."""
        number = webhooks.replay_events(webhook_id=pk, **self.body(shapes.ReplaySerializer), **self.by())
        return Response({"events": number}, status=202)

    def _with_secret(self, endpoint: WebhookEndpoint, secret: str, *, status: int) -> Response:
        """The answer has the secret; what a repeat gets has it not, because nothing keeps it."""
        endpoint.secret = secret
        answer = self.show(endpoint, shapes.WebhookWithSecretSerializer, status=status)
        answer.kept = dict(answer.data) | {"secret": None}  # type: ignore[attr-defined]
        answer["Cache-Control"] = "no-store"
        return answer


class WebhookDeliveryViewSet(ApiViewSet):
    """What one webhook was told."""

    queryset = WebhookDelivery.objects.none()
    serializer_class = shapes.WebhookDeliverySerializer
    lookup_field = "delivery"
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write"}
    filters = WebhookDeliveryFilters

    def list(self, request: Request, pk: int) -> Response:
        """Deliveries, newest first, each with the answers to its attempts."""
        return self.page(delivery_records(pk, self.actor), shapes.WebhookDeliverySerializer)

    @extend_schema(responses={202: shapes.WebhookDeliverySerializer})
    @command(takes=EmptySerializer, answers=shapes.WebhookDeliverySerializer)
    def replay(self, request: Request, pk: int, delivery: int) -> Response:
        """Send it again, whatever became of it."""
        self.body(EmptySerializer)
        sent = webhooks.replay_delivery(webhook_id=pk, delivery_id=delivery, **self.by())
        return Response(shapes.WebhookDeliverySerializer(sent).data, status=202)
