"""Commands on the documents that the team keeps: found in the playbook, looked over, reminded of."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import F
from django.urls import reverse

from core import events, live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Invalid, NotAllowed, NotFound
from incidents import policy
from incidents.models import Document
from incidents.rules.follow_up import OVERDUE
from incidents.selectors.documents import Wanted, wanted_documents
from incidents.services.reminders import note_as_said, remind
from incidents.states import DocumentOutcome
from incidents.timeline import record_on_system

NOTE_LENGTH = 5_000


def look_after_documents(*, now: dt.datetime) -> int:
    """Follow the playbook, and remind of what is due; returns how much was done."""
    done = _follow_playbook(now)
    kept = Document.objects.filter(active=True)
    return done + remind(kept, plan=policy.review_plan(), now=now, say=lambda pk: _remind(pk, now))


@transaction.atomic
def review_document(
    *, document_id: int, outcome: str, actor: Actor, now: dt.datetime, note: str = ""
) -> Document:
    """It was looked over: `unchanged`, or `changed` with a note that says what. Raises NotFound, Invalid,
    NotAllowed for a token.
    """
    require(actor, "respond")
    if not actor.is_person:
        raise NotAllowed("Only a person says that a document was looked over, never a token.")
    document = Document.objects.select_for_update(no_key=True).filter(pk=document_id, active=True).first()
    if document is None:
        raise NotFound("There is no such document.")
    if outcome not in DocumentOutcome.values:
        raise Invalid({"outcome": "Say unchanged or changed."})
    if outcome == DocumentOutcome.CHANGED and not note.strip():
        raise Invalid({"note": "Say what was changed, or is to be changed."})
    if len(note) > NOTE_LENGTH:
        raise Invalid({"note": f"At most {NOTE_LENGTH} characters."})
    wanted = {one.key: one for one in wanted_documents()}.get(document.key)
    if wanted is None:
        raise NotFound("The playbook names no such document any more.")
    _save(
        document,
        digest=wanted.digest,
        reviewed_digest=wanted.digest,
        reviewed_at=now,
        reviewed_by=actor.label[:200],
        outcome=outcome,
        note=note.strip(),
        due_at=now + dt.timedelta(seconds=wanted.every),
        reminded_at=None,
        overdue_at=None,
    )
    said = f"{document.name} reviewed: {str(DocumentOutcome(outcome).label).lower()}"
    more = {"outcome": outcome, "digest": document.digest, "note": document.note[:500]}
    _record(document, "document.reviewed", said, actor, now, **more)
    return document


@transaction.atomic
def _follow_playbook(now: dt.datetime) -> int:
    """New documents get a due time, changed ones their digest, those that are gone rest; returns how many."""
    there = {row.key: row for row in Document.objects.all()}
    wanted = {one.key: one for one in wanted_documents()}
    done = 0
    for key, one in wanted.items():
        row = there.get(key)
        if row is None:
            due_at = now + dt.timedelta(seconds=one.first)
            _row, made = Document.objects.get_or_create(key=key, defaults={**_said(one), "due_at": due_at})
            done += made
        elif any(getattr(row, name) != value for name, value in _said(one).items()):
            _save(row, **_said(one))
            done += 1
    for key, row in there.items():
        if key not in wanted and row.active:
            _save(row, active=False)
            done += 1
    return done


def _said(one: Wanted) -> dict[str, Any]:
    return {"name": one.name, "owner": one.owner, "url": one.url, "digest": one.digest, "active": True}


@transaction.atomic
def _remind(document_id: int, now: dt.datetime) -> bool:
    document = Document.objects.select_for_update(no_key=True).get(pk=document_id)
    kind = note_as_said(document, plan=policy.review_plan(), now=now) if document.active else ""
    if not kind:
        return False
    late = kind == OVERDUE
    said = f"{document.name} {'was' if late else 'is'} to be looked over until {document.due_at:%Y-%m-%d}"
    _record(document, "document.overdue" if late else "document.due", said, SYSTEM, now, to=[document.owner])
    return True


def _save(document: Document, **columns: Any) -> None:
    for name, value in columns.items():
        setattr(document, name, value)
    document.version = F("version") + 1
    document.save(update_fields=[*columns, "version"])
    document.refresh_from_db(fields=["version"])


def _record(document: Document, kind: str, said: str, actor: Actor, now: dt.datetime, **data: Any) -> None:
    about = {
        "document": document.key,
        "path": reverse("incidents:documents"),
        "due_at": events.rfc3339(document.due_at),
    }
    record_on_system(kind, said, actor=actor, now=now, data={**about, **data})
    live.poke("documents")
