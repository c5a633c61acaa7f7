"""The shapes of what people send from the pages of this app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from core.careful_forms import CarefulForm, WholeForm
from core.forms import Line, Text
from incidents.forms import TEXT_LENGTH, OptionalReasonForm, ReasonForm, text_area
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.selectors.rollback_page import last_editor

LONGEST_SECONDS = 7 * 86_400
PARAMETER = "parameters_"


class PlanForm(forms.Form):
    """A rollback's plan: to which release, and why.

    The procedure's parameters are fields of their own, named `parameters_<name>`. Without `versions`
    there is no release to choose: the procedure returns something else than the version.
    """

    target_version = forms.ChoiceField(label="Back to", widget=forms.RadioSelect)
    reason = Text(max_length=TEXT_LENGTH, widget=text_area(2, autofocus=True), label="Why?")
    expected_duration_seconds = forms.IntegerField(
        min_value=1,
        max_value=LONGEST_SECONDS,
        label="Expected duration in seconds",
        help_text="Told to everybody.",
    )
    expected_impact = Text(
        required=False, max_length=TEXT_LENGTH, widget=text_area(2), label="Impact during the rollback"
    )

    def __init__(self, *args: Any, versions: Sequence[str] | None, procedure: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if versions is None:
            del self.fields["target_version"]
        else:
            self.fields["target_version"].choices = [(version, version) for version in versions]  # type: ignore[attr-defined]
        for name, parameter in policy.procedure(procedure).parameters.items():
            self.fields[PARAMETER + name] = Line(
                max_length=500,
                label=name.replace("_", " ").capitalize(),
                initial=parameter.default,
                required=parameter.default is None,
                help_text=f"Must match {parameter.pattern}",
            )


class RequestForm(PlanForm):
    """Ask for a rollback of one service; without `procedure` by the service's own."""

    service = Line(widget=forms.HiddenInput)
    procedure = Line(required=False, widget=forms.HiddenInput)


class EditRollbackForm(PlanForm, CarefulForm):
    """Change a rollback before it runs."""

    def __init__(self, *args: Any, rollback: Rollback, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rollback = rollback

    def who_changed(self, name: str) -> str:
        return last_editor(self._rollback)


class PlanReadForm(WholeForm):
    """A decision about the plan that the person read."""

    def __init__(self, *args: Any, rollback: Rollback, **kwargs: Any) -> None:
        said = f"The plan was edited after you read it: {rollback.way} now. Send it again if you mean that."
        super().__init__(*args, now_is=rollback.plan_digest, said=said, **kwargs)


class ApproveForm(PlanReadForm, OptionalReasonForm):
    """Yes, and what there is to add."""


class BreakGlassForm(PlanReadForm, ReasonForm):
    """Alone, and why."""


class ConfirmForm(forms.Form):
    """Yes, and what there is to say."""

    note = Text(required=False, max_length=500, widget=text_area(2), label="What did you see?")


class HandOverForm(forms.Form):
    """Another release to go to, and why."""

    target_version = forms.ChoiceField(label="Which release?")
    reason = Text(max_length=TEXT_LENGTH, widget=text_area(2, autofocus=True), label="Why?")

    def __init__(self, *args: Any, options: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["target_version"].choices = options  # type: ignore[attr-defined]


class JudgeForm(WholeForm):
    """Whether a rollback that is over was necessary, having read how it was judged before."""

    def __init__(self, *args: Any, rollback: Rollback, **kwargs: Any) -> None:
        at = rollback.judged_at.isoformat() if rollback.judged_at else ""
        judged = "a false positive" if rollback.false_positive else "necessary"
        said = f"{rollback.judged_by} judged it {judged}: {rollback.judged_reason}"[:400]
        super().__init__(*args, now_is=at, said=f"{said} Send yours to put it in that one's place.", **kwargs)

    false_positive = forms.TypedChoiceField(
        label="Was it necessary?",
        choices=[("no", "Yes, it was"), ("yes", "No: a false positive")],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
    )
    reason = Text(max_length=TEXT_LENGTH, widget=text_area(2, autofocus=True), label="Why?")


class AutomationForm(forms.Form):
    """Arm or disarm all automation."""

    to = forms.ChoiceField(choices=[("armed", "Armed"), ("disarmed", "Disarmed")], widget=forms.HiddenInput)
    reason = Text(required=False, max_length=500, widget=text_area(2, autofocus=True), label="Why?")


def given_parameters(data: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that were given, by the procedure's names."""
    return {
        name.removeprefix(PARAMETER): value
        for name, value in data.items()
        if name.startswith(PARAMETER) and value
    }
