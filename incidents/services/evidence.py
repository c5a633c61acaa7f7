"""Commands on the evidence of an incident: attached whole, never changed, withdrawn with a reason."""

from __future__ import annotations

import datetime as dt
import hashlib

from django.conf import settings
from django.db import transaction

from core.access import require
from core.actors import Actor
from core.errors import Conflict, FirebreakError, Invalid, NotFound
from core.models import Event
from incidents.models import Evidence, EvidenceContent, EvidenceWithdrawal, Incident
from incidents.models.evidence import PIECE_BYTES
from incidents.rules.evidence import fitting_name, recognise, size_text
from incidents.services.tasks import lock_open_to_change
from incidents.timeline import record_on_incident

TEXT_LENGTH = 500


class AlreadyAttached(Conflict):
    """The same bytes are evidence of this incident already."""

    code = "already_attached"


class TooMuchEvidence(Conflict):
    """The incident has as many pieces of evidence as it may."""

    code = "too_much_evidence"


class EvidenceTooLarge(FirebreakError):
    """More bytes than EVIDENCE_MAX_BYTES."""

    code = "too_large"
    status = 413


class UnknownContent(Invalid):
    """None of the kinds of file that are kept."""

    code = "unknown_content"


@transaction.atomic
def attach_evidence(
    *,
    incident_id: int,
    name: str,
    content: bytes,
    actor: Actor,
    now: dt.datetime,
    description: str = "",
) -> Evidence:
    """Keep a file with its SHA-256 on the timeline. What it is its bytes decide, not its name.

    Raises EvidenceTooLarge, Invalid for an empty file, UnknownContent for one of no kind that is kept,
    AlreadyAttached for the same bytes again, TooMuchEvidence, Conflict on a closed incident.
    """
    require(actor, "respond")
    if len(content) > settings.EVIDENCE_MAX_BYTES:
        raise EvidenceTooLarge(f"A piece of evidence holds at most {size_text(settings.EVIDENCE_MAX_BYTES)}.")
    if not content:
        raise Invalid({"file": "The file is empty."})
    if len(description) > TEXT_LENGTH:
        raise Invalid({"description": f"At most {TEXT_LENGTH} characters."})
    found, digest = recognise(content), hashlib.sha256(content).hexdigest()
    if found is None:
        kept = "PNG, JPEG, GIF, WebP, PDF, ZIP, gzip and text in UTF-8"
        raise UnknownContent({"file": f"What is in the file is none of {kept}."})
    incident = lock_open_to_change(incident_id, actor)
    _check_place(incident, digest)
    evidence = Evidence.objects.create(
        incident=incident,
        name=fitting_name(name, found),
        description=description.strip(),
        kind=found.kind,
        content_type=found.content_type,
        size=len(content),
        sha256=digest,
        attached_at=now,
        attached_by=actor.label[:200],
        attached_by_account=actor.user_id,
    )
    for position, start in enumerate(range(0, len(content), PIECE_BYTES)):
        EvidenceContent.objects.create(
            evidence=evidence, position=position, piece=content[start : start + PIECE_BYTES]
        )
    said = f"Evidence: {evidence.name} ({size_text(evidence.size)})"
    said += f": {evidence.description}" if evidence.description else ""
    _record(incident, evidence, "evidence.attached", said, actor=actor, now=now)
    return evidence


@transaction.atomic
def withdraw_evidence(
    *, incident_id: int, evidence_id: int, reason: str, actor: Actor, now: dt.datetime
) -> Evidence:
    """Take it out of sight: its bytes, its hash and its event stay. Another's needs the level commander."""
    require(actor, "respond")
    incident = lock_open_to_change(incident_id, actor)
    evidence = incident.evidence.select_related("withdrawal").filter(pk=evidence_id).first()
    if evidence is None:
        raise NotFound("There is no such evidence on this incident.")
    if actor.user_id is None or evidence.attached_by_account != actor.user_id:
        require(actor, "command")
    if not reason.strip():
        raise Invalid({"reason": "Say why nobody shall see it."})
    if len(reason) > TEXT_LENGTH:
        raise Invalid({"reason": f"At most {TEXT_LENGTH} characters."})
    if hasattr(evidence, "withdrawal"):
        raise Conflict(f"{evidence.name} is withdrawn already.", state="withdrawn")
    EvidenceWithdrawal.objects.create(
        evidence=evidence, reason=reason.strip(), withdrawn_at=now, withdrawn_by=actor.label[:200]
    )
    said = f"Evidence withdrawn: {evidence.name}: {reason.strip()}"
    _record(incident, evidence, "evidence.withdrawn", said, actor=actor, now=now, reason=reason.strip())
    return evidence


def _check_place(incident: Incident, digest: str) -> None:
    same = incident.evidence.filter(sha256=digest, withdrawal__isnull=True).first()
    if same is not None:
        raise AlreadyAttached(f"The same file is attached already: {same.name}.", state="attached")
    most = settings.EVIDENCE_MAX_PER_INCIDENT
    if incident.evidence.count() >= most:
        said = f"{incident.ref} has {most} pieces of evidence, the most there may be."
        raise TooMuchEvidence(said, state=incident.status)


def _record(
    incident: Incident,
    evidence: Evidence,
    kind: str,
    summary: str,
    *,
    actor: Actor,
    now: dt.datetime,
    reason: str = "",
) -> Event:
    data = {
        "evidence": evidence.pk,
        "name": evidence.name,
        "content_type": evidence.content_type,
        "size": evidence.size,
        "sha256": evidence.sha256,
    }
    more = {"reason": reason} if reason else {}
    return record_on_incident(incident, kind, summary, actor=actor, now=now, data={**data, **more})
