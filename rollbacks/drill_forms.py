"""The shapes of what people send about drills."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django import forms

from core.careful_forms import CarefulForm
from core.forms import Line, Text
from incidents.forms import text_area
from incidents.services_field import ServicesField
from rollbacks import policy
from rollbacks.services.drill_planning import MOST_PARTICIPANTS
from rollbacks.services.drill_running import NOTES_LENGTH


class PlanDrillForm(forms.Form):
    """What is practised, on which service, when and by whom."""

    scenario = forms.ChoiceField(label="Scenario")
    service = ServicesField(label="Service")
    starts_at = forms.DateTimeField(
        required=False,
        label="Begins (UTC)",
        help_text="Empty means within seconds.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )
    participants = Line(
        required=False,
        max_length=2000,
        label="Who takes part?",
        help_text="Account names with commas between. Empty: you, and who may hold the playbook's roles.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    page_people = forms.BooleanField(
        required=False,
        label="Page them for real",
        help_text="Their telephones ring as in an emergency, also at night. Otherwise they get e-mail alone.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = [(key, f"{one.name} ({one.severity.value})") for key, one in policy.scenarios().items()]
        self.fields["scenario"].choices = known  # type: ignore[attr-defined]

    def clean_service(self) -> str:
        names: list[str] = self.cleaned_data["service"]
        if len(names) != 1:
            raise forms.ValidationError("Name one service.")
        return names[0]

    def clean_participants(self) -> list[str]:
        names = [name for name in re.split(r"[\s,;]+", self.cleaned_data["participants"]) if name]
        if len(names) > MOST_PARTICIPANTS:
            raise forms.ValidationError(f"Name {MOST_PARTICIPANTS} people at most.")
        return list(dict.fromkeys(names))


class NotesForm(forms.Form):
    """What was learned; may be written later as well."""

    notes = Text(
        required=False,
        max_length=NOTES_LENGTH,
        label="What did you learn?",
        widget=text_area(6),
    )


class DebriefForm(CarefulForm, NotesForm):
    """What was learned, which another may be writing down as well."""

    MEANT: ClassVar[tuple[str, ...]] = ("notes",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["notes"].required = True
