"""The forms of this app's pages."""

from __future__ import annotations

from typing import Any

from django import forms
from pydantic import SecretStr

from comms.facts import Connection


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
