"""The page of the figures, and of what is behind each of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.actors import Actor
from core.clock import utcnow
from core.errors import NotFound
from core.views.reading import reading, render_page
from incidents.services_field import ServicesField
from incidents.states import Severity
from rollbacks.rules.insights import (
    BY,
    FIGURES,
    PERIODS,
    Scope,
    WrongSpan,
    bound_text,
    months_back,
    months_covered,
    read_bound,
    span,
)
from rollbacks.selectors.insight_charts import draw_figures, group_lines, span_text
from rollbacks.selectors.insight_rows import list_behind
from rollbacks.selectors.insights import get_insights, group_insights, start_before
from rollbacks.states import Trigger

MOST_MONTHS = 60  # that a chart can show
MOST_GROUPS = 50
COMPARED_UNASKED = 20_000  # incidents; to compare more takes a while
NO_LONGER = f"Choose at most {MOST_MONTHS} months."


class _Bound(forms.CharField):
    """A day of UTC, or a time."""

    def __init__(self, *, last: bool, **options: Any) -> None:
        self.last = last
        super().__init__(
            required=False, max_length=40, widget=forms.DateInput(attrs={"type": "date"}), **options
        )

    def clean(self, value: Any) -> dt.datetime | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            return read_bound(text, last=self.last)
        except WrongSpan as error:
            raise ValidationError(str(error)) from error


class InsightsForm(forms.Form):
    """What is looked at; everything may be left out."""

    service = ServicesField(label="Service", required=False)
    severity = forms.ChoiceField(label="Severity", required=False, choices=[("", "Any"), *Severity.choices])
    trigger = forms.ChoiceField(
        label="Rollback started by", required=False, choices=[("", "Any"), *Trigger.choices]
    )
    by = forms.ChoiceField(required=False, choices=[(by, by) for by in BY], widget=forms.HiddenInput)

    def __init__(self, data: Any, *, now: dt.datetime) -> None:
        super().__init__(data)
        self.now = now
        # `from` is no name that a class could have.
        self.fields["from"] = _Bound(label="From", last=False)
        self.fields["to"] = _Bound(label="To, this day too", last=True)
        self.order_fields(["from", "to", "service", "severity", "trigger"])

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if {"from", "to"} & set(self.errors):
            return given
        try:
            given["span"] = span(given.get("from"), given.get("to"), self.now)
        except WrongSpan as error:
            raise ValidationError({"from": str(error)}) from error
        if months_covered(*given["span"]) > MOST_MONTHS:
            raise ValidationError({"from": NO_LONGER})
        return given


@dataclass(frozen=True)
class Chosen:
    """What the address asks for, and addresses that ask for a little else."""

    scope: Scope
    by: str
    form: InsightsForm

    @classmethod
    def read(cls, request: HttpRequest, now: dt.datetime) -> Chosen:
        """What is wrong counts as not given, and the form says so."""
        form = InsightsForm(request.GET, now=now)
        form.is_valid()
        given = form.cleaned_data
        start, end = given.get("span") or span(None, None, now)
        services = tuple(given.get("service") or ())
        scope = Scope(start, end, services, given.get("severity") or "", given.get("trigger") or "")
        return cls(scope, given.get("by") or "", form)

    def query(self, **changes: Any) -> str:
        """The address's parameters with some of them different; None leaves one out."""
        scope = self.scope
        ends_now = "to" not in self.form.data or not self.form.data["to"]
        asked: dict[str, Any] = {
            "from": bound_text(scope.start, last=False),
            "to": None if ends_now else bound_text(scope.end, last=True),
            "service": ",".join(scope.services),
            "severity": scope.severity,
            "trigger": scope.trigger,
            **changes,
        }
        return urlencode({name: value for name, value in asked.items() if value})

    def page(self, **changes: Any) -> str:
        return f"{reverse('rollbacks:insights')}?{self.query(**{'by': self.by, **changes})}"

    def behind(self, figure: str, **changes: Any) -> str:
        return f"{reverse('rollbacks:behind', args=[figure])}?{self.query(**changes)}"

    def behind_span(self, figure: str, start: dt.datetime, end: dt.datetime) -> str:
        last = None if end == self.scope.end and "to=" not in self.query() else bound_text(end, last=True)
        return self.behind(figure, **{"from": bound_text(start, last=False), "to": last})


@reading
def insights(request: HttpRequest, actor: Actor) -> HttpResponse:
    """How often, how fast, how well: the figures of a span, by month and by what one asks."""
    now = utcnow()
    chosen = Chosen.read(request, now)
    scope = chosen.scope
    found = get_insights(actor, scope, now=now)
    by = chosen.by or (BY[0] if found.total.incidents <= COMPARED_UNASKED else "")
    groups = group_insights(actor, scope, by, now=now) if by else ()
    context = {
        "form": chosen.form,
        "cards": draw_figures(found, chosen.behind_span),
        "empty": not (found.total.incidents or found.total.rollbacks),
        "narrowed": scope.narrowed,
        "span": span_text(scope.start, scope.end),
        "before": span_text(start_before(scope), scope.start),
        "periods": [_period(chosen, months, now) for months in PERIODS],
        "by": by,
        "by_options": [
            {"label": one.capitalize(), "url": chosen.page(by=one), "current": one == by} for one in BY
        ],
        "columns": [figure.label for figure in FIGURES.values()],
        "groups": group_lines(
            groups[:MOST_GROUPS],
            found.months_covered,
            lambda key, figure: chosen.behind(figure, **{by: key}),
            lambda key: chosen.page(**{by: key}),
        ),
        "more_groups": max(len(groups) - MOST_GROUPS, 0),
        "csv_url": _sheet_url(chosen),
        "groups_csv_url": _sheet_url(chosen, by=by),
    }
    return render_page(request, "rollbacks/insights.html", context)


def _sheet_url(chosen: Chosen, **changes: Any) -> str:
    return f"/api/v1/insights.csv?{chosen.query(**changes)}"


@reading
def behind(request: HttpRequest, actor: Actor, figure: str) -> HttpResponse:
    """The incidents or rollbacks that a figure was made of."""
    asked = FIGURES.get(figure)
    if asked is None:
        raise NotFound("There is no such figure.")
    now = utcnow()
    chosen = Chosen.read(request, now)
    cursor = request.GET.get("before", "")[:24]
    page = list_behind(actor, asked, chosen.scope, before=cursor if cursor.isprintable() else "", now=now)
    context: Mapping[str, Any] = {
        "figure": asked,
        "rows": page.rows,
        "count": page.count,
        "span": span_text(chosen.scope.start, chosen.scope.end),
        "filters": [
            *chosen.scope.services,
            *filter(None, (chosen.scope.severity, chosen.scope.trigger)),
        ],
        "back_url": f"{reverse('rollbacks:insights')}?{chosen.query()}",
        "previous_url": chosen.behind(figure) if cursor else None,
        "next_url": chosen.behind(figure, before=page.before) if page.before else None,
    }
    return render_page(request, "rollbacks/behind.html", context)


def _period(chosen: Chosen, months: int, now: dt.datetime) -> dict[str, Any]:
    start = months_back(now, months - 1)
    return {
        "label": f"{months} months",
        "url": chosen.page(**{"from": bound_text(start, last=False), "to": None}),
        "current": chosen.scope.start == start and (now - chosen.scope.end) < dt.timedelta(days=1),
    }
