"""The doors of messages: the composer, the outbox, the gate, and the components of the status page."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from comms import forms
from comms.models import Component, Message
from comms.selectors import outbox
from comms.selectors.components import get_component, list_components
from comms.selectors.public_facts import component_states
from comms.services import composing, external
from comms.services.components import set_component_state
from comms.services.deliveries import retry_delivery
from comms.states import EXTERNAL_TEMPLATES, ComponentState, MessageState, Template, Visibility
from core.actors import Actor
from core.clock import utcnow
from core.errors import FirebreakError, NotFound
from core.forms import LARGEST_ID
from core.views.commands import CommandView, add_errors
from core.views.reading import Live, page_query, reading, render_page
from incidents.selectors.actions import why_not_allowed
from incidents.selectors.cards import incident_url
from incidents.views.incidents import BackToIncident, IncidentCommand

STATES = (("All", ""), *((str(state.label), state.value) for state in MessageState))


@reading
def messages(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What was said, with a receipt for each delivery."""
    query = page_query(request)
    state = query.get("state", "")
    state = state if state in MessageState.values else ""
    before = query.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    page = outbox.list_outbox(actor, state=state, before=number)
    here = reverse("comms:messages")
    kept = f"state={state}&" if state else ""
    context = {
        "live": Live(here, "now"),
        "lines": page.lines,
        "filtered": bool(state or number),
        "options": [
            {"label": label, "url": f"{here}?state={key}" if key else here, "current": key == state}
            for label, key in STATES
        ],
        "previous_url": (f"{here}?{kept}".rstrip("&?")) if number else None,
        "next_url": f"{here}?{kept}before={page.before}" if page.before else None,
    }
    return render_page(request, "comms/messages.html", context)


@reading
def message_page(request: HttpRequest, actor: Actor, message: int) -> HttpResponse:
    """One message: its words in every channel, who gets it, what became of each delivery."""
    row = outbox.get_message(actor, _number(message))
    outside = row.visibility == Visibility.EXTERNAL
    draft = row.state == MessageState.DRAFT
    topics = f"incident:{row.incident.ref}" if row.incident else "now"
    context = {
        "live": Live(reverse("comms:message", args=[message]), topics),
        "message": outbox.message_line(row),
        "body": row.body,
        "public": row.public if outside else None,
        "preview": composing.preview_draft(row) if outside and draft else None,
        "receipts": outbox.list_receipts(row),
        "why_not": why_not_allowed(actor, "respond"),
        "why_not_approve": _why_not_approve(row, actor) if outside and draft else "",
        "is_draft": draft,
        "approved_at": row.approved_at,
        "edit_url": reverse("comms:edit_message", args=[message]),
        "approve_url": reverse("comms:approve_message", args=[message]),
        "discard_url": reverse("comms:discard_message", args=[message]),
    }
    return render_page(request, "comms/message.html", context)


