"""The half for users beside an incident's forms: what is said outside, written in the same breath."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import QueryDict
from django.urls import reverse

from comms.forms import EndForUsersForm, ForUsersForm
from comms.models import Message, PublicIncident
from comms.services import composing, external
from comms.services.messages import count_told
from comms.states import MessageState, PublicStatus, Template, Visibility
from core.actors import Actor
from core.clock import utcnow
from core.errors import FirebreakError
from core.views.commands import add_errors
from incidents.models import Incident
from incidents.states import IncidentStatus

PREFIX = "users"
_ORDER = ["", *PublicStatus.values]
# What users are told of the incident's own state, unless somebody chooses another.
_SAID_OF = {
    IncidentStatus.INVESTIGATING: PublicStatus.INVESTIGATING,
    IncidentStatus.ROLLBACK_INITIATED: PublicStatus.IDENTIFIED,
    IncidentStatus.MONITORING: PublicStatus.MONITORING,
}


class ForUsers:
    """Drafts a message for users beside a command on the incident, and approves it where the actor may.

    Left empty, users are told nothing.
    """

    template = "comms/companion.html"
    form_class: ClassVar[type[ForUsersForm]] = ForUsersForm
    message_template: ClassVar[Template] = Template.EXTERNAL_UPDATE
    event: ClassVar[str]  # what the form beside it records: whom it tells inside

    def __init__(self, actor: Actor, incident: Incident, data: QueryDict | None) -> None:
        self.actor, self.incident = actor, incident
        self.form: ForUsersForm | None = None
        self.why_not = ""
        self.shown: composing.Preview | None = None
        self.why_not_approve = external.why_not_approve(incident, actor)
        try:
            proposed = external.compose_update(incident, self.message_template, {}, now=utcnow())
        except FirebreakError as error:
            self.why_not = error.message
        else:
            self.form = self.form_class(
                data, prefix=PREFIX, update=proposed, may_approve=not self.why_not_approve
            )

    # --- what the page shows

    @property
    def can_preview(self) -> bool:
        return self.form is not None

    @property
    def consequences(self) -> tuple[str, ...]:
        inside = count_told(self.event, self.incident, now=utcnow())
        lines = [f"Told inside at once: {inside.words}."]
        if self.form is not None:
            outside = composing.count_outside(self.message_template)
            lines.append(f"Users read their text after the commander's approval: {outside}.")
        return tuple(lines)

    def waiting(self) -> list[dict[str, str]]:
        """Drafts of the incident that nobody has approved yet, the newest first."""
        drafts = Message.objects.filter(
            incident=self.incident, visibility=Visibility.EXTERNAL, state=MessageState.DRAFT
        )
        return [
            {"label": draft.get_template_display(), "url": reverse("comms:message", args=[draft.pk])}
            for draft in drafts[:5]
        ]

    # --- what the form does

    def recall(self, typed: Mapping[str, Any]) -> None:
        """Begin with what was typed before, by the names that the form posts."""
        if self.form is not None:
            kept = {name: typed[key] for name in self.form.fields if (key := f"{PREFIX}-{name}") in typed}
            self.form.initial = {**self.form.initial, **kept}

    def is_valid(self) -> bool:
        return self.form is None or self.form.is_valid()

    def preview(self, data: Mapping[str, Any], now: dt.datetime) -> None:
        """How it would look in every channel, and to how many; what is wrong stands in the form."""
        if self.form is None or not self.form.is_valid():
            return
        try:
            self.shown = composing.preview_external(
                incident=self.incident,
                template=self.message_template,
                actor=self.actor,
                now=now,
                **self.form.said(self._status(data)),
            )
        except FirebreakError as error:
            self.blame(error)

    def run(self, data: Mapping[str, Any], now: dt.datetime) -> str:
        """The draft, approved where that is ticked; nothing where nothing was written."""
        if self.form is None or not self.form.has_something_to_say:
            return ""
        draft = external.draft_message(
            incident_id=self.incident.pk,
            template=self.message_template,
            actor=self.actor,
            now=now,
            **self.form.said(self._status(data)),
        )
        if not self.form.cleaned_data["approve"]:
            return "The text for users waits for the incident commander."
        external.approve_message(message_id=draft.pk, actor=self.actor, now=now)
        return "The text for users is approved and leaves now."

    def blame(self, error: FirebreakError) -> None:
        """Say in its own form why `run` was refused."""
        if self.form is not None:
            add_errors(self.form, error)

    def _status(self, data: Mapping[str, Any]) -> str:
        """What users are told of the state. It steps back only where the incident does."""
        moved = data.get("status") not in ("", None, self.incident.status)
        said = _SAID_OF.get(IncidentStatus(data.get("status") or self.incident.status), "")
        public = PublicIncident.objects.filter(incident=self.incident, resolved_at__isnull=True).first()
        if moved or public is None:
            return said
        return max(said, public.status, key=_ORDER.index)


class UpdateForUsers(ForUsers):
    """Beside an update."""

    event = "incident.updated"


class EndForUsers(ForUsers):
    """Beside the end of an incident. Left empty, the routing's own draft says that it is over."""

    form_class = EndForUsersForm
    message_template = Template.ISSUE_RESOLVED
    event = "incident.resolved"

    def _status(self, data: Mapping[str, Any]) -> str:
        return PublicStatus.RESOLVED
