"""The shapes of this app's commands as people write them."""

from __future__ import annotations

from typing import Any

from django import forms
from pydantic import SecretStr

from comms.facts import Connection
from comms.rules.webhooks import GROUPS
from core.forms import Line


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
