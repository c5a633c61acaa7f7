"""The shapes of what people send from the foundation's own pages."""

from __future__ import annotations

from typing import Any

from django import forms

from core.models.accounts import SCOPES
from core.selectors.tokens import SCOPE_WORDS
from core.services.tokens import DEFAULT_DAYS, LONGEST_DAYS


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(
        max_length=100,
        label="What is it for?",
        help_text="The program that will use it. It stands beside everything the token does.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "Deploy pipeline"}),
    )
    scopes = forms.MultipleChoiceField(
        label="What may it do?",
        choices=[(scope, f"{scope}: {SCOPE_WORDS[scope]}") for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        help_text="Never more than you may do yourself; your level counts at each use.",
    )
    days = forms.IntegerField(
        label="Days until it expires",
        min_value=1,
        max_value=LONGEST_DAYS,
        initial=DEFAULT_DAYS,
        help_text=f"1 to {LONGEST_DAYS}.",
    )

    def __init__(self, *args: Any, taken: frozenset[str] = frozenset(), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.taken = taken

    def clean_name(self) -> str:
        """One usable token per name on the page, so that a form sent twice makes one token."""
        name = " ".join(str(self.cleaned_data["name"]).split())
        if name in self.taken:
            raise forms.ValidationError("You have a usable token of this name: revoke it, or choose another.")
        return name
