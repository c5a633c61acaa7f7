"""The shapes of silences and maintenance windows as people write them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms

from core.clock import utcnow
from core.forms import Line, Text
from incidents.forms import moment_field, text_area
from incidents.rules.matchers import WrongMatcher, parse
from incidents.services_field import ServicesField

LASTS = [("30", "30 minutes"), ("60", "1 hour"), ("120", "2 hours"), ("240", "4 hours"), ("480", "8 hours")]
LASTS += [("1440", "1 day"), ("4320", "3 days"), ("10080", "7 days"), ("43200", "30 days")]


class QuietForm(forms.Form):
    """From when, how long and why."""

    starts_at = moment_field("From (UTC)", "Empty means now.")
    lasts = forms.ChoiceField(choices=LASTS, initial="120", label="For")
    reason = Line(
        max_length=300,
        label="Why?",
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "Database upgrade, OPS-4711"}),
    )

    def clean(self) -> dict[str, Any]:
        """`ends_at` instead of how long."""
        data = super().clean() or self.cleaned_data
        lasts = data.pop("lasts", None)
        if lasts is not None:
            data["ends_at"] = (data.get("starts_at") or utcnow()) + dt.timedelta(minutes=int(lasts))
        return data


class SilenceForm(QuietForm):
    """Which alerts open nothing for a while."""

    field_order = ("matchers", "starts_at", "lasts", "reason")
    matchers = Text(
        max_length=5_000,
        label="Which alerts?",
        widget=text_area(3, placeholder='alertname="DiskFull"', autofocus=True, spellcheck="false"),
        help_text='A label, = != =~ or !~, a value; one a line, all must fit: team="shop", job=~"web-.*".',
    )

    def clean_matchers(self) -> list[dict[str, str]]:
        found = []
        for line in self.cleaned_data["matchers"].splitlines():
            if not line.strip():
                continue
            try:
                one = parse(line)
            except WrongMatcher as error:
                raise forms.ValidationError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
            found.append({"label": one.label, "op": one.op, "value": one.value})
        return found


class MaintenanceForm(QuietForm):
    """On which services is work, during which nothing is opened for them."""

    field_order = ("services", "starts_at", "lasts", "reason")
    services = ServicesField(autofocus=True)
