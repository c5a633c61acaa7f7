"""The doors of the commands on an incident."""

from __future__ import annotations

import datetime as dt
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from django import forms as django_forms
from django.db import transaction
from django.forms.utils import ErrorDict
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.assurance import ReauthenticationRequired, SecondFactorRequired
from core.clock import utcnow
from core.errors import FirebreakError, NotFound
from core.versions import at_version
from core.views.commands import CommandView
from incidents import forms
from incidents.companions import Companion, CompanionRefused, find_companion
from incidents.models import ChecklistItem, Incident, Responder
from incidents.selectors.cards import incident_url
from incidents.selectors.checklists import get_item
from incidents.selectors.declaration import security_level_cards, severity_cards, told_text
from incidents.selectors.incident_page import get_incident
from incidents.selectors.people import get_holder
from incidents.services import incidents as commands
from incidents.services.checklists import tick_item, untick_item
from incidents.services.criteria import check_criteria
from incidents.services.escalation import escalate_incident
from incidents.services.notes import add_note
from incidents.services.people import add_responder, assign_role, release_role
from incidents.services.secrecy import restrict_incident, set_security_level, unrestrict_incident
from incidents.states import INCIDENT_ROLES, IncidentKind, Role, audience_label

WHO_SEES = "Seen only by who works on it, by who may be security lead, and by administrators."


class Declare(CommandView):
    """Open an incident."""

    template_name = "incidents/declare.html"
    form_class = forms.DeclareForm
    title = "Declare an incident"
    ref = ""

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        incident = commands.declare_incident(actor=self.actor, now=now, **data)
        self.ref = incident.ref
        return f"{incident.ref} is declared; told: {told_text(incident.severity)}."

    def back_url(self) -> str:
        return incident_url(self.ref) if self.ref else reverse("incidents:now")

    def extra_context(self) -> dict[str, Any]:
        return {"severities": severity_cards()}


class BackToIncident(CommandView):
    """A command that leads back to the incident's page where it was begun there, by `?back=incident`."""

    BACK = "incident"

    def comes_from_incident(self) -> bool:
        return self.request.GET.get("back") == self.BACK

    def action_url(self) -> str:
        address = super().action_url()
        return f"{address}?back={self.BACK}" if self.comes_from_incident() else address


class IncidentCommand(CommandView):
    """A command on the incident that the address names."""

    incident: Incident

    def load(self, **kwargs: str) -> None:
        self.incident = get_incident(self.actor, kwargs["ref"])

    def back_url(self) -> str:
        return incident_url(self.incident.ref)


class Acknowledge(IncidentCommand):
    title = "Acknowledge"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.acknowledge_incident(incident_id=self.incident.pk, actor=self.actor, now=now)
        return f"You acknowledged {self.incident.ref}."

    def extra_context(self) -> dict[str, Any]:
        return {"intro": "You take this on: the response clock stops."}


