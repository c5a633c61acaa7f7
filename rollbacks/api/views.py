"""Addresses of rollbacks, their steps, the procedures and the switch of automation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.filters import Filters
from core.api.serializers import EmptySerializer, OptionalReasonSerializer, ReasonSerializer
from core.api.views import ApiViewSet, command
from core.errors import Invalid, NotFound
from incidents.models import Incident, Service
from incidents.selectors.records import get_incident
from rollbacks.api import serializers as shapes
from rollbacks.api.filters import DecisionFilters, RollbackFilters
from rollbacks.models import Decision, Rollback, RollbackStep
from rollbacks.selectors.decisions import decision_records
from rollbacks.selectors.output import output_after
from rollbacks.selectors.procedures import list_procedures
from rollbacks.selectors.records import get_rollback, rollback_records
from rollbacks.services import (
    attention,
    automation,
    break_glass,
    confirmations,
    editing,
    judging,
    requests,
    undo,
)

MAX_OFFSET = 2**53


class RollbackAnswers(ApiViewSet):
    """What the addresses that act on one rollback share."""

    queryset = Rollback.objects.none()
    serializer_class = shapes.RollbackSerializer
    lookup_field = "ref"
    versioned = True

    def _do(self, service: Callable[..., object], ref: str, takes: type[Any], **values: object) -> Response:
        rollback, body = get_rollback(ref, self.actor), self.body(takes)
        incident = Incident.objects.filter(pk=rollback.incident_id)
        with self.unchanged(rollback, after=(incident,)):
            service(rollback_id=rollback.pk, **values, **body, **self.by())
        return self._show(ref)

    def _show(self, ref: str, status: int = 200) -> Response:
        rollback = rollback_records(self.actor).filter(ref=ref).first()
        if rollback is None:
            raise NotFound(f"There is no rollback {ref[:80]}.")
        runs = rollback.completed_at is None  # its steps change without a new version
        return self.show(rollback, shapes.RollbackSerializer, status=status, moves=runs)


class RollbackViewSet(RollbackAnswers):
    """Rollbacks. What a token requests always awaits a person."""

    scopes = {"GET": "read", "POST": "rollback", "PATCH": "rollback"}
    filters = RollbackFilters

    def list(self, request: Request) -> Response:
        """Rollbacks, newest first; drills only when asked for."""
        return self.page(rollback_records(self.actor), shapes.RollbackSerializer)

    @extend_schema(request=shapes.RequestRollbackSerializer, responses={201: shapes.RollbackSerializer})
    def create(self, request: Request) -> Response:
        """Ask for a rollback; 409 while another one of the service is under way."""
        body = self.body(shapes.RequestRollbackSerializer)
        incident = Incident.objects.visible_to(self.actor).filter(ref=body.pop("incident")).first()
        if incident is None:
            raise Invalid({"incident": "No such incident."})
        rollback = requests.request_rollback(incident_id=incident.pk, **body, **self.by())
        return self._show(rollback.ref, status=201)

    def retrieve(self, request: Request, ref: str) -> Response:
        """One rollback with its steps and approvals."""
        return self._show(ref)

    @extend_schema(request=shapes.EditRollbackSerializer, responses=shapes.RollbackSerializer)
    def partial_update(self, request: Request, ref: str) -> Response:
        """Change it before it runs, never by token. Another target or parameters void every approval."""
        rollback, changes = get_rollback(ref, self.actor), self.body(shapes.EditRollbackSerializer)
        incident = Incident.objects.filter(pk=rollback.incident_id)
        with self.unchanged(rollback, after=(incident,)):
            editing.edit_rollback(rollback_id=rollback.pk, changes=changes, **self.by())
        return self._show(ref)

    @command(takes=ReasonSerializer, answers=shapes.RollbackSerializer)
    def break_glass(self, request: Request, ref: str) -> Response:
        """Let it run although another person is missing; management is told at once. Never by token."""
        return self._do(break_glass.break_glass, ref, ReasonSerializer)

    @command(takes=OptionalReasonSerializer, answers=shapes.RollbackSerializer)
    def approve(self, request: Request, ref: str) -> Response:
        """Approve the plan as it stands; never by token, never by who asked for it or edited it."""
        return self._do(requests.approve_rollback, ref, OptionalReasonSerializer)

    @command(takes=ReasonSerializer, answers=shapes.RollbackSerializer)
    def reject(self, request: Request, ref: str) -> Response:
        """Say no."""
        return self._do(requests.reject_rollback, ref, ReasonSerializer)

    @command(takes=ReasonSerializer, answers=shapes.RollbackSerializer)
    def cancel(self, request: Request, ref: str) -> Response:
        """Stop it: at once before it runs, else between two steps."""
        return self._do(requests.cancel_rollback, ref, ReasonSerializer)

    @extend_schema(request=ReasonSerializer, responses={201: shapes.RollbackSerializer})
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, ref: str) -> Response:
        """Ask for the way back to the version that was left, which another person approves."""
        return self._replace(undo.undo_rollback, ref, ReasonSerializer)

    @extend_schema(request=shapes.HandOverSerializer, responses={201: shapes.RollbackSerializer})
    @action(detail=True, methods=["post"])
    def hand_over(self, request: Request, ref: str) -> Response:
        """Another target for one that needs attention: a new rollback, which another person approves."""
        return self._replace(undo.hand_over, ref, shapes.HandOverSerializer)

    @command(takes=shapes.JudgeSerializer, answers=shapes.RollbackSerializer)
    def judge(self, request: Request, ref: str) -> Response:
        """Say of a rollback that is over whether it was necessary; never by token."""
        rollback, body = get_rollback(ref, self.actor), self.body(shapes.JudgeSerializer)
        with self.unchanged(rollback, after=_service_and_incident(rollback)):
            judging.judge_rollback(rollback_id=rollback.pk, **body, **self.by())
        return self._show(ref)

    def _replace(self, service: Callable[..., Rollback], ref: str, takes: type[Any]) -> Response:
        rollback, body = get_rollback(ref, self.actor), self.body(takes)
        with self.unchanged(rollback, after=_service_and_incident(rollback)):
            child = service(rollback_id=rollback.pk, **body, **self.by())
        return self._show(child.ref, status=201)


def _service_and_incident(rollback: Rollback) -> tuple[QuerySet[Any], ...]:
    """What is locked before a rollback, in that order."""
    return (
        Service.objects.filter(pk=rollback.service_id),
        Incident.objects.filter(pk=rollback.incident_id),
    )


class IncidentRollbackViewSet(ApiViewSet):
    """The rollbacks of one incident."""

    queryset = Rollback.objects.none()
    serializer_class = shapes.RollbackSerializer
    scopes = {"GET": "read"}

    def list(self, request: Request, ref: str) -> Response:
        """Rollbacks of the incident, newest first, drills included."""
        incident = get_incident(ref, self.actor)
        return self.page(rollback_records(self.actor).filter(incident=incident), shapes.RollbackSerializer)


class StepViewSet(RollbackAnswers):
    """What people, and only people, say about a step."""

    scopes = {"POST": "rollback"}

    @extend_schema(request=ReasonSerializer, responses=shapes.RollbackSerializer)
    def mark_done(self, request: Request, ref: str, position: int) -> Response:
        """A person has made sure that the step's effect is there: go on after it."""
        return self._do(attention.mark_step_done, ref, ReasonSerializer, position=position)

    @extend_schema(request=ReasonSerializer, responses=shapes.RollbackSerializer)
    def retry(self, request: Request, ref: str, position: int) -> Response:
        """A person answers for running the step once more."""
        return self._do(attention.retry_step, ref, ReasonSerializer, position=position)

    @extend_schema(request=shapes.ConfirmSerializer, responses=shapes.RollbackSerializer)
    def confirm(self, request: Request, ref: str, position: int) -> Response:
        """Say yes to what a `confirm` step asks: the rollback goes on."""
        return self._do(confirmations.confirm_step, ref, shapes.ConfirmSerializer, position=position)

    @extend_schema(request=ReasonSerializer, responses=shapes.RollbackSerializer)
    def abort(self, request: Request, ref: str, position: int) -> Response:
        """A person takes over outside Firebreak: the rollback ends as resolved by hand."""
        return self._do(attention.abort_rollback, ref, ReasonSerializer, position=position)


