"""Addresses of action items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import EmptySerializer, ReasonSerializer
from core.api.views import ApiViewSet, command
from incidents.api import action_item_serializers as shapes
from incidents.api.filters import ActionItemFilters
from incidents.models import ActionItem, Incident
from incidents.selectors.action_items import get_action_item, list_action_items
from incidents.selectors.records import get_incident
from incidents.services import action_items


class ActionItemViewSet(ApiViewSet):
    """What somebody is to do after an incident, or because of a review."""

    queryset = ActionItem.objects.none()
    serializer_class = shapes.ActionItemSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write", "PATCH": "write"}
    filters = ActionItemFilters
    versioned = True
    stands_still = False  # `overdue` comes by itself

    def list(self, request: Request) -> Response:
        """Action items, newest first; those of drills left out unless asked for."""
        return self.page(list_action_items(self.actor), shapes.ActionItemSerializer)

    @extend_schema(request=shapes.CreateActionItemSerializer, responses={201: shapes.ActionItemSerializer})
    def create(self, request: Request) -> Response:
        """Write down what is to be done, by whom and until which day; also of a closed incident."""
        body = self.body(shapes.CreateActionItemSerializer)
        ref = body.pop("incident", None)
        incident = get_incident(ref, self.actor) if ref else None
        review = body.pop("review", None)
        item = action_items.create_action_item(
            incident_id=incident.pk if incident else None,
            review_id=review,
            **body,
            **self.by(),
        )
        return self._shown(item.pk, status=201)

    def retrieve(self, request: Request, pk: int) -> Response:
        """One action item."""
        item = get_action_item(self.actor, pk)
        return self.show(item, shapes.ActionItemSerializer, moves=True)

    @extend_schema(request=shapes.EditActionItemSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Say it otherwise, give it to somebody else, another day, or begin it; only until it is finished."""
        return self._do(action_items.edit_action_item, pk, shapes.EditActionItemSerializer)

    @command(takes=shapes.CompleteSerializer, answers=shapes.ActionItemSerializer)
    def complete(self, request: Request, pk: int) -> Response:
        """It is done; 409 says who was first."""
        return self._do(action_items.complete_action_item, pk, shapes.CompleteSerializer)

    @command(takes=ReasonSerializer, answers=shapes.ActionItemSerializer)
    def drop(self, request: Request, pk: int) -> Response:
        """It will not be done, and why."""
        return self._do(action_items.drop_action_item, pk, ReasonSerializer)

    @command(takes=EmptySerializer, answers=shapes.ActionItemSerializer)
    def reopen(self, request: Request, pk: int) -> Response:
        """It is to be done after all."""
        return self._do(action_items.reopen_action_item, pk, EmptySerializer)

    def _do(self, service: Callable[..., ActionItem], pk: int, takes: type[Any]) -> Response:
        item, body = get_action_item(self.actor, pk), self.body(takes)
        before = [Incident.objects.filter(pk=item.incident_id)] if item.incident_id else []
        with self.unchanged(item, after=before):
            service(item_id=item.pk, **body, **self.by())
        return self._shown(pk)

    def _shown(self, pk: int, status: int = 200) -> Response:
        item = get_action_item(self.actor, pk)
        return self.show(item, shapes.ActionItemSerializer, status=status)
