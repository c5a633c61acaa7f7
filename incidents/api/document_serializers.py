"""Shapes of an incident's files; docs/export.md says what each part holds."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


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
