"""Addresses of an incident's tasks and of its evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import require
from core.api.parsers import UploadParser
from core.api.serializers import EmptySerializer, OptionalReasonSerializer, ReasonSerializer
from core.api.views import ApiViewSet, command
from core.views.downloads import strangers_file
from incidents.api import work_serializers as shapes
from incidents.api.filters import EvidenceFilters, TaskFilters
from incidents.models import Evidence, Incident, Task
from incidents.rules.evidence import INLINE
from incidents.selectors.evidence import get_evidence, list_evidence, read_evidence
from incidents.selectors.records import get_incident
from incidents.selectors.tasks import get_task, list_tasks
from incidents.services import action_items, evidence, tasks


class TaskViewSet(ApiViewSet):
    """What somebody is to do on an incident."""

    queryset = Task.objects.none()
    serializer_class = shapes.TaskSerializer
    lookup_value_converter = "int"
    scopes = {"GET": "read", "POST": "write", "PATCH": "write"}
    filters = TaskFilters
    versioned = True
    about_more_than_one = ("list", "take_over")
    stands_still = False  # `overdue` comes by itself

    def list(self, request: Request, ref: str) -> Response:
        """Tasks, newest first."""
        return self.page(list_tasks(get_incident(ref, self.actor)), shapes.TaskSerializer)

    @extend_schema(request=shapes.CreateTaskSerializer, responses={201: shapes.TaskSerializer})
    def create(self, request: Request, ref: str) -> Response:
        """Write down what is to be done, by whom and until when."""
        incident = get_incident(ref, self.actor)
        body = self.body(shapes.CreateTaskSerializer)
        task = tasks.create_task(incident_id=incident.pk, **body, **self.by())
        return self.show(task, shapes.TaskSerializer, status=201)

    def retrieve(self, request: Request, ref: str, pk: int) -> Response:
        """One task."""
        task = get_task(get_incident(ref, self.actor), pk)
        return self.show(task, shapes.TaskSerializer, moves=True)

    @extend_schema(request=shapes.EditTaskSerializer)
    def partial_update(self, request: Request, ref: str, pk: int) -> Response:
        """Say it otherwise, give it to somebody else, or another time; only while it is open."""
        return self._do(tasks.edit_task, ref, pk, shapes.EditTaskSerializer)

    @command(takes=EmptySerializer, answers=shapes.TaskSerializer)
    def done(self, request: Request, ref: str, pk: int) -> Response:
        """It is done; 409 says who was first."""
        return self._do(tasks.complete_task, ref, pk, EmptySerializer)

    @command(takes=OptionalReasonSerializer, answers=shapes.TaskSerializer)
    def drop(self, request: Request, ref: str, pk: int) -> Response:
        """It will not be done."""
        return self._do(tasks.drop_task, ref, pk, OptionalReasonSerializer)

    @command(takes=EmptySerializer, answers=shapes.TaskSerializer)
    def reopen(self, request: Request, ref: str, pk: int) -> Response:
        """It is to be done after all."""
        return self._do(tasks.reopen_task, ref, pk, EmptySerializer)

    @extend_schema(request=EmptySerializer, responses=shapes.TakenOverSerializer)
    @action(detail=False, methods=["post"])
    def take_over(self, request: Request, ref: str) -> Response:
        """Make an action item of every open task, once the incident is resolved; the tasks end."""
        incident = get_incident(ref, self.actor)
        self.body(EmptySerializer)
        made = action_items.take_over_tasks(incident_id=incident.pk, **self.by())
        return Response(shapes.TakenOverSerializer({"results": made}).data)

    def _do(self, service: Callable[..., Task], ref: str, pk: int, takes: type[Any]) -> Response:
        incident = get_incident(ref, self.actor)
        task, body = get_task(incident, pk), self.body(takes)
        with self.unchanged(task, after=[Incident.objects.filter(pk=incident.pk)]):
            task = service(incident_id=incident.pk, task_id=task.pk, **body, **self.by())
        return self.show(task, shapes.TaskSerializer)


class EvidenceViewSet(ApiViewSet):
    """Files that show what happened on an incident."""

    queryset = Evidence.objects.none()
    serializer_class = shapes.AttachedEvidenceSerializer
    parser_classes = [UploadParser]
    scopes = {"GET": "read", "POST": "write"}
    filters = EvidenceFilters

    def list(self, request: Request, ref: str) -> Response:
        """Evidence, newest first; what was withdrawn too, without an address of its bytes."""
        rows = list_evidence(get_incident(ref, self.actor)).select_related("incident", "withdrawal")
        return self.page(rows, shapes.AttachedEvidenceSerializer)

    @extend_schema(request=shapes.AttachSerializer, responses={201: shapes.AttachedEvidenceSerializer})
    def create(self, request: Request, ref: str) -> Response:
        """Attach one file, sent as a form. What it is its bytes say, never its name or declared type."""
        incident = get_incident(ref, self.actor)
        require(self.actor, "respond")  # before the file is looked into
        if len(request.FILES.getlist("file")) > 1:
            raise ValidationError({"file": "Send one file at a time."})
        body = self.body(shapes.AttachSerializer)
        file = body.pop("file")
        row = evidence.attach_evidence(
            incident_id=incident.pk, name=file.name, content=file.read(), **body, **self.by()
        )
        return Response(shapes.AttachedEvidenceSerializer(row).data, status=201)


class EvidenceItemViewSet(ApiViewSet):
    """One file of an incident."""

    queryset = Evidence.objects.none()
    serializer_class = shapes.AttachedEvidenceSerializer
    scopes = {"GET": "read", "POST": "write"}

    def retrieve(self, request: Request, ref: str, pk: int) -> Response:
        """What is known of it: its SHA-256, who attached it, and who withdrew it."""
        return self._show(ref, pk)

    @extend_schema(
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY}, operation_id="evidence_content"
    )
    def content(self, request: Request, ref: str, pk: int) -> HttpResponse:
        """Its bytes, with `Content-Digest`; 404 once it is withdrawn."""
        row, data = read_evidence(get_incident(ref, self.actor), pk)
        return strangers_file(
            data,
            name=row.name,
            content_type=row.content_type,
            sha256=row.sha256,
            inline=row.content_type in INLINE,
        )

    @extend_schema(request=ReasonSerializer, responses=shapes.AttachedEvidenceSerializer)
    def withdraw(self, request: Request, ref: str, pk: int) -> Response:
        """Take it out of sight; its hash and its event stay."""
        incident = get_incident(ref, self.actor)
        body = self.body(ReasonSerializer)
        evidence.withdraw_evidence(incident_id=incident.pk, evidence_id=pk, **body, **self.by())
        return self._show(ref, pk)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Bytes are given whatever is asked for: what they are is not the asker's choice."""
        return super().perform_content_negotiation(request, force or self.action == "content")

    def _show(self, ref: str, pk: int) -> Response:
        return Response(
            shapes.AttachedEvidenceSerializer(get_evidence(get_incident(ref, self.actor), pk)).data
        )
