"""Every column that holds a text, found in the models, and putting payloads into all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pghistory
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

from core.models.history import Change
from incidents.models import ActionItem, Review

OWN = ("core", "incidents", "rollbacks", "comms")
# Columns that hold no text of anybody: `app.model.field`, or a whole model.
NEVER = {
    "core.stream": "names of Firebreak's own making",
    "core.event": "append-only: payloads are recorded, not written over",
    "core.referencecounter": "a day and a number",
    "core.heartbeat": "names of Firebreak's own making",
    "core.idempotentanswer": "never shown but to the program that sent it, as JSON",
    "core.ratebudget": "keys of Firebreak's own making, never shown",
    "core.healthsnapshot": "made anew every few seconds from the rows of core.process, which hold payloads",
    "core.secondfactor": "sealed secrets and public keys, written by allauth; names of passkeys have a test of their own",
    "core.apitoken.id": "hexadecimal, made by Firebreak",
    "core.apitoken.digest": "a digest",
    "core.user.password": "a hash",
    "core.pendingevent.consumer": "a name of the wiring",
    "incidents.incident.ref": "made by Firebreak",
    "incidents.incidenthold.reference": "a reference, made by Firebreak",
    "incidents.incidenthold.kind": "a word of the code",
    "incidents.checklistitem.checklist": "a key of the playbook",
    "incidents.checklistitem.phase": "a key of the playbook",
    "incidents.checklistitem.key": "a key of the playbook",
    "incidents.evidence": "append-only: payloads are recorded, not written over",
    "incidents.evidencewithdrawal": "append-only: payloads are recorded, not written over",
    "incidents.reportchange": "append-only: payloads are recorded, not written over",
    "incidents.reportrowchange": "append-only: payloads are recorded, not written over",
    "incidents.publishedreport": "append-only: payloads are recorded, not written over",
    "incidents.searchdocument": "made anew of rows that hold payloads",
    "incidents.service.slug": "a-z, 0-9 and hyphens: addresses are made of it",
    "incidents.service.procedure": "a key of the playbook",
    "incidents.monitor.policy": "a key of the playbook",
    "incidents.monitor.thresholds": "numbers",
    "incidents.inbounddelivery.token": "hexadecimal, made by Firebreak",
    "incidents.inbounddelivery.key": "found again by what a sender sends, never shown",
    "incidents.inbounddelivery.action": "a word of the format",
    "incidents.inbounddelivery.body": "never shown",
    "incidents.alert.group_key": "a digest",
    "incidents.reviewschedule": "a key of the playbook",
    "incidents.review.kind": "a key of the playbook",
    "incidents.review.period": "made by Firebreak",
    "incidents.review.asked": "words of the playbook, shown nowhere",
    "incidents.document.key": "a key of the playbook",
    "incidents.document.owner": "a word of the playbook",
    "incidents.document.url": "an address, checked when the playbook is loaded",
    "incidents.document.digest": "a digest",
    "incidents.document.reviewed_digest": "a digest",
    "incidents.trainingrecord.course": "a key of the playbook",
    "incidents.awaitedtraining.course": "a key of the playbook",
    "rollbacks.rollback.ref": "made by Firebreak",
    "rollbacks.rollback.procedure": "a key of the playbook",
    "rollbacks.rollback.queue": "a key of the playbook",
    "rollbacks.rollback.returns": "a word of the code",
    "rollbacks.rollback.procedure_digest": "a digest",
    "rollbacks.rollback.plan_digest": "a digest",
    "rollbacks.approval.plan_digest": "a digest",
    "rollbacks.approval.role": "a key of the playbook",
    "rollbacks.decision": "append-only; its sentences are Firebreak's own",
    "rollbacks.drill.scenario": "a key of the playbook",
    "rollbacks.drill.plan": "of the playbook",
    "rollbacks.drill.slot": "a time of the calendar",
    "rollbacks.drill.scorecard": "numbers and words of the code",
    "rollbacks.runner": "names of hosts and queues, digests: made by Firebreak's own processes",
    "comms.connectionsettings": "names of the playbook, sealed settings, and names of accounts",
    "comms.message.rollback_ref": "made by Firebreak",
    "comms.escalationclock.ladder": "a key of the playbook",
    "comms.webhookendpoint.secret": "sealed",
    "comms.webhookendpoint.old_secret": "sealed",
    "comms.component.public_id": "made by Firebreak",
    "comms.publicincident.public_id": "made by Firebreak",
    "comms.publicupdate.public_id": "made by Firebreak",
    "comms.publicupdate.components": "ids and states, made by Firebreak",
    "comms.publicupdate.changes": "ids and states, made by Firebreak, and public names",
    "comms.subscriber": "an address is shown nowhere, a key is made by Firebreak",
    "comms.statussnapshot": "errors of the disk, shown nowhere",
}
MUST_DIFFER = ("recipient", "email", "version", "from_version", "target_version", "host", "fingerprint")
SEPARATOR = " · "


def text_columns() -> Iterator[tuple[type[models.Model], list[models.Field[Any, Any]]]]:
    """The columns of each model that could hold somebody's text, less those of NEVER."""
    own = [
        model
        for model in apps.get_models()
        # The history cannot be written over: it is recorded of what is written here.
        if model._meta.app_label in OWN and not issubclass(model, Change)
    ]
    models_with_texts: list[type[models.Model]] = [*own, LogEntry]
    for model in models_with_texts:
        label = model._meta.label_lower
        found = [
            field
            for field in model._meta.concrete_fields
            if _holds_text(field) and label not in NEVER and f"{label}.{field.name}" not in NEVER
        ]
        if found:
            yield model, found


