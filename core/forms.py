"""Fields of page and admin forms that obey the rules of texts and of JSON; the foundation's own forms."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from core.models.accounts import SCOPES
from core.selectors.tokens import SCOPE_WORDS
from core.services.tokens import DEFAULT_DAYS, LONGEST_DAYS
from core.strict_json import NotStrictJson, loads
from core.texts import is_blank, tidy, what_is_wrong

LARGEST_ID = 2**63 - 1  # of a row


class Text(forms.CharField):
    """Several lines; see core.texts."""

    one_line: ClassVar[bool] = False

    def to_python(self, value: Any) -> str | None:
        text = super().to_python(value)
        if text in self.empty_values or not isinstance(text, str):
            return text
        tidied = tidy(text, one_line=self.one_line)
        if is_blank(tidied):
            return self.empty_value
        if wrong := what_is_wrong(tidied, one_line=self.one_line):
            raise ValidationError(wrong, code="unwanted_character")
        return tidied


class Line(Text):
    """One line; line breaks become spaces."""

    one_line = True


class StrictJSONField(forms.JSONField):
    """JSON as the API takes it: no NaN, no name twice, no NUL or lone surrogate, not too deep."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value not in self.empty_values:
            try:
                loads(value)
            except NotStrictJson as error:
                raise ValidationError(error.said, code="invalid") from error
        return super().to_python(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        if isinstance(data, str) and data not in self.empty_values:
            try:
                loads(data)
            except NotStrictJson:
                return forms.fields.InvalidJSONInput(data)  # shown again as it was typed
        return super().bound_data(data, initial)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return super().has_changed(initial, data)
        except (ValueError, RecursionError):  # too deep, or a number too long
            return True


class TokenForm(forms.Form):
    """A new API token."""

    name = Line(
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
