"""Input shapes of action items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from core.careful_forms import CarefulForm
from core.forms import Line, Text
from incidents.forms import TEXT_LENGTH, text_area
from incidents.models import ActionItem
from incidents.selectors.changes import last_change_of_item
from incidents.states import UNFINISHED, ActionItemKind, ActionItemState


class ActionItemForm(forms.Form):
    """What is to be done after an incident: what, what for, by whom, until which day."""

    title = Line(
        max_length=200,
        label="What is to be done?",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    kind = forms.ChoiceField(
        choices=ActionItemKind.choices, required=False, initial=ActionItemKind.ACTION, label="What for?"
    )
    owner = forms.ChoiceField(required=False, label="By whom?")
    due_on = forms.DateField(
        required=False,
        label="Until which day?",
        help_text="It is overdue when that day has ended in UTC. Empty means no due day, and no reminder.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    description = Text(required=False, max_length=TEXT_LENGTH, widget=text_area(3))

    def __init__(self, *args: Any, owners: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].choices = [("", "Nobody yet"), *((name, name) for name in owners)]  # type: ignore[attr-defined]

    def clean_owner(self) -> str | None:
        return self.cleaned_data["owner"] or None

    def clean_kind(self) -> str:
        return self.cleaned_data["kind"] or ActionItemKind.ACTION


class EditActionItemForm(ActionItemForm, CarefulForm):
    """Also whether somebody is at it."""

    state = forms.ChoiceField(
        choices=[(state.value, state.label) for state in UNFINISHED], required=False, label="How it stands"
    )

    def __init__(self, *args: Any, item: ActionItem, owners: Sequence[str], **kwargs: Any) -> None:
        owner = item.owner.get_username() if item.owner else ""
        offered = owners if not owner or owner in owners else [owner, *owners]
        super().__init__(*args, owners=offered, **kwargs)
        self._item = item
        names = ("title", "kind", "description", "due_on", "state")
        self.initial = {**{name: getattr(item, name) for name in names}, "owner": owner, **self.initial}

    def who_changed(self, name: str) -> str:
        return last_change_of_item(self._item)

    def clean_state(self) -> str:
        return self.cleaned_data["state"] or ActionItemState.OPEN


class DoneForm(forms.Form):
    """It is done, and what there is to say about it."""

    note = Text(
        required=False, max_length=TEXT_LENGTH, widget=text_area(2, autofocus=True), label="Anything to add?"
    )