def _holds_text(field: models.Field[Any, Any]) -> bool:
    if isinstance(field, models.UUIDField | ArrayField) or field.choices or not field.concrete:
        return False
    return isinstance(field, models.CharField | models.TextField | models.JSONField)


def write_payloads(payloads: Sequence[str], number: int) -> None:
    """Put them into every column of every row; where a column is short, each row gets another one.

    The history says that it was somebody of such a name, or a program.
    """
    said = SEPARATOR.join(payloads)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('application_name', %s, false)", [payloads[0]])
        if number % 2:
            _write(payloads, number)
        else:
            with pghistory.context(actor=said, door=said, request=said):
                _write(payloads, number)
        cursor.execute("RESET application_name")


def _write(payloads: Sequence[str], number: int) -> None:
    for model, fields in text_columns():
        for index, row in enumerate(model._default_manager.order_by("pk")):
            values = {
                field.name: _value(field, payloads, number + index + place, row)
                for place, field in enumerate(fields)
            }
            if isinstance(row, ActionItem) and row.finished_at is None:
                del values["finished_by"]  # nobody has finished it, and the database knows
            model._default_manager.filter(pk=row.pk).update(**values)


def _value(field: models.Field[Any, Any], payloads: Sequence[str], turn: int, row: models.Model) -> Any:
    whole = SEPARATOR.join(payloads)
    if isinstance(field, models.JSONField):
        words = dict.fromkeys(("type", "url", "path", "p"), whole)
        if field.name == "agenda":  # its addresses are Firebreak's own
            line = {"text": whole, "detail": whole, "url": "", "incident": "", "tone": "warning"}
            return [{"key": "p", "title": whole, "count": 1, "figures": [], "lines": [line]}]
        if isinstance(row, Review):
            return words
        if field.name == "matchers":
            return [{"label": whole, "op": "=", "value": whole}]
        return [whole] if field.name in ("audiences", "notes") else words
    # What must differ from row to row begins with the row's number; an address must not.
    begin = f"{row.pk}{field.name[0]}" if field.unique or field.name in MUST_DIFFER else ""
    text = begin + whole
    if field.max_length is not None and len(text) > field.max_length:
        text = (begin + payloads[turn % len(payloads)])[: field.max_length]
    return text
