"""The doors of an incident's evidence: attached, withdrawn, given out as files and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from core.actors import Actor
from core.views.downloads import strangers_file
from core.views.reading import reading
from incidents import forms
from incidents.models import Evidence
from incidents.rules.evidence import INLINE, size_text
from incidents.selectors.evidence import get_evidence, read_evidence
from incidents.selectors.incident_page import get_incident
from incidents.services.evidence import attach_evidence, withdraw_evidence
from incidents.views.incidents import IncidentCommand


@reading
def download(request: HttpRequest, actor: Actor, ref: str, pk: int) -> HttpResponse:
    """The bytes of a piece of evidence; an image may stand in a page."""
    row, data = read_evidence(get_incident(actor, ref), pk)
    inline = row.content_type in INLINE
    return strangers_file(
        data, name=row.name, content_type=row.content_type, sha256=row.sha256, inline=inline
    )


class Attach(IncidentCommand):
    form_class = forms.EvidenceForm
    title = "Attach evidence"
    submit_label = "Attach"

    def form_arguments(self) -> dict[str, Any]:
        return {"files": self.request.FILES} if self.request.method == "POST" else {}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        file = data["file"]
        row = attach_evidence(
            incident_id=self.incident.pk,
            name=file.name,
            content=file.read(),
            description=data["description"],
            actor=self.actor,
            now=now,
        )
        return f"{row.name} is attached."

    def extra_context(self) -> dict[str, Any]:
        return {
            "consequences": [
                f"At most {size_text(settings.EVIDENCE_MAX_BYTES)}.",
                "It is kept as it is, with its SHA-256 on the timeline.",
                "Everybody who may see the incident may see it.",
            ]
        }


class Withdraw(IncidentCommand):
    form_class = forms.ReasonForm
    title = "Withdraw"
    danger = True
    evidence: Evidence

    def load(self, **kwargs: Any) -> None:
        super().load(**kwargs)
        self.evidence = get_evidence(self.incident, kwargs["pk"])

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        address: dict[str, Any] = {"incident_id": self.incident.pk, "evidence_id": self.evidence.pk}
        withdraw_evidence(**address, actor=self.actor, now=now, **data)
        return f"{self.evidence.name} is withdrawn."

    def extra_context(self) -> dict[str, Any]:
        return {
            "title": f"{self.title}: {self.evidence.name}",
            "consequences": [
                "Nobody can open it any more. Its name, its SHA-256 and your reason stay on the timeline."
            ],
        }
