"""The shapes of what people write about reviews, documents and training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms

from core.careful_forms import CarefulForm
from core.forms import Line, Text
from incidents import policy
from incidents.forms import text_area
from incidents.models import Review
from incidents.people_field import PeopleField
from incidents.services.documents import NOTE_LENGTH
from incidents.services.reviews import MOST_ATTENDEES, TEXT_LENGTH
from incidents.services.training import MOST_PEOPLE
from incidents.states import DocumentOutcome

NOTE = "note-"  # before the key of a section


class WriteReviewForm(CarefulForm):
    """What was said about each section, what was decided and who took part."""

    def __init__(self, *args: Any, review: Review, **kwargs: Any) -> None:
        self.review = review
        self.sections = [(section["key"], section["title"]) for section in review.agenda]
        present = [user.get_username() for user in review.attendees.all()]
        initial = {f"{NOTE}{key}": review.notes.get(key, "") for key, _title in self.sections}
        kwargs["initial"] = (
            initial | {"decisions": review.decisions, "attendees": present} | (kwargs.get("initial") or {})
        )
        super().__init__(*args, **kwargs)
        for key, title in self.sections:
            self.fields[f"{NOTE}{key}"] = Text(
                required=False, max_length=TEXT_LENGTH, label=title, widget=text_area(2)
            )
        self.fields["decisions"] = Text(
            required=False, max_length=TEXT_LENGTH, label="Decisions", widget=text_area(4)
        )
        self.fields["attendees"] = PeopleField(
            required=False, label="Who took part?", most=MOST_ATTENDEES, named=present
        )

    def who_changed(self, name: str) -> str:
        return "somebody else"


class HoldReviewForm(WriteReviewForm):
    """The same at its end, when it must be said who took part."""

    MEANT: ClassVar[tuple[str, ...]] = ("attendees",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["attendees"].required = True


def written(data: Mapping[str, Any]) -> dict[str, Any]:
    """The cleaned data of these forms as the services take it: what was left as it was is not in it."""
    notes = {name.removeprefix(NOTE): text for name, text in data.items() if name.startswith(NOTE)}
    return {"notes": notes, **{name: text for name, text in data.items() if not name.startswith(NOTE)}}


class OpenReviewForm(forms.Form):
    """A review by hand."""

    name = Line(max_length=120, label="What is reviewed?", widget=forms.TextInput(attrs={"autofocus": True}))
    begins_at = forms.DateTimeField(
        label="From (UTC)", widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    ends_at = forms.DateTimeField(
        label="Until (UTC)",
        required=False,
        help_text="Empty means now.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )
    due_at = forms.DateTimeField(
        label="To be held until (UTC)", widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )


class RetrospectiveForm(forms.Form):
    """Until when the retrospective of an incident is held."""

    due_at = forms.DateTimeField(
        required=False,
        label="To be held until (UTC)",
        help_text="Empty means a week after the resolution.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )


class DocumentForm(forms.Form):
    """What looking a document over came to."""

    outcome = forms.ChoiceField(
        label="What did it come to?", choices=DocumentOutcome.choices, widget=forms.RadioSelect
    )
    note = Text(
        required=False,
        max_length=NOTE_LENGTH,
        label="Note",
        help_text="What was changed, or is to be changed.",
        widget=text_area(3),
    )


class TrainingForm(forms.Form):
    """Who did a course together."""

    course = forms.ChoiceField(label="Which course?")
    done_at = forms.DateTimeField(
        required=False,
        label="When (UTC)",
        help_text="Empty means now.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )
    people = PeopleField(label="Who took part?", most=MOST_PEOPLE)
    note = Line(required=False, max_length=300, label="Note", widget=forms.TextInput())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        courses = [(key, course.name) for key, course in policy.training().courses.items()]
        self.fields["course"].choices = courses  # type: ignore[attr-defined]  # of a ChoiceField
