"""List 50, show 1, insert 1, take a delivery in: plain Django REST framework, one statement each."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework import serializers
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.ceiling.models import Delivered, Row, Shape, Written

ROLES = ("incident_commander", "technical_lead", "security_lead", "communications_lead", "development_lead")


class BareSerializer(serializers.ModelSerializer[Any]):
    """The API's shape of an incident, as a ModelSerializer makes it; what lives in other tables is constant."""

    services = serializers.SerializerMethodField()
    escalated_to = serializers.SerializerMethodField()
    response_breached = serializers.SerializerMethodField()
    duration_seconds = serializers.SerializerMethodField()
    roles = serializers.SerializerMethodField()
    active_rollback = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Row
        fields = (
            "ref", "title", "description", "impact", "kind", "severity", "security_level",
            "status", "services", "drill", "declared_at", "declared_by", "source", "started_at",
            "response_due_at", "acknowledged_at", "response_breached", "next_update_due_at",
            "resolved_at", "closed_at", "duration_seconds", "escalated_at", "escalated_to", "restricted",
            "roles", "active_rollback", "url",
        )  # fmt: skip

    def get_services(self, row: Shape) -> list[str]:
        return ["checkout"]

    def get_escalated_to(self, row: Shape) -> str | None:
        return row.escalated_to or None

    def get_response_breached(self, row: Shape) -> bool:
        return row.response_breached_at is not None

    def get_duration_seconds(self, row: Shape) -> float:
        end: dt.datetime = row.resolved_at or dt.datetime.now(dt.UTC)
        return round((end - row.declared_at).total_seconds(), 3)

    def get_roles(self, row: Shape) -> dict[str, str | None]:
        return dict.fromkeys(ROLES)

    def get_active_rollback(self, row: Shape) -> str | None:
        return None

    def get_url(self, row: Shape) -> str:
        return f"http://127.0.0.1/incidents/{row.ref}/"


class NewSerializer(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=200)
    severity = serializers.CharField(max_length=2)
    description = serializers.CharField()
    services = serializers.ListField(child=serializers.CharField())


class Newest(CursorPagination):
    page_size = 50
    ordering = "-id"


class Incidents(APIView):
    def get(self, request: Request) -> Response:
        pages = Newest()
        rows = pages.paginate_queryset(Row.objects.all(), request, self)
        return pages.get_paginated_response(BareSerializer(rows, many=True).data)

    def post(self, request: Request) -> Response:
        asked = NewSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        said, now = dict(asked.validated_data), dt.datetime.now(dt.UTC)
        said.pop("services")
        row = Written.objects.create(
            ref=uuid.uuid4().hex[:24], declared_at=now, started_at=now, response_due_at=now, **said
        )
        return Response(BareSerializer(row).data, status=201)


class Incident(APIView):
    def get(self, request: Request, ref: str) -> Response:
        return Response(BareSerializer(Row.objects.get(ref=ref)).data)


class Deliveries(APIView):
    def post(self, request: Request) -> Response:
        sent: Any = request.data
        Delivered.objects.create(body=json.dumps(sent), received_at=dt.datetime.now(dt.UTC))
        return Response({"accepted": len(sent["alerts"])}, status=202)


def hello(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, world!\n", content_type="text/plain")
