"""Documents that are looked over: what the playbook names, and what is known of each."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Max, QuerySet
from django.urls import reverse
from django.utils.module_loading import import_string

from core.errors import NotFound
from core.events import rfc3339
from core.models import Event
from core.playbook import get_playbook
from incidents import policy
from incidents.facts import KeptText
from incidents.models import Document
from incidents.states import DocumentOutcome, audience_label


@dataclass(frozen=True)
class Wanted:
    """A document as the playbook names it now. `every`, and `first`, how long nobody need have looked at it,
    are in seconds; `digest` is empty where unknown.
    """

    key: str
    name: str
    owner: str
    every: float
    first: float
    digest: str = ""
    url: str = ""


@dataclass(frozen=True)
class DocumentLine:
    """A document on its page. `state` is one of STATES, in words `state_label`."""

    key: str
    name: str
    owner: str
    url: str
    due_at: dt.datetime
    reviewed_at: dt.datetime | None
    reviewed_by: str
    outcome: str
    note: str
    state: str
    state_label: str
    review_url: str


FIRST_LOOK = 7 * 86_400.0  # s: whether a document says what the team does, nobody knows until it was read

STATES = {
    "overdue": "Overdue",
    "changed": "Changed since",
    "never": "Never",
    "current": "Current",
}


def wanted_documents() -> tuple[Wanted, ...]:
    """Every document of the playbook: those named, and each procedure and checklist by itself."""
    asked = policy.reviews()
    whole = get_playbook().digest
    named = [
        Wanted(
            f"document:{key}",
            one.name,
            one.owner,
            one.every,
            min(one.every, FIRST_LOOK),
            whole if one.covers else "",
            one.url or "",
        )
        for key, one in asked.documents.items()
    ]
    upkeep = {"procedures": asked.procedures, "checklists": asked.checklists}
    found = [text for path in settings.REVIEWED_TEXTS for text in import_string(path)()]
    kept = [
        Wanted(
            f"{text.kind.removesuffix('s')}:{text.key}",
            text.name,
            upkeep[text.kind].owner,
            upkeep[text.kind].every,
            upkeep[text.kind].every,  # the shipped ones come in dozens, and were read by who wrote them
            text.digest,
            text.url,
        )
        for text in found
    ]
    return (*named, *kept)


def checklist_texts() -> tuple[KeptText, ...]:
    """The playbook's checklists as texts to be looked over."""
    return tuple(
        KeptText("checklists", key, f"Checklist {one.name}", _digest(one.model_dump(mode="json")))
        for key, one in get_playbook()["checklists"].root.items()
    )


def _digest(said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def list_documents() -> QuerySet[Document]:
    return Document.objects.filter(active=True)


def document_lines(*, now: dt.datetime) -> tuple[DocumentLine, ...]:
    """Every document, what needs somebody first (one query)."""
    lines = [_line(row, now) for row in list_documents().order_by("name", "pk")]
    return tuple(sorted(lines, key=lambda line: (list(STATES).index(line.state), line.name)))


def last_reviewed(url: str) -> dt.datetime | None:
    """When a document at this address was looked over last (one query)."""
    found: dt.datetime | None = list_documents().filter(url=url).aggregate(at=Max("reviewed_at"))["at"]
    return found


def document_state(row: Document, now: dt.datetime) -> str:
    """One of STATES."""
    if row.due_at <= now:
        return "overdue"
    if row.changed_since:
        return "changed"
    return "current" if row.reviewed_at else "never"


def get_document(document_id: int) -> Document:
    """Raises NotFound."""
    found = list_documents().filter(pk=document_id).first()
    if found is None:
        raise NotFound("There is no such document.")
    return found


def is_document_due(event: Event) -> bool:
    """Whether what the event reminds of is still to be done, and due when it said."""
    row = list_documents().filter(key=event.data["document"]).first()
    return row is not None and rfc3339(row.due_at) == event.data["due_at"]


def _line(row: Document, now: dt.datetime) -> DocumentLine:
    state = document_state(row, now)
    return DocumentLine(
        key=row.key,
        name=row.name,
        owner=audience_label(row.owner),
        url=row.url,
        due_at=row.due_at,
        reviewed_at=row.reviewed_at,
        reviewed_by=row.reviewed_by,
        outcome=str(DocumentOutcome(row.outcome).label) if row.outcome else "",
        note=row.note,
        state=state,
        state_label=STATES[state],
        review_url=reverse("incidents:review_document", args=[row.pk]),
    )
