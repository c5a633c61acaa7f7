"""The shapes of what people send from the pages of reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from core.careful_forms import CarefulForm
from core.forms import Line, Text
from incidents.forms import text_area
from incidents.rules.reports import LISTS, PROMPTS
from incidents.selectors.reports import ReportLine
from incidents.services.reports import ROW_LENGTH, TEXT_LENGTH
from incidents.states import ReportSection


class SectionForm(CarefulForm):
    """One section of a report; `by` wrote what it says now. It may be left empty, also where the report must
    say something there (`asked`) before it is handed in.
    """

    text = Text(required=False, max_length=TEXT_LENGTH, widget=text_area(10, autofocus=True))

    def __init__(
        self, *args: Any, section: ReportSection, text: str, by: str, asked: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["text"]
        field.label, field.help_text = str(section.label), _hint(section)
        if asked:
            field.word = "needed to publish"  # type: ignore[attr-defined]  # parts/field.html
        self._by = by
        self.initial = {"text": text, **self.initial}

    def who_changed(self, name: str) -> str:
        return self._by or "somebody"


def _hint(section: ReportSection) -> str:
    how = "Each line is one entry." if section in LISTS else "Markdown: **bold**, `code`, lists, tables."
    return f"{PROMPTS[section]}. {how}"


class RowForm(CarefulForm):
    """How an event stands in the report's timeline."""

    included = forms.BooleanField(required=False, label="It stands in the report")
    event_text = Line(required=False, max_length=ROW_LENGTH, label="Event", help_text="What happened.")
    action_text = Line(
        required=False, max_length=ROW_LENGTH, label="Action taken", help_text="What somebody did about it."
    )
    owner = Line(required=False, max_length=200, label="Owner", help_text="Empty: who is on the timeline.")

    def __init__(self, *args: Any, line: ReportLine, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial = {**row_of(line), **self.initial}


def row_of(line: ReportLine) -> dict[str, Any]:
    """A row of the timeline as `edit_row` takes it."""
    return {
        "included": line.included,
        "event_text": line.event,
        "action_text": line.action,
        "owner": line.owner,
    }


class GiveForm(CarefulForm):
    """Who sees to it that the report is written."""

    owner = forms.ChoiceField(
        required=False,
        label="Whose is it?",
        help_text="They are reminded before it is due and when it is late.",
    )

    def __init__(self, *args: Any, owner: str, owners: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = owners if not owner or owner in owners else [owner, *owners]
        self.fields["owner"].choices = [("", "Nobody"), *((name, name) for name in offered)]  # type: ignore[attr-defined]
        self.initial = {"owner": owner, **self.initial}
