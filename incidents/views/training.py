"""The page of training, and the door of its command."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.actors import Actor
from core.clock import utcnow
from core.views.commands import CommandView
from core.views.reading import Live, page_query, reading, render_page
from incidents.review_forms import TrainingForm
from incidents.selectors.actions import why_not_allowed
from incidents.selectors.training import training_matrix
from incidents.services.training import record_training


@reading
def training(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Who has done what, and whose has lapsed."""
    matrix, asked, url = training_matrix(now=utcnow()), page_query(request), reverse("incidents:training")
    given = asked.get("page", "")
    page = matrix.page(max(1, int(given)) if given.isascii() and given.isdecimal() and len(given) < 6 else 1)
    context = {
        "live": Live(url, "training"),
        "matrix": matrix,
        "page": page,
        "lapsed": matrix.count("lapsed"),
        "never": matrix.count("never"),
        "why_not": why_not_allowed(actor, "respond"),
        "previous_url": f"{url}?page={page.number - 1}" if page.number > 1 else None,
        "next_url": f"{url}?page={page.number + 1}" if page.has_more else None,
    }
    return render_page(request, "incidents/training.html", context)


class RecordTraining(CommandView):
    form_class = TrainingForm
    title = "Record training"
    submit_label = "Record it"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        records = record_training(actor=self.actor, now=now, **data)
        return f"Recorded for {len(records)} {'person' if len(records) == 1 else 'people'}."

    def back_url(self) -> str:
        return reverse("incidents:training")
