"""Shapes of tasks and evidence, in and out."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.urls import reverse
from rest_framework import serializers

from core.api.fields import Line, Moment
from core.api.serializers import StrictSerializer
from core.clock import utcnow
from incidents.api.action_item_serializers import ActionItemSerializer
from incidents.models import Evidence, Task
from incidents.services.evidence import TEXT_LENGTH
from incidents.states import EvidenceKind, TaskState


class TaskSerializer(serializers.ModelSerializer[Task]):
    """One thing to do; `owner` is an account's name, `overdue` says that its time has come."""

    owner = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=TaskState.choices)
    overdue = serializers.SerializerMethodField()
    finished_by = serializers.SerializerMethodField()

    class Meta:
        model = Task
        fields = (
            "id", "title", "owner", "due_at", "state", "overdue", "created_at", "created_by",
            "finished_at", "finished_by",
        )  # fmt: skip

    def get_owner(self, task: Task) -> str | None:
        return task.owner.get_username() if task.owner else None

    def get_overdue(self, task: Task) -> bool:
        return task.is_overdue(utcnow())

    def get_finished_by(self, task: Task) -> str | None:
        return task.finished_by or None


class CreateTaskSerializer(StrictSerializer):
    """What is to be done, by whom and until when."""

    title = Line(max_length=200)
    owner = Line(max_length=150, required=False, allow_null=True)
    due_at = Moment(required=False, allow_null=True)


class EditTaskSerializer(StrictSerializer):
    """What shall be different; null is nobody, or no time."""

    title = Line(max_length=200, required=False)
    owner = Line(max_length=150, required=False, allow_null=True)
    due_at = Moment(required=False, allow_null=True)


class TakenOverSerializer(serializers.Serializer[Any]):
    """The action items that open tasks go on as, in their order; empty where none was open."""

    results = ActionItemSerializer(many=True)


class AttachedEvidenceSerializer(serializers.ModelSerializer[Evidence]):
    """One file; `url` is where its bytes are, null once it is withdrawn."""

    kind = serializers.ChoiceField(choices=EvidenceKind.choices)
    withdrawn_at = serializers.SerializerMethodField()
    withdrawn_by = serializers.SerializerMethodField()
    withdrawn_reason = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Evidence
        fields = (
            "id", "name", "description", "kind", "content_type", "size", "sha256",
            "attached_at", "attached_by", "withdrawn_at", "withdrawn_by", "withdrawn_reason", "url",
        )  # fmt: skip

    def get_withdrawn_at(self, row: Evidence) -> dt.datetime | None:
        return row.withdrawal.withdrawn_at if hasattr(row, "withdrawal") else None

    def get_withdrawn_by(self, row: Evidence) -> str | None:
        return row.withdrawal.withdrawn_by if hasattr(row, "withdrawal") else None

    def get_withdrawn_reason(self, row: Evidence) -> str | None:
        return row.withdrawal.reason if hasattr(row, "withdrawal") else None

    def get_url(self, row: Evidence) -> str | None:
        if hasattr(row, "withdrawal"):
            return None
        return f"{settings.PUBLIC_URL}{reverse('evidence-content', args=[row.incident.ref, row.pk])}"


class AttachSerializer(StrictSerializer):
    """A form with one file and what there is to say about it."""

    file = serializers.FileField()
    description = Line(max_length=TEXT_LENGTH, required=False, allow_blank=True)
