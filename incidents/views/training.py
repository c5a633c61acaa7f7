"""The page of training, and the door of its command."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.actors import Actor
from core.clock import utcnow
from core.views.commands import CommandView
from core.views.reading import Live, reading, render_page
from incidents.review_forms import TrainingForm
from incidents.selectors.actions import why_not_allowed
from incidents.selectors.training import people_to_train, training_matrix
from incidents.services.training import record_training


@reading
def training(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Who has done what, and whose has lapsed."""
    matrix = training_matrix(now=utcnow())
    context = {
        "live": Live(reverse("incidents:training"), "training"),
        "matrix": matrix,
        "lapsed": matrix.count("lapsed"),
        "why_not": why_not_allowed(actor, "respond"),
    }
    return render_page(request, "incidents/training.html", context)


class RecordTraining(CommandView):
    form_class = TrainingForm
    title = "Record training"
    submit_label = "Record it"

    def form_arguments(self) -> dict[str, Any]:
        return {"people": people_to_train()}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        records = record_training(actor=self.actor, now=now, **data)
        return f"Recorded for {len(records)} {'person' if len(records) == 1 else 'people'}."

    def back_url(self) -> str:
        return reverse("incidents:training")
