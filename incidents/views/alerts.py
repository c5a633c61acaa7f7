"""The pages of alerts, silences and maintenance windows, and the doors of their commands."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.access import may
from core.actors import Actor
from core.clock import utcnow
from core.forms import LARGEST_ID
from core.views.commands import CommandView
from core.views.reading import Live, page_query, reading, render_page
from incidents import quiet_forms
from incidents.selectors import alerts as selectors
from incidents.selectors import quiet as quiet_selectors
from incidents.selectors.actions import why_not_allowed
from incidents.services import quiet
from incidents.services.inbound import retry_deliveries
from incidents.states import AlertStatus

STATES = (("Not over", "open"), ("All", "all"), *((str(s.label), s.value) for s in AlertStatus))


@reading
def alerts(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What other systems say is wrong."""
    query = page_query(request)
    status = query.get("status", "open")
    status = status if status in [key for _label, key in STATES] else "open"
    services = selectors.alert_services(actor)
    service = query.get("service", "")
    service = service if service in dict(services) else ""
    before = query.get("before", "")
    page = selectors.list_alerts(actor, status=status, service=service, before=before)

    def address(**changes: str) -> str:
        chosen = {"status": status, "service": service, **changes}
        asked = {name: value for name, value in chosen.items() if value and value != "open"}
        return reverse("incidents:alerts") + (f"?{urlencode(asked)}" if asked else "")

    context = {
        "live": Live(reverse("incidents:alerts"), "alerts"),
        "alerts": page.lines,
        "parked": selectors.list_parked(actor),
        "parked_count": selectors.count_parked(),
        "can_administer": may(actor, "administer"),
        "filtered": status != "open" or bool(service or before),
        "filters": [
            _filter(
                "status", "State", [(label, address(status=key), key == status) for label, key in STATES]
            ),
            _filter(
                "service",
                "Service",
                [
                    (label, address(service=slug), slug == service)
                    for slug, label in [("", "Any service"), *services]
                ],
            ),
        ],
        "previous_url": address() if before else None,
        "next_url": address(before=page.before) if page.before else None,
    }
    return render_page(request, "incidents/alerts.html", context)


@reading
def silences(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Which alerts open nothing for now, and until when."""
    context = {
        "live": Live(reverse("incidents:silences"), "alerts"),
        "rows": quiet_selectors.list_silences(now=utcnow()),
        "why_not": why_not_allowed(actor, "respond"),
    }
    return render_page(request, "incidents/silences.html", context)


@reading
def maintenance(request: HttpRequest, actor: Actor) -> HttpResponse:
    """On which services is work, during which nothing is opened for them."""
    context = {
        "live": Live(reverse("incidents:maintenance"), "alerts"),
        "rows": quiet_selectors.list_windows(now=utcnow()),
        "why_not": why_not_allowed(actor, "configure"),
    }
    return render_page(request, "incidents/maintenance.html", context)


class NewSilence(CommandView):
    form_class = quiet_forms.SilenceForm
    title = "Silence alerts"
    submit_label = "Silence"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        silence = quiet.create_silence(actor=self.actor, now=now, **data)
        return f"Alerts that fit are silent until {silence.ends_at:%Y-%m-%d %H:%M} UTC."

    def back_url(self) -> str:
        return reverse("incidents:silences")

    def extra_context(self) -> dict[str, Any]:
        return {
            "consequences": [
                "Alerts that begin to fire and fit are kept and shown, and open no incident: nobody is told.",
                "What still fires when the silence ends opens its incident then.",
                "An incident that is open stays open. A security alert of P0 is never silenced.",
            ]
        }


class EndSilence(CommandView):
    title = "End the silence"
    submit_label = "End it now"
    silence_id = 0

    def load(self, **kwargs: str) -> None:
        self.silence_id = quiet_selectors.get_silence(int(kwargs["pk"])).pk

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        quiet.end_silence(silence_id=self.silence_id, actor=self.actor, now=now)
        return "The silence has ended; what still fires is taken up now."

    def back_url(self) -> str:
        return reverse("incidents:silences")

    def extra_context(self) -> dict[str, Any]:
        return {"consequences": ["What it held back and still fires opens its incident; people are told."]}


class NewMaintenance(CommandView):
    form_class = quiet_forms.MaintenanceForm
    title = "Plan maintenance"
    submit_label = "Plan it"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        window = quiet.create_window(actor=self.actor, now=now, **data)
        return f"Maintenance until {window.ends_at:%Y-%m-%d %H:%M} UTC."

    def back_url(self) -> str:
        return reverse("incidents:maintenance")

    def extra_context(self) -> dict[str, Any]:
        return {
            "consequences": [
                "Monitors go on measuring and alerts are kept, but neither opens an incident for these"
                " services: nobody is told, and nothing is rolled back automatically.",
                "What is still wrong at the end opens its incident then.",
                "Security events of P0 open theirs at once all the same.",
            ]
        }


class EndMaintenance(CommandView):
    title = "End the maintenance"
    submit_label = "End it now"
    window_id = 0

    def load(self, **kwargs: str) -> None:
        self.window_id = quiet_selectors.get_window(int(kwargs["pk"])).pk

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        quiet.end_window(window_id=self.window_id, actor=self.actor, now=now)
        return "The maintenance has ended; what is still wrong is taken up now."

    def back_url(self) -> str:
        return reverse("incidents:maintenance")

    def extra_context(self) -> dict[str, Any]:
        return {"consequences": ["What is still wrong opens its incident; people are told."]}


class RetryForm(forms.Form):
    """One parked delivery, or all of them."""

    delivery = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_ID, widget=forms.HiddenInput)


class RetryDeliveries(CommandView):
    form_class = RetryForm
    title = "Retry parked deliveries"
    submit_label = "Retry"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        number = retry_deliveries(actor=self.actor, now=now, delivery_id=data["delivery"])
        return "It is given another try." if number == 1 else f"{number} deliveries are given another try."

    def back_url(self) -> str:
        return reverse("incidents:alerts")

    def extra_context(self) -> dict[str, Any]:
        return {"consequences": ["They are looked into again. What an alert opened before, it opens once."]}


def _filter(key: str, label: str, options: list[tuple[str, str, bool]]) -> dict[str, Any]:
    shown = [{"label": text, "url": url, "current": current} for text, url, current in options]
    return {"key": key, "label": label, "options": shown}
