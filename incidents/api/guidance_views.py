"""Addresses of an incident's checklists and of the check of the criteria."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import ReasonSerializer
from core.api.views import ApiViewSet
from core.clock import utcnow
from incidents.api import guidance_serializers as shapes
from incidents.models import ChecklistItem, Incident
from incidents.selectors.checklists import list_checklists, show_item
from incidents.selectors.records import get_incident
from incidents.services import checklists, criteria


class ChecklistViewSet(ApiViewSet):
    """What must not be forgotten on an incident, and by when."""

    queryset = ChecklistItem.objects.none()
    serializer_class = shapes.ChecklistSerializer
    scopes = {"GET": "read", "POST": "write"}

    def list(self, request: Request, ref: str) -> Response:
        """The incident's checklists, phase by phase."""
        found = list_checklists(self.actor, get_incident(ref, self.actor), now=utcnow())
        return self.whole(shapes.ChecklistSerializer(found, many=True).data)

    @extend_schema(request=shapes.TickSerializer, responses=shapes.ChecklistItemSerializer)
    def tick(self, request: Request, ref: str, key: str, item: str) -> Response:
        """It is done; 409 says who ticked it before, and when."""
        return self._do(checklists.tick_item, ref, key, item, shapes.TickSerializer)

    @extend_schema(request=ReasonSerializer, responses=shapes.ChecklistItemSerializer)
    def untick(self, request: Request, ref: str, key: str, item: str) -> Response:
        """It is not done after all."""
        return self._do(checklists.untick_item, ref, key, item, ReasonSerializer)

    @extend_schema(request=shapes.AssignItemSerializer, responses=shapes.ChecklistItemSerializer)
    def assign(self, request: Request, ref: str, key: str, item: str) -> Response:
        """Give it to an account; they are reminded of it."""
        return self._do(checklists.assign_item, ref, key, item, shapes.AssignItemSerializer)

    def _do(
        self, service: Callable[..., ChecklistItem], ref: str, key: str, item: str, takes: type[Any]
    ) -> Response:
        incident: Incident = get_incident(ref, self.actor)
        body, by = self.body(takes), self.by()
        row = service(incident_id=incident.pk, checklist=key, item=item, **body, **by)
        shown = show_item(self.actor, incident, row, now=by["now"])
        return Response(shapes.ChecklistItemSerializer(shown).data)


class CriteriaViewSet(ApiViewSet):
    """Whether the policy recommends a rollback."""

    scopes = {"POST": "write"}

    @extend_schema(request=shapes.CriteriaSerializer, responses={200: shapes.RecommendationSerializer})
    def create(self, request: Request, ref: str) -> Response:
        """Check the incident against the playbook's criteria; nothing is started by it."""
        incident = get_incident(ref, self.actor)
        found = criteria.check_criteria(
            incident_id=incident.pk, **self.body(shapes.CriteriaSerializer), **self.by()
        )
        return Response(shapes.RecommendationSerializer(found).data)
