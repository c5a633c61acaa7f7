"""The shapes of what people send from the pages of this app."""

from __future__ import annotations

from typing import Any

from django import forms

from core.events import SUMMARY_LENGTH
from core.forms import Line, Text
from incidents.models import Incident, RoleGrant, Service
from incidents.services.notes import KINDS
from incidents.states import MOVES, IncidentKind, IncidentStatus, Severity

TEXT_LENGTH = 10_000
NOTE_KINDS = [(kind, kind.capitalize()) for kind in KINDS]


def text_area(rows: int = 3, **attrs: Any) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, **attrs})


class DeclareForm(forms.Form):
    """Declare an incident: four fields, and a few more that may wait."""

    title = Line(
        max_length=200,
        label="What is wrong?",
        widget=forms.TextInput(
            attrs={
                "autofocus": True,
                "autocomplete": "off",
                "placeholder": "Checkout fails for everybody",
            }
        ),
    )
    severity = forms.ChoiceField(choices=Severity.choices, widget=forms.RadioSelect)
    services = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    impact = Text(required=False, max_length=TEXT_LENGTH, widget=text_area(2), label="Impact")
    description = Text(required=False, max_length=TEXT_LENGTH, widget=text_area(3))
    kind = forms.ChoiceField(choices=IncidentKind.choices, required=False, initial=IncidentKind.OPERATIONAL)
    security_level = forms.TypedChoiceField(
        choices=[("", "Not set"), (1, "1 Critical"), (2, "2 High"), (3, "3 Medium")],
        coerce=int,
        empty_value=None,
        required=False,
        help_text="Of a security incident; where stricter, it replaces the severity's rules.",
    )
    restricted = forms.BooleanField(
        required=False, help_text="Only commanders and those who work on it see it."
    )
    drill = forms.BooleanField(required=False, help_text="An exercise: everything is marked DRILL.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        services = Service.objects.values_list("slug", "name", "environment")
        self.fields["services"].choices = [(slug, f"{name} ({env})") for slug, name, env in services]  # type: ignore[attr-defined]

    def clean_kind(self) -> str:
        return self.cleaned_data["kind"] or IncidentKind.OPERATIONAL


class UpdateForm(forms.Form):
    """How it stands; the state and the severity may move in the same breath."""

    message = Text(
        max_length=TEXT_LENGTH, widget=text_area(4, autofocus=True), label="What is the situation?"
    )
    status = forms.ChoiceField(required=False, label="State")
    severity = forms.ChoiceField(required=False, choices=Severity.choices)
    next_steps = Text(
        required=False,
        max_length=TEXT_LENGTH,
        widget=text_area(2),
        help_text="One a line; they stand in the messages.",
    )

    def __init__(self, *args: Any, incident: Incident, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("status", "severity", "next_steps"):
            self.initial[name] = getattr(incident, name)
        here = IncidentStatus(incident.status)
        by_hand = {IncidentStatus.INVESTIGATING, IncidentStatus.MONITORING} & MOVES[here]
        choices = [status for status in IncidentStatus if status is here or status in by_hand]
        self.fields["status"].choices = [(s.value, s.label) for s in choices]  # type: ignore[attr-defined]


class SeverityForm(forms.Form):
    """Another severity, and why."""

    severity = forms.ChoiceField(choices=Severity.choices, widget=forms.RadioSelect)
    reason = Text(max_length=TEXT_LENGTH, widget=text_area(2), label="Why?")

    def __init__(self, *args: Any, incident: Incident, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["severity"] = incident.severity


class ResolveForm(forms.Form):
    """How it ended."""

    resolution = Text(
        max_length=TEXT_LENGTH, widget=text_area(3, autofocus=True), label="How was it resolved?"
    )
    root_cause = Text(
        required=False,
        max_length=TEXT_LENGTH,
        widget=text_area(2),
        help_text="Empty means under investigation.",
    )


class ReasonForm(forms.Form):
    """A reason that must be given."""

    reason = Text(max_length=TEXT_LENGTH, widget=text_area(2, autofocus=True), label="Why?")


class OptionalReasonForm(forms.Form):
    """A reason that may be given."""

    reason = Text(
        required=False,
        max_length=TEXT_LENGTH,
        widget=text_area(2, autofocus=True),
        label="Anything to add?",
    )


class NoteForm(forms.Form):
    """A line on the timeline, written by hand."""

    summary = Line(max_length=SUMMARY_LENGTH, widget=text_area(2), label="Note")
    kind = forms.ChoiceField(choices=NOTE_KINDS, initial="note", required=False)
    occurred_at = forms.DateTimeField(
        required=False,
        label="When it happened (UTC)",
        help_text="Empty means now.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )

    def clean_kind(self) -> str:
        return self.cleaned_data["kind"] or "note"


class AssignForm(forms.Form):
    """Who shall hold a role: only accounts with the grant are offered."""

    username = forms.ChoiceField(label="Who?")

    def __init__(self, *args: Any, role: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        granted = RoleGrant.objects.filter(role=role, user__is_active=True).order_by("user__username")
        names = granted.values_list("user__username", flat=True)
        self.fields["username"].choices = [("", "Choose…"), *((name, name) for name in names)]  # type: ignore[attr-defined]
