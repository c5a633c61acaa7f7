"""Addresses that other systems send alerts and changes to: checked for their shape, stored, answered.

The answer comes after the commit and before anything is done about it. A sender of Alertmanager's
webhook tries again only after a 5xx, so nothing that passes is a 4xx there.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from core.actors import Level
from core.api.authentication import BearerAuthentication, usable_token
from core.api.parsers import Sent, SentJSONParser
from core.api.serializers import EmptySerializer
from core.api.views import ApiViewSet
from core.clock import utcnow
from core.errors import FirebreakError, Invalid, NotAllowed
from core.models import ApiToken, User
from core.ratelimits import BUDGETS
from core.strict_json import is_storable
from incidents.api import ingest_serializers as shapes
from incidents.api.filters import InboundFilters
from incidents.ingest import alertmanager, pagerduty
from incidents.models import InboundDelivery
from incidents.selectors.alerts import get_delivery
from incidents.services.inbound import Overloaded, accept_delivery, retry_deliveries, without_secret
from incidents.states import InboundKind


class IngestViewSet(ApiViewSet):
    """What the addresses for senders have in common."""

    authentication_classes = [BearerAuthentication]
    parser_classes = [SentJSONParser]
    throttle_classes = []
    scopes = {"POST": "ingest"}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # Before anybody is asked who they are: only a POST has a body that says it.
        if str(request.method).lower() not in (self.action_map or {}):
            raise exceptions.MethodNotAllowed(str(request.method))
        super().initial(request, *args, **kwargs)
        if waits := BUDGETS.spend(f"token:{self.token.pk}:ingest", settings.API_RATES["ingest"]):
            raise exceptions.Throttled(wait=waits)

    @property
    def token(self) -> ApiToken:
        token = self.request.auth
        assert isinstance(token, ApiToken)
        return token

    @property
    def document(self) -> Sent:
        sent = self.request.data
        return sent if isinstance(sent, Sent) else Sent()


class AlertmanagerViewSet(IngestViewSet):
    """Alertmanager and Grafana."""

    @extend_schema(request=shapes.WebhookSerializer, responses={202: shapes.AcceptedSerializer})
    def create(self, request: Request) -> Response:
        """Take a webhook in. One alert per fingerprint and startsAt, however often it is sent.

        503 with Retry-After when too much waits: send it again, as Alertmanager does by itself.
        """
        number = alertmanager.check(self.document)
        if number:
            accept_delivery(
                kind=InboundKind.ALERTMANAGER, token=self.token, body=self.document.text, now=utcnow()
            )
        return Response({"accepted": number}, status=202)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, exceptions.Throttled | OperationalError):
            exc = Overloaded("Too much at once. Send it again.")
        return super().handle_exception(exc)


class RoutingKeyAuthentication(BaseAuthentication):
    """The token is the `routing_key` of the body, as PagerDuty has it."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        sent = request.data
        key = sent.get("routing_key") if isinstance(sent, Sent) else None
        if not isinstance(key, str):
            return None
        token = usable_token(request, key.strip())
        return token.user, token


class EventViewSet(IngestViewSet):
    """PagerDuty's Events API v2."""

    authentication_classes = [RoutingKeyAuthentication]

    @extend_schema(
        auth=[],
        request=shapes.EventSerializer,
        responses={
            202: shapes.EventAcceptedSerializer,
            "4XX": shapes.EventRefusedSerializer,
            429: shapes.EventRefusedSerializer,
        },
    )
    def create(self, request: Request) -> Response:
        """Trigger, acknowledge or resolve an alert, exactly as PagerDuty takes it."""
        document, now = self.document, utcnow()
        pagerduty.check(document)
        given = document.get("dedup_key") or uuid.uuid4().hex
        key = pagerduty.key_of(given)
        accept_delivery(
            kind=InboundKind.EVENT,
            token=self.token,
            body=without_secret(document),
            now=now,
            key=key,
            action=document["event_action"],
            occurred_at=pagerduty.said_at(document, received_at=now),
        )
        shown = given if is_storable(given) else key
        return Response({"status": "success", "message": "Event processed", "dedup_key": shown}, status=202)

    @extend_schema(
        auth=[],
        request=shapes.ChangeEventSerializer,
        responses={
            202: shapes.ChangeAcceptedSerializer,
            "4XX": shapes.EventRefusedSerializer,
            429: shapes.EventRefusedSerializer,
        },
    )
    def change(self, request: Request) -> Response:
        """A change event: with `custom_details.service` and `.version` it records a release."""
        document, now = self.document, utcnow()
        pagerduty.check_change(document)
        accept_delivery(
            kind=InboundKind.CHANGE,
            token=self.token,
            body=without_secret(document),
            now=now,
            occurred_at=pagerduty.said_at(document, received_at=now),
        )
        return Response({"status": "success", "message": "Change event processed"}, status=202)

    def handle_exception(self, exc: Exception) -> Response:
        """Every refusal as PagerDuty's clients read it."""
        refused = _as_pagerduty(exc)
        if refused is None:
            return super().handle_exception(exc)
        refused.exception = True  # type: ignore[attr-defined]
        return refused  # type: ignore[return-value]


def _as_pagerduty(error: Exception) -> HttpResponse | None:
    status, errors, headers = 400, [], {}
    match error:
        case pagerduty.NoEvent():
            errors = error.errors
        case Invalid():
            errors = [f"'{name}': {text}" for name, text in error.fields.items()]
        case exceptions.Throttled() | Overloaded() | OperationalError():
            status, errors = 429, ["Too many events at once. Send it again."]
            headers["Retry-After"] = str(int(getattr(error, "wait", None) or Overloaded.retry_after or 1))
        case exceptions.NotAuthenticated():
            errors = ["'routing_key' is missing"]
        case exceptions.AuthenticationFailed():
            errors = ["'routing_key' is not a usable token of this Firebreak"]
        case NotAllowed():
            errors = [f"'routing_key': {error.message}"]
        case exceptions.MethodNotAllowed() | exceptions.NotAcceptable():
            return None
        case exceptions.APIException():
            status, errors = error.status_code, [str(error.detail)]
        case FirebreakError():
            status, errors = error.status, [error.message]
        case _:
            return None
    word = "throttle exceeded" if status == 429 else "invalid event"
    said = "Too many events; try again later" if status == 429 else "Event object is invalid"
    body = {"status": word, "message": said, "errors": errors}
    return JsonResponse(body, status=status, headers=headers)


class InboundViewSet(ApiViewSet):
    """Deliveries as they came, for administrators."""

    queryset = InboundDelivery.objects.none()
    serializer_class = shapes.InboundSerializer
    scopes = {"GET": "read", "POST": "write"}
    filters = InboundFilters
    lookup_value_converter = "int"

    def list(self, request: Request) -> Response:
        """Deliveries, newest first; `parked=true` those that could not be handled."""
        if self.actor.level < Level.ADMINISTRATOR:
            raise NotAllowed("Deliveries are for administrators: they tell of every service.")
        return self.page(InboundDelivery.objects.defer("body"), shapes.InboundSerializer)

    @extend_schema(request=EmptySerializer, responses=shapes.InboundSerializer)
    def retry(self, request: Request, pk: int) -> Response:
        """Look into a parked one once more; by a person, never by token."""
        self.body(EmptySerializer)
        delivery = get_delivery(pk)
        retry_deliveries(delivery_id=pk, **self.by())
        delivery.refresh_from_db(fields=["attempts", "parked_at"])
        return Response(shapes.InboundSerializer(delivery).data)
