"""The shapes of this app's commands as people write them."""

from __future__ import annotations

from typing import Any

from django import forms
from pydantic import SecretStr

from comms.facts import Connection
from comms.models import PublicUpdate
from comms.rules.webhooks import GROUPS
from comms.selectors.public_facts import shown_components
from comms.services.composing import internal_channels
from comms.states import (
    EXTERNAL_TEMPLATES,
    INTERNAL_BY_HAND,
    ComponentState,
    PublicImpact,
    PublicStatus,
    Template,
)
from core.careful_forms import CarefulForm
from core.forms import Line, Text
from incidents.forms import text_area
from incidents.states import AUDIENCES, audience_label

BODY_LENGTH = 10_000
LEAVE = ("", "not affected")


def _moment(label: str, help_text: str = "") -> forms.DateTimeField:
    return forms.DateTimeField(
        required=False,
        label=label,
        help_text=help_text,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"}, format="%Y-%m-%dT%H:%M"),
    )


class NoteForm(forms.Form):
    """A message for inside: it leaves at once."""

    to = forms.CharField(required=False, widget=forms.HiddenInput, initial="inside", max_length=10)
    template = forms.ChoiceField(
        choices=[(key.value, key.label) for key in INTERNAL_BY_HAND], label="Which message?"
    )
    text = Text(
        required=False,
        max_length=BODY_LENGTH,
        widget=text_area(5),
        label="What is to be said?",
        help_text="For “Message”. An incident alert says how it stands by itself.",
    )
    audiences = forms.MultipleChoiceField(
        choices=[(audience, audience_label(audience)) for audience in AUDIENCES],
        widget=forms.CheckboxSelectMultiple,
        label="Who is told?",
    )
    channels = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: e-mail.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["channels"].choices = [(key, key) for key in internal_channels()]  # type: ignore[attr-defined]


class ExternalFields(forms.Form):
    """What a message for users is made of; every word of it is public."""

    title = Line(max_length=200, help_text="What users read first. Public.")
    status = forms.ChoiceField(choices=PublicStatus.choices, label="State on the status page")
    impact = forms.ChoiceField(choices=PublicImpact.choices, label="Impact on users")
    impact_text = Text(required=False, max_length=2_000, widget=text_area(2), label="Impact in words")
    update_text = Text(
        required=False, max_length=BODY_LENGTH, widget=text_area(4), label="What users should know now"
    )
    expected_duration = Line(required=False, max_length=80, help_text="Such as 30 minutes.")
    root_cause = Text(
        required=False, max_length=2_000, widget=text_area(2), label="Root cause, briefly and for users"
    )
    started_at = _moment("Started at (UTC)")
    resolved_at = _moment("Resolved at (UTC)")

    def __init__(self, *args: Any, update: PublicUpdate | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.component_fields = {}
        said = update.components if update else {}
        for component in shown_components().select_related("service"):
            name = f"component_{component.public_id}"
            self.fields[name] = forms.ChoiceField(
                choices=[LEAVE, *ComponentState.choices],
                required=False,
                label=f"State of {component.service.public_name}",
                initial=said.get(component.public_id, ""),
            )
            self.component_fields[name] = component.public_id
        if update is not None:
            for name in ExternalFields.base_fields:
                self.fields[name].initial = getattr(update, name)

    def clean(self) -> dict[str, Any]:
        """`components` instead of a field for each."""
        data = super().clean() or self.cleaned_data
        components = {
            public_id: data.pop(name) for name, public_id in self.component_fields.items() if data.get(name)
        }
        for name in self.component_fields:
            data.pop(name, None)
        data["components"] = components or None
        return data


class ComposeForm(ExternalFields):
    """A draft for users: nothing leaves before the commander has approved it."""

    field_order = ("to", "template")
    to = forms.CharField(required=False, widget=forms.HiddenInput, initial="users", max_length=10)
    template = forms.ChoiceField(
        choices=[(key.value, Template(key).label) for key in EXTERNAL_TEMPLATES], label="Which message?"
    )


class EditForm(ExternalFields):
    """Other words for a draft, and what the person saw."""

    body = Text(
        required=False,
        max_length=BODY_LENGTH,
        widget=text_area(12),
        label="The whole text",
        help_text="Left as it is, it follows the fields above; once you write in it, it is yours.",
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput, min_value=1, max_value=2**31 - 1)


class ApproveForm(forms.Form):
    """What the commander read."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput, min_value=1, max_value=2**31 - 1)


class ComponentForm(CarefulForm):
    """How a component is, and why somebody says so."""

    def watched(self) -> tuple[str, ...]:
        return ("state",)

    state = forms.ChoiceField(choices=ComponentState.choices)
    reason = Line(max_length=300, label="Why?", help_text="For the timeline of the service; never public.")


# --- channels and webhooks ---------------------------------------------------------------------------


def kind_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Kinds of event by group: all of a group, then those that can be had one by one."""
    return [
        (label, [(f"{word}.", f"All: {label.lower()}"), *((kind, kind) for kind in kinds)])
        for word, (label, kinds) in GROUPS.items()
    ]


class WebhookForm(CarefulForm):
    """Which events go where."""

    url = Line(
        max_length=2000,
        label="Address",
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://hooks.example.com/fire"}),
    )
    description = Line(max_length=200, required=False, label="What is it for?")
    kinds = forms.MultipleChoiceField(
        required=False,
        label="Which events?",
        help_text="None means every one.",
        widget=forms.CheckboxSelectMultiple,
    )
    sees_restricted = forms.BooleanField(
        required=False,
        label="Sees restricted incidents",
        help_text="Without it, it is told a code name in their place.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: list[Any] = kind_choices()
        known = {value for _label, options in choices for value, _text in options}
        # What the API has set is kept, although the form would not offer it.
        if more := [kind for kind in self.initial.get("kinds", ()) if kind not in known]:
            choices.append(("Others", [(kind, kind) for kind in more]))
        self.fields["kinds"].choices = choices  # type: ignore[attr-defined]


class ReplayForm(forms.Form):
    """From when on."""

    since = forms.DateTimeField(
        label="Every event since (UTC)", widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )


class ConnectionForm(forms.Form):
    """What a connection needs, field by field. What is secret is never shown again, right or wrong."""

    def __init__(self, *args: Any, model: type[Connection] = Connection, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, info in model.model_fields.items():
            secret = info.annotation is SecretStr
            attributes = {"autocomplete": "new-password" if secret else "off", "spellcheck": "false"}
            widget = forms.PasswordInput(attributes) if secret else forms.TextInput(attributes)
            self.fields[name] = forms.CharField(
                label=info.title or name,
                help_text=info.description or "",
                max_length=2000,
                strip=True,
                widget=widget,
            )
