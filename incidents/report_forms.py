"""The shapes of what people send from the pages of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.http import QueryDict

from core.forms import Line, Text
from incidents.forms import text_area
from incidents.rules.reports import LISTS, PROMPTS
from incidents.selectors.reports import ReportLine
from incidents.services.reports import ROW_LENGTH, TEXT_LENGTH
from incidents.states import ReportSection

MOST_VERSIONS = 2**31 - 1


class SeenVersion(forms.IntegerField):
    """The version that the person had before them; a program that sends none expects nothing."""

    def __init__(self) -> None:
        super().__init__(
            required=False, min_value=0, max_value=MOST_VERSIONS, widget=forms.HiddenInput, label=""
        )


class VersionedForm(forms.Form):
    """A form that is refused once when somebody else was first; sent again, it replaces theirs knowingly.

    `theirs` is what stands there now, as (label, text), and is shown beside what the person typed.
    """

    seen = SeenVersion()

    def __init__(self, *args: Any, version: int, now_is: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.version, self.now_is = version, dict(now_is)
        self.conflicts: list[str] = []
        self.theirs: list[tuple[str, str]] = []
        self.initial = {**self.now_is, "seen": version, **self.initial}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        seen = data.get("seen")
        if seen is None or seen == self.version:
            return data
        self.conflicts = [name for name, value in self.now_is.items() if data.get(name) not in (None, value)]
        if self.conflicts:
            self.theirs = [
                (str(self.fields[name].label), str(self.now_is[name] or "nothing")) for name in self.conflicts
            ]
            self.add_error(None, "Somebody saved this meanwhile. Your words are kept here beside theirs.")
            shown = QueryDict(mutable=True)
            shown.update(self.data)
            shown[self.add_prefix("seen")] = str(self.version)
            self.data = shown
        return data


class SectionForm(VersionedForm):
    """One section of a report."""

    text = Text(required=False, max_length=TEXT_LENGTH, widget=text_area(10, autofocus=True))

    def __init__(self, *args: Any, section: ReportSection, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["text"]
        field.label, field.help_text = str(section.label), _hint(section)


def _hint(section: ReportSection) -> str:
    how = "Each line is one entry." if section in LISTS else "Markdown: **bold**, `code`, lists, tables."
    return f"{PROMPTS[section]}. {how}"


class RowForm(VersionedForm):
    """How an event stands in the report's timeline."""

    included = forms.BooleanField(required=False, label="It stands in the report")
    event_text = Line(required=False, max_length=ROW_LENGTH, label="Event", help_text="What happened.")
    action_text = Line(
        required=False, max_length=ROW_LENGTH, label="Action taken", help_text="What somebody did about it."
    )
    owner = Line(required=False, max_length=200, label="Owner", help_text="Empty: who is on the timeline.")

    def __init__(self, *args: Any, line: ReportLine, **kwargs: Any) -> None:
        now_is = {
            "included": line.included,
            "event_text": line.event,
            "action_text": line.action,
            "owner": line.owner,
        }
        super().__init__(*args, version=line.version, now_is=now_is, **kwargs)

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if data.get("included") and not (data.get("event_text") or data.get("action_text")):
            self.add_error("event_text", "Say what happened, or what was done.")
        return data


class GiveForm(forms.Form):
    """Who sees to it that the report is written."""

    owner = forms.ChoiceField(
        required=False,
        label="Whose is it?",
        help_text="They are reminded before it is due and when it is late.",
    )

    def __init__(self, *args: Any, owners: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].choices = [("", "Nobody"), *((name, name) for name in owners)]  # type: ignore[attr-defined]
