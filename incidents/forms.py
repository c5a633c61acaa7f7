"""The shapes of what people send from the pages of this app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from core.careful_forms import CarefulForm, WholeForm
from core.events import SUMMARY_LENGTH
from core.forms import Line, Text
from incidents import policy
from incidents.models import Incident, Responder, RoleGrant, Task
from incidents.rules.criteria import MOST_DEGRADED
from incidents.selectors.changes import last_change_of_task, last_changed_by
from incidents.selectors.declaration import security_level_cards, told_audiences
from incidents.selectors.readers import list_who_may_join
from incidents.services.escalation import DEFAULT_AUDIENCE
from incidents.services.notes import KINDS
from incidents.services_field import ServicesField
from incidents.states import AUDIENCES, MOVES, IncidentKind, IncidentStatus, Severity, Tier, audience_label

TEXT_LENGTH = 10_000
NOTE_KINDS = [(kind, kind.capitalize()) for kind in KINDS]


def text_area(rows: int = 3, **attrs: Any) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, **attrs})


def moment_field(label: str, help_text: str = "", *, required: bool = False) -> forms.DateTimeField:
    """A time in UTC, to the minute."""
    return forms.DateTimeField(
        required=required,
        label=label,
        help_text=help_text,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"}, format="%Y-%m-%dT%H:%M"),
    )


def security_level_choices() -> list[tuple[int, str]]:
    """`1 Critical Security Incident: Active data breach, …; respond within 15 min`."""
    return [
        (card.level, f"{card.level} {card.name}: {card.examples_text}; respond within {card.response_text}")
        for card in security_level_cards()
    ]


def criteria_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """The playbook's criteria by tier, the strongest first."""
    tiers = policy.criteria().root
    return [(tiers[tier].name, [(c.key, c.text) for c in tiers[tier].criteria]) for tier in Tier]


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
    services = ServicesField(required=False)
    impact = Text(required=False, max_length=TEXT_LENGTH, widget=text_area(2), label="Impact")
    description = Text(required=False, max_length=TEXT_LENGTH, widget=text_area(3))
    kind = forms.ChoiceField(choices=IncidentKind.choices, required=False, initial=IncidentKind.OPERATIONAL)
    security_level = forms.TypedChoiceField(
        coerce=int,
        empty_value=None,
        required=False,
        help_text="Of a security incident; where stricter, it replaces the severity's rules.",
    )
    restricted = forms.BooleanField(
        required=False,
        help_text="Seen only by who works on it, the Security Lead and administrators; others read a code"
        " name. A security incident always is.",
    )
    drill = forms.BooleanField(required=False, help_text="An exercise: everything is marked DRILL.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        levels = [("", "Not set"), *security_level_choices()]
        self.fields["security_level"].choices = levels  # type: ignore[attr-defined]

    def clean_kind(self) -> str:
        return self.cleaned_data["kind"] or IncidentKind.OPERATIONAL


class IncidentForm(CarefulForm):
    """A form about the incident, which others may change meanwhile."""

    def __init__(self, *args: Any, incident: Incident, **kwargs: Any) -> None:
        self.incident = incident
        super().__init__(*args, **kwargs)
        self.initial = {**{name: self.value_of(name) for name in self.watched()}, **self.initial}

    def value_of(self, name: str) -> Any:
        """What the incident says now."""
        return getattr(self.incident, name)

    def who_changed(self, name: str) -> str:
        return last_changed_by(self.incident, name)


class EditForm(IncidentForm):
    """Correct what the incident says about itself."""

    title = Line(max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    impact = Text(required=False, max_length=TEXT_LENGTH, widget=text_area(2))
    description = Text(required=False, max_length=TEXT_LENGTH, widget=text_area(4))
    services = ServicesField(required=False)

    def value_of(self, name: str) -> Any:
        if name == "services":
            return [service.slug for service in self.incident.services.all()]
        return super().value_of(name)


class UpdateForm(IncidentForm):
    """How it stands; the state and the severity may move in the same breath."""

    WATCHED = ("status", "severity", "next_steps")
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        here = IncidentStatus(self.incident.status)
        self._by_hand = {here, *({IncidentStatus.INVESTIGATING, IncidentStatus.MONITORING} & MOVES[here])}
        # What was chosen from an older page is no wrong choice: it may be what the person left as it was.
        offered = {*self._by_hand, self.data.get("status")}
        choices = [status for status in IncidentStatus if status in offered]
        self.fields["status"].choices = [(s.value, s.label) for s in choices]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if data.get("status") not in ("", None, *self._by_hand) and "status" not in self.conflicts:
            self.add_error("status", f"It is {self.incident.get_status_display().lower()} now.")
        return data


class SeverityForm(IncidentForm):
    """Another severity, and why."""

    WATCHED = MEANT = ("severity",)
    severity = forms.ChoiceField(choices=Severity.choices, widget=forms.RadioSelect)
    reason = Text(max_length=TEXT_LENGTH, widget=text_area(2), label="Why?")


class EscalateForm(forms.Form):
    """Who else is needed, and why."""

    to = forms.ChoiceField(widget=forms.RadioSelect, label="Who is needed?")
    reason = Text(max_length=TEXT_LENGTH, widget=text_area(3), label="Why?")

    def __init__(self, *args: Any, incident: Incident, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        told = told_audiences(incident.severity)
        others = [audience for audience in AUDIENCES if audience != incident.escalated_to]
        self.fields["to"].choices = [(audience, _who(audience, audience in told)) for audience in others]  # type: ignore[attr-defined]
        self.initial["to"] = DEFAULT_AUDIENCE if DEFAULT_AUDIENCE in others else others[0]


def _who(audience: str, told: bool) -> str:
    label = audience_label(audience).capitalize()
    return f"{label} (hears of it already; is asked for now)" if told else label


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


class SecurityLevelForm(WholeForm):
    """How bad it is as a security incident, and why."""

    level = forms.TypedChoiceField(coerce=int, widget=forms.RadioSelect, label="Level")
    reason = Text(max_length=TEXT_LENGTH, widget=text_area(2), label="Why?")

    def __init__(self, *args: Any, incident: Incident, **kwargs: Any) -> None:
        level = incident.security_level
        said = f"It is of level {level} now. Send it again to change that."
        super().__init__(*args, now_is=str(level or ""), said=said, **kwargs)
        choices = [choice for choice in security_level_choices() if choice[0] != level]
        self.fields["level"].choices = choices  # type: ignore[attr-defined]


class ResponderForm(forms.Form):
    """Who joins: every account that may do something and is not on it."""

    username = forms.ChoiceField(label="Who?")

    def __init__(self, *args: Any, incident: Incident, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [("", "Choose…"), *((name, name) for name in list_who_may_join(incident))]
        self.fields["username"].choices = names  # type: ignore[attr-defined]


class NoteForm(forms.Form):
    """A line on the timeline, written by hand."""

    summary = Line(max_length=SUMMARY_LENGTH, widget=text_area(2), label="Note")
    kind = forms.ChoiceField(choices=NOTE_KINDS, initial="note", required=False)
    occurred_at = moment_field("When it happened (UTC)", "Empty means now.")

    def clean_kind(self) -> str:
        return self.cleaned_data["kind"] or "note"


class TickForm(forms.Form):
    """It is done, and what there is to say about it."""

    note = Text(
        required=False, max_length=TEXT_LENGTH, widget=text_area(2, autofocus=True), label="Anything to add?"
    )


class CriteriaForm(forms.Form):
    """What is the case, of the playbook's criteria."""

    criteria = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label="What is the case?"
    )
    degradation_percent = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_DEGRADED,
        label="Performance degradation in percent",
        help_text="If it was measured: it meets the criteria about it by itself.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["criteria"].choices = criteria_choices()  # type: ignore[attr-defined]


class HolderForm(WholeForm):
    """A role of an incident, with who held it when the person looked."""

    def __init__(self, *args: Any, holder: Responder | None, **kwargs: Any) -> None:
        name = holder.user.get_username() if holder else ""
        said = (
            f"{name} holds this role since {holder.since:%H:%M} UTC"
            if holder
            else "Nobody holds this role now"
        )
        super().__init__(*args, now_is=name, said=f"{said}. Send it again if you still mean it.", **kwargs)


class AssignForm(HolderForm):
    """Who shall hold a role: only accounts with the grant are offered."""

    username = forms.ChoiceField(label="Who?")

    def __init__(self, *args: Any, role: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        granted = RoleGrant.objects.filter(role=role, user__is_active=True).order_by("user__username")
        names = granted.values_list("user__username", flat=True)
        self.fields["username"].choices = [("", "Choose…"), *((name, name) for name in names)]  # type: ignore[attr-defined]


DUE_IN = (
    ("", "No due time"),
    ("15", "in 15 min"),
    ("30", "in 30 min"),
    ("60", "in 1 h"),
    ("120", "in 2 h"),
    ("240", "in 4 h"),
    ("1440", "in 1 day"),
)


class TaskForm(forms.Form):
    """One thing to do: what, by whom, until when."""

    title = Line(
        max_length=200,
        label="What is to be done?",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    owner = forms.ChoiceField(required=False, label="By whom?")

    def __init__(self, *args: Any, owners: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].choices = [("", "Nobody yet"), *((name, name) for name in owners)]  # type: ignore[attr-defined]

    def clean_owner(self) -> str | None:
        return self.cleaned_data["owner"] or None


class NewTaskForm(TaskForm):
    """A new one: how soon it is due."""

    due_in = forms.TypedChoiceField(
        choices=DUE_IN, coerce=int, empty_value=None, required=False, label="Until when?"
    )


class EditTaskForm(TaskForm, CarefulForm):
    """Another time is given exactly."""

    due_at = moment_field("Due (UTC)", "Empty means no due time.")

    def __init__(self, *args: Any, task: Task, owners: Sequence[str], **kwargs: Any) -> None:
        owner = task.owner.get_username() if task.owner else ""
        offered = owners if not owner or owner in owners else [owner, *owners]
        super().__init__(*args, owners=offered, **kwargs)
        self._task = task
        self.initial = {"title": task.title, "owner": owner, "due_at": task.due_at, **self.initial}

    def who_changed(self, name: str) -> str:
        return last_change_of_task(self._task)


class EvidenceForm(forms.Form):
    """One file, and what it shows."""

    file = forms.FileField(label="File", help_text="An image, a text or log in UTF-8, PDF, ZIP or gzip.")
    description = Line(
        required=False,
        max_length=500,
        label="What does it show?",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
