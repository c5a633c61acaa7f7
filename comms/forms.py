"""The shapes of this app's commands as people write them."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from pydantic import SecretStr

from comms.facts import Connection
from comms.models import Message, PublicUpdate
from comms.rules.webhooks import GROUPS
from comms.selectors.connections import ConnectionLine
from comms.selectors.public_facts import shown_components
from comms.services.composing import internal_channels
from comms.states import (
    EXTERNAL_TEMPLATES,
    INTERNAL_BY_HAND,
    ComponentState,
    PublicImpact,
    PublicStatus,
    Template,
    channel_name,
)
from core.careful_forms import CarefulForm, WholeForm
from core.forms import Line, Text
from incidents.forms import moment_field, text_area
from incidents.states import AUDIENCES, audience_label

BODY_LENGTH = 10_000
LEAVE = ("", "not affected")


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
        choices=[(audience, audience_label(audience).capitalize()) for audience in AUDIENCES],
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
        self.fields["channels"].choices = [(key, channel_name(key)) for key in internal_channels()]  # type: ignore[attr-defined]


class PageForRoleForm(forms.Form):
    """What there is to say to those who are paged."""

    reason = Line(
        required=False,
        max_length=200,
        label="What do you need?",
        help_text="Stands in the page.",
        widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
    )


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
    started_at = moment_field("Started at (UTC)")
    resolved_at = moment_field("Resolved at (UTC)")

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
            for name in ExternalFields.base_fields.keys() & self.fields.keys():
                self.fields[name].initial = getattr(update, name)

    def clean(self) -> dict[str, Any]:
        """`components` instead of a field for each."""
        data = super().clean() or self.cleaned_data
        components = {}
        for name, public_id in self.component_fields.items():
            left = self.get_initial_for_field(self.fields[name], name)  # what a careful form takes out
            if state := data.pop(name, left):
                components[public_id] = state
        data["components"] = components or None
        return data


class ComposeForm(ExternalFields):
    """A draft for users: nothing leaves before the commander has approved it."""

    field_order = ("to", "template")
    to = forms.CharField(required=False, widget=forms.HiddenInput, initial="users", max_length=10)
    template = forms.ChoiceField(
        choices=[(key.value, Template(key).label) for key in EXTERNAL_TEMPLATES], label="Which message?"
    )


class ForUsersForm(ExternalFields):
    """The half for users beside an incident's form: one text, and what may stay as it is proposed.

    Left empty, nothing is said.
    """

    TEXT: ClassVar[str] = "update_text"  # without it nothing is said
    MORE: ClassVar[tuple[str, ...]] = ("title", "impact", "impact_text", "expected_duration")
    started_at = resolved_at = root_cause = None  # type: ignore[assignment]
    field_order = ("update_text", "status", "approve")
    status = forms.ChoiceField(
        choices=[("", "As the incident stands"), *PublicStatus.choices[:-1]],
        required=False,
        label="State on the status page",
    )
    approve = forms.BooleanField(
        required=False,
        label="Approve it: users read it at once",
        help_text="It cannot be taken back.",
    )

    def __init__(self, *args: Any, update: PublicUpdate, may_approve: bool, **kwargs: Any) -> None:
        super().__init__(*args, update=update, **kwargs)
        for name in ("title", "impact"):  # proposed: nobody needs to look at them
            self.fields[name].required = False
        self.initial.setdefault("status", "")
        self.fields[self.TEXT].initial = ""
        if not may_approve:
            del self.fields["approve"]

    @property
    def first(self) -> list[forms.BoundField]:
        """What is written each time."""
        folded = {*self.MORE, *self.component_fields}
        return [self[name] for name in self.fields if name not in folded]

    @property
    def more(self) -> list[forms.BoundField]:
        """What is proposed, and seldom changed."""
        return [self[name] for name in (*self.MORE, *self.component_fields)]

    @property
    def has_errors_in_more(self) -> bool:
        """Whether something is wrong that would stand folded away."""
        return any(bound.errors for bound in self.more)

    @property
    def has_something_to_say(self) -> bool:
        """Whether there is a text, of a form that is valid."""
        return bool(self.cleaned_data.get(self.TEXT))

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        data.setdefault("approve", False)
        if data["approve"] and not self.errors and not self.has_something_to_say:
            self.add_error("update_text", "Write what users are to read, or do not approve it.")
        return data

    def said(self, status: str) -> dict[str, Any]:
        """The fields of a draft, with `status` where nobody chose one."""
        given = {name: value for name, value in self.cleaned_data.items() if name != "approve" and value}
        return {"status": status, **given} if status else given


class EndForUsersForm(ForUsersForm):
    """That it is over, as users read it."""

    TEXT = "root_cause"
    MORE: ClassVar[tuple[str, ...]] = ("title", "impact", "impact_text")
    status = expected_duration = update_text = None  # type: ignore[assignment]
    field_order = ("root_cause", "approve")  # type: ignore[assignment]
    root_cause = Text(  # type: ignore[assignment]
        required=False,
        max_length=2_000,
        widget=text_area(3),
        label="Root cause, briefly and for users",
        help_text="Approved without one, it says “under investigation”.",
    )

    @property
    def has_something_to_say(self) -> bool:
        return bool(super().has_something_to_say or self.cleaned_data.get("approve"))


class EditForm(ExternalFields, CarefulForm):
    """Other words for a draft."""

    body = Text(
        required=False,
        max_length=BODY_LENGTH,
        widget=text_area(12),
        label="The whole text",
        help_text="Left as it is, it follows the fields above; once you write in it, it is yours.",
    )

    def __init__(self, *args: Any, message: Message, **kwargs: Any) -> None:
        super().__init__(*args, update=message.public, **kwargs)
        self.initial = {"body": message.body, **self.initial}


class DraftForm(WholeForm):
    """About a draft as the person read it."""

    def __init__(self, *args: Any, message: Message, **kwargs: Any) -> None:
        said = "It was changed after you read it. Here it is as it is now: send it again if you mean it."
        super().__init__(*args, now_is=str(message.version), said=said, **kwargs)


class ComponentForm(CarefulForm):
    """How a component is, and why somebody says so."""

    WATCHED = MEANT = ("state",)
    state = forms.ChoiceField(choices=ComponentState.choices)
    reason = Line(max_length=300, label="Why?", help_text="For the timeline of the service; never public.")


# --- channels and webhooks ---------------------------------------------------------------------------


def kind_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Kinds of event by group: all of a group, then those that can be had one by one."""
    return [
        (label, [(f"{word}.", f"All: {label.lower()}"), *((kind, kind) for kind in kinds)])
        for word, (label, kinds) in GROUPS.items()
    ]


class WebhookForm(forms.Form):
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


class EditWebhookForm(WebhookForm, CarefulForm):
    """The same of one that there is, which others may change meanwhile."""


class ReplayForm(forms.Form):
    """From when on."""

    since = moment_field("Every event since (UTC)", required=True)


class ConnectionForm(WholeForm):
    """What a connection needs, field by field. What is secret is never shown again, right or wrong."""

    def __init__(
        self, *args: Any, line: ConnectionLine, model: type[Connection] = Connection, **kwargs: Any
    ) -> None:
        said = "Meanwhile it was removed"
        if line.changed_at is not None:
            said = f"Meanwhile {line.changed_by} set it up, at {line.changed_at:%H:%M} UTC"
        now_is = line.changed_at.isoformat() if line.changed_at else ""
        super().__init__(*args, now_is=now_is, said=f"{said}. Send it again to replace that.", **kwargs)
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
