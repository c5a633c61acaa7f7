"""The pages of outgoing webhooks, for administrators: a secret is in one answer and never anywhere again."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from comms.forms import EditWebhookForm, ReplayForm, WebhookForm
from comms.models import WebhookEndpoint
from comms.selectors.webhooks import get_webhook, list_log, list_webhooks, webhook_line
from comms.services import webhooks as services
from core.access import require
from core.actors import Actor
from core.forms import LARGEST_ID
from core.versions import at_version
from core.views.commands import CommandView
from core.views.reading import Live, reading, render_page

TOPICS = services.TOPIC


@reading
def webhooks(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Which addresses are told of which events."""
    context = {"live": Live(reverse("comms:webhooks"), TOPICS), "webhooks": list_webhooks(actor)}
    return render_page(request, "comms/webhooks.html", context)


@reading
def webhook(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """One webhook and its log."""
    return render_page(request, "comms/webhook.html", _context(actor, pk))


def _context(actor: Actor, pk: int) -> dict[str, Any]:
    endpoint = get_webhook(pk, actor)
    return {
        "live": Live(reverse("comms:webhook", args=[pk]), TOPICS),
        "webhook": webhook_line(endpoint),
        "log": list_log(pk, actor),
    }


class WebhookCommand(CommandView):
    """A command on one webhook, or on none yet."""

    endpoint: WebhookEndpoint | None = None
    shown_secret = ""

    def load(self, **kwargs: Any) -> None:
        if "pk" in kwargs:
            self.endpoint = get_webhook(kwargs["pk"], self.actor)
        require(self.actor, "administer")

    @property
    def ident(self) -> int:
        assert self.endpoint is not None
        return self.endpoint.pk

    def back_url(self) -> str:
        if self.endpoint is None:
            return reverse("comms:webhooks")
        return reverse("comms:webhook", args=[self.endpoint.pk])

    def done(self, said: str) -> HttpResponse:
        """A new secret is shown in this answer, which nobody keeps."""
        if not self.shown_secret:
            return super().done(said)
        context = _context(self.actor, self.ident) | {"secret": self.shown_secret, "said": said}
        answer = render(self.request, "comms/webhook.html", context)
        answer["Cache-Control"] = "no-store"
        return answer


class NewWebhook(WebhookCommand):
    form_class = WebhookForm
    title = "New webhook"
    submit_label = "Make it"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        self.endpoint, self.shown_secret = services.create_webhook(actor=self.actor, now=now, **data)
        return "It is told of events from now on."


class EditWebhook(WebhookCommand):
    form_class = EditWebhookForm
    title = "Change the webhook"
    submit_label = "Save"

    def form_arguments(self) -> dict[str, Any]:
        assert self.endpoint is not None
        names = ("url", "description", "kinds", "sees_restricted")
        return {"initial": {name: getattr(self.endpoint, name) for name in names}}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        assert self.endpoint is not None
        # The form was compared with this version, so it must still be that.
        with at_version(WebhookEndpoint.objects.filter(pk=self.ident), {self.endpoint.version}):
            services.edit_webhook(webhook_id=self.ident, changes=data, actor=self.actor, now=now)
        return "Saved."


class SwitchWebhook(WebhookCommand):
    """Disable it, or enable it again."""

    enabled = True

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        changes = {"enabled": self.enabled}
        services.edit_webhook(webhook_id=self.ident, changes=changes, actor=self.actor, now=now)
        return "It is told of events again." if self.enabled else "It is told of nothing until it is enabled."


class EnableWebhook(SwitchWebhook):
    title = "Enable the webhook"
    submit_label = "Enable"

    def extra_context(self) -> dict[str, Any]:
        text = "It is told of what happens from now on. What it missed is sent by a replay alone."
        return {"consequences": [text]}


class DisableWebhook(SwitchWebhook):
    title = "Disable the webhook"
    submit_label = "Disable"
    enabled = False

    def extra_context(self) -> dict[str, Any]:
        return {"consequences": ["It is told of nothing more. What waits for it is given up."]}


class RemoveWebhook(WebhookCommand):
    title = "Remove the webhook"
    submit_label = "Remove"
    danger = True

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        services.remove_webhook(webhook_id=self.ident, actor=self.actor, now=now)
        self.endpoint = None
        return "It is removed."

    def extra_context(self) -> dict[str, Any]:
        return {"consequences": ["It is told of nothing more, and its log goes with it."]}


class RotateSecret(WebhookCommand):
    title = "New secret"
    submit_label = "Make a new secret"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        self.endpoint, self.shown_secret = services.rotate_webhook_secret(
            webhook_id=self.ident, actor=self.actor, now=now
        )
        return "Until the same time tomorrow the old secret signs as well."

    def extra_context(self) -> dict[str, Any]:
        text = "For 24 hours each message is signed with both: change the receiver within that time."
        return {"consequences": ["The new secret is shown once.", text]}


class SendTest(WebhookCommand):
    title = "Send a test"
    submit_label = "Send"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        services.send_test(webhook_id=self.ident, actor=self.actor, now=now)
        return "It is on its way; the log says what was answered."


class OneDeliveryForm(forms.Form):
    """Which delivery."""

    delivery = forms.IntegerField(min_value=1, max_value=LARGEST_ID, widget=forms.HiddenInput)


class ReplayDelivery(WebhookCommand):
    form_class = OneDeliveryForm
    title = "Send it again"
    submit_label = "Send again"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        services.replay_delivery(
            webhook_id=self.ident, delivery_id=data["delivery"], actor=self.actor, now=now
        )
        return "It is sent again."


class ReplayEvents(WebhookCommand):
    form_class = ReplayForm
    title = "Replay events"
    submit_label = "Replay"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        number = services.replay_events(webhook_id=self.ident, actor=self.actor, now=now, **data)
        return f"{number} events are sent again."

    def extra_context(self) -> dict[str, Any]:
        text = "Also what it got before: each message has the id it had, so that a receiver knows it again."
        return {"consequences": [text]}