class PlainText(BaseRenderer):
    """Bytes as they are."""

    media_type = "text/plain"
    format = "txt"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        return bytes(data)


class OutputFilters(Filters):
    """From which byte on."""

    after = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET, default=0)


class StepOutputViewSet(ApiViewSet):
    """What a step said in its newest attempt: the first and the last 256 KiB, while it runs too."""

    queryset = RollbackStep.objects.none()
    renderer_classes = (PlainText,)
    scopes = {"GET": "read"}
    filters = OutputFilters
    filtered = ("retrieve",)

    @extend_schema(
        parameters=[
            OpenApiParameter("after", int, description="Skip so many bytes."),
            OpenApiParameter(
                "Firebreak-Next-Byte",
                int,
                OpenApiParameter.HEADER,
                response=True,
                description="Where to go on reading. It can be more than what was skipped and sent together:"
                " of a long output the middle is not kept.",
            ),
        ],
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def retrieve(self, request: Request, ref: str, position: int) -> HttpResponse:
        """The output as plain text."""
        step = get_rollback(ref, self.actor).steps.filter(position=position).first()
        if step is None:
            raise NotFound(f"{ref[:80]} has no step {str(position)[:20]}.")
        asked = self.parameters()
        # Not the framework's own response: that one has no content type when there is no output yet.
        output = output_after(step, asked["after"])
        headers = {"Firebreak-Next-Byte": str(output.next_byte)}
        return HttpResponse(
            output.data, content_type=f"{PlainText.media_type}; charset=utf-8", headers=headers
        )


class DecisionViewSet(ApiViewSet):
    """What automation decided, and why: the answer to "why did it not roll back?"."""

    queryset = Decision.objects.none()
    serializer_class = shapes.DecisionSerializer
    scopes = {"GET": "read"}
    filters = DecisionFilters

    def list(self, request: Request) -> Response:
        """Decisions, newest first."""
        return self.page(decision_records(self.actor), shapes.DecisionSerializer)


class ProcedureViewSet(ApiViewSet):
    """The playbook's procedures."""

    serializer_class = shapes.ProcedureSerializer
    scopes = {"GET": "read"}

    def list(self, request: Request) -> Response:
        """Every procedure; the playbook is small, so there is one page."""
        return self.whole(list(shapes.ProcedureSerializer(list_procedures(), many=True).data))


class AutomationViewSet(ApiViewSet):
    """The one switch of all automation."""

    serializer_class = shapes.AutomationSerializer
    scopes = {"GET": "read", "POST": "rollback"}

    def retrieve(self, request: Request) -> Response:
        """Armed or not, by whom and why."""
        return Response(shapes.AutomationSerializer(automation.current_switch()).data)

    @extend_schema(request=ReasonSerializer)
    def disarm(self, request: Request) -> Response:
        """No automatic rollback from now on."""
        switch = automation.disarm_automation(**self.body(ReasonSerializer), **self.by())
        return Response(shapes.AutomationSerializer(switch).data)

    @extend_schema(request=EmptySerializer)
    def arm(self, request: Request) -> Response:
        """Allow automatic rollbacks again; only a person may."""
        switch = automation.arm_automation(**self.body(EmptySerializer), **self.by())
        return Response(shapes.AutomationSerializer(switch).data)
