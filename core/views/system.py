"""The page "Firebreak itself", the banner of every page, and what an administrator may do there."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.actors import Actor
from core.clock import utcnow
from core.errors import NotFound
from core.forms import LARGEST_ID
from core.operation.forget import forget_process
from core.operation.gather import list_processes
from core.operation.page import get_system_page
from core.operation.parked import retry_parked
from core.views.commands import CommandView
from core.views.reading import Live, reading, render_page


@reading
def system(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Who works, what is overdue, what is wrong and which page helps."""
    page = get_system_page(actor, now=utcnow())
    context = {"live": Live(reverse("core:system"), "system"), **vars(page)}
    return render_page(request, "system/system.html", context)


@reading
def banners(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The banners of every page, by themselves."""
    return render_page(request, "parts/banners.html", {})


class RetryForm(forms.Form):
    """One parked event, or all of them."""

    pending = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_ID, widget=forms.HiddenInput)


class SystemCommand(CommandView):
    """A command on Firebreak itself."""

    def back_url(self) -> str:
        return reverse("core:system")


class RetryParked(SystemCommand):
    """Hand parked events to their consumers again."""

    form_class = RetryForm
    title = "Retry parked events"
    submit_label = "Retry"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        number = retry_parked(actor=self.actor, now=now, pending_id=data["pending"])
        return "It is given another try." if number == 1 else f"{number} events are given another try."

    def extra_context(self) -> dict[str, Any]:
        return {"consequences": ["Their consumers run again. Each event is handled once at most."]}


class ForgetProcess(SystemCommand):
    """No longer wait for a process whose host is gone."""

    title = "Forget this process"
    submit_label = "Forget"
    process_id = 0

    def load(self, **kwargs: str) -> None:
        self.process_id = int(kwargs["pk"])
        if not any(process.pk == self.process_id for process in list_processes()):
            raise NotFound("No such process.")

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        name = forget_process(process_id=self.process_id, actor=self.actor, now=now)
        return f"{name} is no longer watched."

    def extra_context(self) -> dict[str, Any]:
        text = "It is no longer missed. Should it come back, it is watched again by itself."
        return {"consequences": [text]}