class AccompaniedCommand(IncidentCommand):
    """A command whose form another app may stand beside: both are done in one transaction, or neither."""

    template_name = "incidents/accompanied.html"
    form_name: ClassVar[str]  # as the wiring's FORM_COMPANIONS has it
    companion: Companion | None

    def load(self, **kwargs: str) -> None:
        super().load(**kwargs)
        sent = self.request.POST if self.request.method == "POST" else None
        self.companion = find_companion(self.form_name, self.actor, self.incident, sent)

    def command(self, data: dict[str, Any], now: dt.datetime) -> str:
        """Call the service; returns what to tell the person."""
        raise NotImplementedError

    def post(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        if self.companion is None or "preview" not in request.POST:
            return super().post(request, **kwargs)
        form = self.form_class(request.POST, **self.form_arguments())
        said = form.cleaned_data if form.is_valid() else {}
        self.companion.preview(said, utcnow())
        shown = self.form_class(request.POST, **self.form_arguments())
        shown._errors = ErrorDict()  # type: ignore[attr-defined]  # a preview complains of nothing that is not written yet
        return self._show(shown, status=200)

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        if self.companion is None:
            return self.command(data, now)
        if not self.companion.is_valid():
            raise CompanionRefused
        with transaction.atomic():
            said = self.command(data, now)
            try:
                more = self.companion.run(data, now)
            except (SecondFactorRequired, ReauthenticationRequired):
                raise  # the person is led to the proof, and back with both texts
            except FirebreakError as error:
                self.companion.blame(error)
                raise CompanionRefused from error
        return f"{said} {more}".strip()

    def extra_context(self) -> dict[str, Any]:
        told = [f"Told: {told_text(self.incident.severity)}."]
        consequences = list(self.companion.consequences) if self.companion else told
        return {"companion": self.companion, "consequences": [*consequences, *self.own_consequences()]}

    def own_consequences(self) -> list[str]:
        """What follows besides that people are told."""
        return []

    def _show(self, form: django_forms.Form, *, status: int) -> HttpResponse:
        if self.companion is not None and not form.is_bound:
            self.companion.recall(form.initial)
        return super()._show(form, status=status)


class CarefulCommand(IncidentCommand):
    """A command whose form says what the person saw: what changed since is not overwritten."""

    def form_arguments(self) -> dict[str, Any]:
        return {"incident": self.incident}

    def unchanged(self) -> AbstractContextManager[None]:
        """Around the service: the form was compared with this version, so it must still be that."""
        return at_version(Incident.objects.filter(pk=self.incident.pk), {self.incident.version})


class Edit(CarefulCommand):
    form_class = forms.EditForm
    title = "Edit the incident"
    submit_label = "Save"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        with self.unchanged():
            commands.edit_incident(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{self.incident.ref} is saved."


class Update(AccompaniedCommand, CarefulCommand):
    form_class = forms.UpdateForm
    form_name = "update"
    title = "Post an update"

    def command(self, data: dict[str, Any], now: dt.datetime) -> str:
        with self.unchanged():
            commands.post_update(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return "The update is posted."

    def own_consequences(self) -> list[str]:
        return ["The clock of the next update starts again."]


class ChangeSeverity(CarefulCommand):
    form_class = forms.SeverityForm
    title = "Change severity"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        with self.unchanged():
            commands.change_severity(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{self.incident.ref} is {data['severity']} now."

    def extra_context(self) -> dict[str, Any]:
        consequences = [
            f"{card.key} {card.name}: {card.definition}. Respond within {card.response_text}."
            for card in severity_cards()
        ]
        intro = "Raised, the response is due at the earlier of the old and the new time; lowered, the later."
        return {"intro": intro, "consequences": consequences}


class Escalate(IncidentCommand):
    form_class = forms.EscalateForm
    title = "Escalate"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        escalate_incident(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{self.incident.ref} is escalated: {audience_label(data['to'])} is told."

    def form_arguments(self) -> dict[str, Any]:
        return {"incident": self.incident}

    def extra_context(self) -> dict[str, Any]:
        told = told_text(self.incident.severity)
        return {
            "intro": f"{self.incident.severity} told {told} when it was declared.",
            "consequences": [
                "Told at once: every contact of the audience you choose, with your reason and a link.",
                "The timeline and the page say that it is escalated.",
            ],
        }


class Resolve(AccompaniedCommand):
    form_class = forms.ResolveForm
    form_name = "resolve"
    title = "Resolve"

    def command(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.resolve_incident(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{self.incident.ref} is resolved."

    def own_consequences(self) -> list[str]:
        return ["It can be reopened until it is closed."]


class Reopen(IncidentCommand):
    form_class = forms.ReasonForm
    title = "Reopen"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.reopen_incident(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{self.incident.ref} is open again."


class Close(IncidentCommand):
    form_class = forms.OptionalReasonForm
    title = "Close"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        commands.close_incident(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{self.incident.ref} is closed."

    def extra_context(self) -> dict[str, Any]:
        return {"consequences": ["A closed incident does not change any more."]}


class AddNote(IncidentCommand):
    form_class = forms.NoteForm
    title = "Add to the timeline"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        add_note(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return "It stands on the timeline."


class CheckCriteria(IncidentCommand):
    form_class = forms.CriteriaForm
    title = "Check the criteria"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        found = check_criteria(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{found.text}."

    def extra_context(self) -> dict[str, Any]:
        return {
            "intro": "Tick what is the case. The strongest tier with something ticked is the recommendation.",
            "consequences": ["It stands on the timeline as a decision. Nothing is rolled back by it."],
        }


class ChecklistCommand(IncidentCommand):
    """A command on one item of a checklist of the incident."""

    item: ChecklistItem

    def load(self, **kwargs: str) -> None:
        super().load(**kwargs)
        self.item = get_item(self.incident, kwargs["checklist"], kwargs["item"])

    def address(self) -> dict[str, Any]:
        """Which item, as the services take it."""
        return {
            "incident_id": self.incident.pk,
            "checklist": self.item.checklist,
            "item": self.item.key,
        }

    def extra_context(self) -> dict[str, Any]:
        return {"title": f"{self.title}: {self.item.name}", "intro": f"{self.item.text}."}


class Tick(ChecklistCommand):
    form_class = forms.TickForm
    title = "Done"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        tick_item(**self.address(), actor=self.actor, now=now, **data)
        return f"{self.item.name} is done."


class Untick(ChecklistCommand):
    form_class = forms.ReasonForm
    title = "Not done"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        untick_item(**self.address(), actor=self.actor, now=now, **data)
        return f"{self.item.name} is open again."


class SetSecurityLevel(CarefulCommand):
    form_class = forms.SecurityLevelForm
    title = "Set the security level"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        with self.unchanged():
            set_security_level(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{self.incident.ref} is a security incident of level {data['level']}."

    def extra_context(self) -> dict[str, Any]:
        consequences = [
            f"Level {card.level}: {card.authority_text} may roll back; {', '.join(card.actions)}."
            for card in security_level_cards()
        ]
        if self.incident.kind != IncidentKind.SECURITY:
            consequences.insert(0, f"It becomes a security incident. {WHO_SEES}")
        intro = "Raised, the response is due at the earlier of the old and the new time; lowered, the later."
        return {"intro": intro, "consequences": consequences}


class Restrict(IncidentCommand):
    form_class = forms.ReasonForm
    title = "Restrict"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        restrict_incident(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{self.incident.ref} is restricted: others read {self.incident.code_name}."

    def extra_context(self) -> dict[str, Any]:
        undone = "Only who may be security lead, or an administrator, opens it up again."
        return {"consequences": [WHO_SEES, undone]}


class Unrestrict(IncidentCommand):
    form_class = forms.ReasonForm
    title = "Open up"
    danger = True

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        unrestrict_incident(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{self.incident.ref} is open to everybody who reads incidents."

    def extra_context(self) -> dict[str, Any]:
        return {
            "consequences": [
                "Everybody who reads incidents reads all of it, with what was written while it was secret.",
                "Programs and rooms are told by its name from then on. What they read cannot be taken back.",
            ]
        }


class AddResponder(IncidentCommand):
    form_class = forms.ResponderForm
    title = "Add a responder"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        add_responder(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return f"{data['username']} is on {self.incident.ref}."

    def form_arguments(self) -> dict[str, Any]:
        return {"incident": self.incident}

    def extra_context(self) -> dict[str, Any]:
        if not self.incident.restricted:
            return {}
        return {"consequences": ["They see this restricted incident from then on; the timeline says so."]}


class RoleCommand(IncidentCommand):
    """A command on one role of the incident."""

    role: Role

    def load(self, **kwargs: str) -> None:
        super().load(**kwargs)
        if kwargs["role"] not in INCIDENT_ROLES:
            raise NotFound("No such role.")
        self.role = Role(kwargs["role"])

    def extra_context(self) -> dict[str, Any]:
        return {"title": f"{self.title}: {self.role.label}"}


class HolderCommand(RoleCommand):
    """Another one is to hold the role, or nobody, as whoever asks saw who holds it."""

    form_class: type[forms.HolderForm] = forms.HolderForm
    holder: Responder | None

    def load(self, **kwargs: str) -> None:
        super().load(**kwargs)
        self.holder = get_holder(self.incident, self.role)

    def form_arguments(self) -> dict[str, Any]:
        return {"holder": self.holder}

    def extra_context(self) -> dict[str, Any]:
        holds = [f"{self.holder.user} holds it now."] if self.holder else []
        return {**super().extra_context(), "consequences": holds}

    def as_seen(self) -> dict[str, Any]:
        """Which role, as the form was compared with it, as the services take it."""
        holder = self.holder.user.get_username() if self.holder else ""
        return {"incident_id": self.incident.pk, "role": self.role, "replaces": holder, "actor": self.actor}


class TakeRole(HolderCommand):
    title = "Take the role"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        assign_role(**self.as_seen(), username=self.actor.label, now=now)
        return f"You are {self.role.label} of {self.incident.ref}."


class AssignRole(HolderCommand):
    form_class = forms.AssignForm
    title = "Assign the role"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        assign_role(**self.as_seen(), username=data["username"], now=now)
        return f"{data['username']} is {self.role.label} of {self.incident.ref}."

    def form_arguments(self) -> dict[str, Any]:
        return {"holder": self.holder, "role": self.role}


class ReleaseRole(HolderCommand):
    title = "Release the role"
    is_left = False

    def back_url(self) -> str:
        return reverse("incidents:now") if self.is_left else super().back_url()

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        release_role(**self.as_seen(), now=now)
        # Whoever held nothing else on a restricted incident has just left it.
        self.is_left = not Incident.objects.visible_to(self.actor).filter(pk=self.incident.pk).exists()
        return f"{self.role.label} of {self.incident.ref} is free."