@reading
def components(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What the public sees of the services."""
    context = {
        "live": Live(reverse("comms:components"), "now"),
        "rows": list_components(),
        "why_not": why_not_allowed(actor, "command"),
    }
    return render_page(request, "comms/components.html", context)


class Compose(IncidentCommand):
    """Write a message by hand: for inside, which leaves at once, or for users, which waits for approval."""

    template_name = "comms/compose.html"
    title = "Write a message"
    submit_label = "Go on"
    made: Message | None = None
    preview: composing.Preview | None = None

    def load(self, **kwargs: str) -> None:
        super().load(**kwargs)
        asked = self.request.POST if self.request.method == "POST" else self.request.GET
        self.outside = asked.get("to", "") == "users"
        self.form_class = forms.ComposeForm if self.outside else forms.NoteForm

    def form_arguments(self) -> dict[str, Any]:
        if not self.outside:
            return {}
        template = self.request.GET.get("template", Template.EXTERNAL_UPDATE)
        if template not in EXTERNAL_TEMPLATES:
            template = Template.EXTERNAL_UPDATE
        try:
            proposed = external.compose_update(self.incident, template, {}, now=utcnow())
        except FirebreakError:  # the form says so when it is sent
            return {"initial": {"template": template}}
        return {"update": proposed, "initial": {"template": template}}

    def post(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        if "preview" not in request.POST:
            return super().post(request, **kwargs)
        form = self.form_class(request.POST, **self.form_arguments())
        if form.is_valid():
            try:
                self.preview = self._preview(form.cleaned_data)
            except FirebreakError as error:
                add_errors(form, error)
        return self._show(form, status=422 if form.errors else 200)

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        data.pop("to", None)
        if self.outside:
            self.made = external.draft_message(
                incident_id=self.incident.pk, actor=self.actor, now=now, **data
            )
            return "The draft is stored. The incident commander approves it."
        self.made = composing.send_message(incident_id=self.incident.pk, actor=self.actor, now=now, **data)
        return "The message is on its way."

    def back_url(self) -> str:
        return reverse("comms:message", args=[self.made.pk]) if self.made else incident_url(self.incident.ref)

    def extra_context(self) -> dict[str, Any]:
        here = self.request.path
        inside = "Contacts are told at once, with a receipt for each."
        if self.incident.restricted:
            inside += " Who may not see the incident gets its code name and a link; so does every room."
        users = "Users read it once the incident commander has approved it: on the status page and by mail."
        return {
            "title": "Write to users" if self.outside else "Write a message",
            "intro": users if self.outside else inside,
            "submit_label": "Store the draft" if self.outside else "Send",
            "preview": self.preview,
            "other_url": here if self.outside else f"{here}?to=users",
            "other_label": "Write to contacts instead" if self.outside else "Write to users instead",
        }

    def _preview(self, data: dict[str, Any]) -> composing.Preview:
        asked = {name: value for name, value in data.items() if name != "to"}
        if self.outside:
            return composing.preview_external(incident=self.incident, actor=self.actor, now=utcnow(), **asked)
        return composing.preview_message(incident=self.incident, actor=self.actor, now=utcnow(), **asked)


class MessageCommand(BackToIncident):
    """A command on the message that the address names."""

    message: Message

    def load(self, **kwargs: str) -> None:
        self.message = outbox.get_message(self.actor, _number(kwargs["message"]))

    def back_url(self) -> str:
        if self.comes_from_incident() and self.message.incident is not None:
            return incident_url(self.message.incident.ref)
        return reverse("comms:message", args=[self.message.pk])


class ExternalCommand(MessageCommand):
    """A command on a message for users."""

    def load(self, **kwargs: str) -> None:
        super().load(**kwargs)
        if self.message.visibility != Visibility.EXTERNAL:
            raise NotFound("No such message for users.")

    def as_read(self) -> dict[str, Any]:
        """Which message, as the form was compared with it, as the services take it."""
        return {"message_id": self.message.pk, "version": self.message.version}


class EditMessage(ExternalCommand):
    form_class = forms.EditForm
    title = "Edit the message"
    submit_label = "Save"

    def form_arguments(self) -> dict[str, Any]:
        return {"message": self.message}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        external.edit_message(**self.as_read(), actor=self.actor, now=now, **data)
        return "The draft is saved."


class ApproveMessage(ExternalCommand):
    form_class = forms.DraftForm
    template_name = "comms/approve.html"
    title = "Approve for users"
    submit_label = "Approve and send"
    danger = True
    decides = True

    def form_arguments(self) -> dict[str, Any]:
        return {"message": self.message}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        external.approve_message(**self.as_read(), actor=self.actor, now=now)
        return "It is approved and leaves now."

    def extra_context(self) -> dict[str, Any]:
        return {
            "preview": composing.preview_draft(self.message),
            "consequences": [
                *(f"{name} is {label.lower()}." for name, label in component_states(self.message.public)),
                "Users read it at once: on the status page, and by every channel above.",
                "It cannot be taken back.",
            ],
        }


class DiscardMessage(ExternalCommand):
    form_class = forms.DraftForm
    title = "Discard the draft"
    danger = True

    def form_arguments(self) -> dict[str, Any]:
        return {"message": self.message}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        external.discard_message(**self.as_read(), actor=self.actor, now=now)
        return "The draft is discarded."


class RetryDelivery(MessageCommand):
    title = "Try the delivery again"
    submit_label = "Try again"
    delivery_id = 0

    def load(self, **kwargs: str) -> None:
        super().load(**kwargs)
        self.delivery_id = _number(kwargs["delivery"])
        if not self.message.deliveries.filter(pk=self.delivery_id).exists():
            raise NotFound("No such delivery.")

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        retry_delivery(delivery_id=self.delivery_id, actor=self.actor, now=now)
        return "It is tried again."


class SetComponent(CommandView):
    form_class = forms.ComponentForm
    title = "Say how the component is"
    submit_label = "Set"
    component: Component

    def load(self, **kwargs: str) -> None:
        self.component = get_component(kwargs["public_id"])

    def form_arguments(self) -> dict[str, Any]:
        return {"initial": {"state": self.component.state}}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        set_component_state(component_id=self.component.pk, actor=self.actor, now=now, **data)
        return f"{self.component.service.public_name} is {ComponentState(data['state']).label.lower()} now."

    def back_url(self) -> str:
        return reverse("comms:components")

    def extra_context(self) -> dict[str, Any]:
        return {
            "title": f"{self.title}: {self.component.service.public_name}",
            "consequences": ["The status page shows it at once; nobody is mailed."],
        }


def _why_not_approve(message: Message, actor: Actor) -> str:
    assert message.incident is not None
    return why_not_allowed(actor, "respond") or external.why_not_approve(message.incident, actor)


def _number(text: str | int) -> int:
    number = int(text)
    if number > LARGEST_ID:
        raise NotFound("No such message.")
    return number
