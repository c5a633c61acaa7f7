"""Shapes of an incident's files; docs/export.md says what each part holds."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from incidents.states import Severity


class ExportedEventSerializer(serializers.Serializer[Any]):
    """An event, and the text that its hash covers."""

    seq = serializers.IntegerField()
    kind = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    actor_kind = serializers.CharField()
    actor = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # the contract's name
    summary = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]  # the contract's name
    canonical = serializers.CharField()
    hash = serializers.CharField()


class ExportedTimelineSerializer(serializers.Serializer[Any]):
    """A timeline up to its head."""

    name = serializers.CharField()
    head_seq = serializers.IntegerField()
    head_hash = serializers.CharField()
    events = ExportedEventSerializer(many=True)


def _rows() -> serializers.ListField:
    return serializers.ListField(child=serializers.DictField())


class IncidentExportSerializer(serializers.Serializer[Any]):
    """Everything about one incident."""

    format = serializers.CharField()
    exported_at = serializers.DateTimeField()
    exported_by = serializers.CharField()
    incident = serializers.DictField()
    timeline = ExportedTimelineSerializer()
    responders = _rows()
    checklists = _rows()
    tasks = _rows()
    evidence = _rows()
    alerts = _rows()
    report = serializers.DictField(allow_null=True)
    rollbacks = _rows()
    messages = _rows()
    digest = serializers.CharField()


class SimilarIncidentSerializer(serializers.Serializer[Any]):
    """An incident of the past that is like another; `url` is the path of its page."""

    ref = serializers.CharField()
    title = serializers.CharField()
    severity = serializers.ChoiceField(choices=Severity.choices)
    declared_at = serializers.DateTimeField()
    resolved_at = serializers.DateTimeField()
    duration_seconds = serializers.IntegerField()
    reasons = serializers.ListField(child=serializers.CharField(), help_text="What both share.")
    resolution = serializers.CharField(help_text="Its beginning, in one line.")
    rolled_back_to = serializers.CharField(
        help_text="The version, or empty where no rollback brought one back."
    )
    url = serializers.CharField()


class SimilarIncidentsSerializer(serializers.Serializer[Any]):
    """The most alike first."""

    results = SimilarIncidentSerializer(many=True)
