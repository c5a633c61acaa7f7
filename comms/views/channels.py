"""Channels as pages: what there is, setting up what they need, and trying them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from comms.deliveries.trial import send_test
from comms.facts import Connection, Sent
from comms.forms import ConnectionForm
from comms.selectors.channels import get_channel, list_channels
from comms.selectors.connections import ConnectionLine, connection_model, list_connections
from comms.selectors.subscribers import USER_EMAIL
from comms.services.connections import remove_connection, set_connection
from core.access import may, require
from core.actors import Actor
from core.errors import NotFound
from core.views.commands import CommandView
from core.views.reading import reading, render_page


@reading
def channels(request: HttpRequest, actor: Actor) -> HttpResponse:
    """How messages leave, and whether they do."""
    context = {
        "channels": list_channels(),
        "connections": list_connections(),
        "may_test": may(actor, "configure"),
        "may_set_up": may(actor, "administer"),
    }
    return render_page(request, "comms/channels.html", context)


class ChannelCommand(CommandView):
    """A command on channels."""

    def back_url(self) -> str:
        return reverse("comms:channels")


class TryChannel(ChannelCommand):
    """Send a test message to the person who asks, or to the channel's place."""

    title = "Test this channel"
    submit_label = "Send a test"
    key = ""

    def load(self, **kwargs: str) -> None:
        self.key = kwargs["key"]
        get_channel(self.key)

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        outcome = send_test(key=self.key, actor=self.actor, now=now)
        if isinstance(outcome, Sent):
            return f"The test left by {self.key}: {outcome.receipt}."
        messages.error(self.request, f"The test did not leave by {self.key}: {outcome.reason}.")
        return f"The channel {self.key} was tested."

    def extra_context(self) -> dict[str, Any]:
        channel = get_channel(self.key)
        if channel.means or channel.kind == USER_EMAIL:
            whom = "It goes to you alone, by the address of your contact."
        elif channel.kind == "apprise":
            whom = "It goes to the channel's target. On social media everybody reads it."
        else:
            whom = f"Everybody in {getattr(channel, 'room', 'its place')} reads it."
        return {"consequences": [whom, "It says that nothing has happened."]}


class SetUpConnection(ChannelCommand):
    """The account or token of a connection, instead of the one it had."""

    form_class = ConnectionForm
    title = "Set up a connection"
    submit_label = "Set up"
    name = ""
    model: type[Connection] = Connection
    line: ConnectionLine

    def load(self, **kwargs: str) -> None:
        require(self.actor, "administer")
        self.name = kwargs["name"]
        self.model = connection_model(self.name)
        self.line = next(one for one in list_connections() if one.name == self.name)

    def form_arguments(self) -> dict[str, Any]:
        return {"model": self.model, "line": self.line}

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        seen = self.line.changed_at
        set_connection(name=self.name, settings=data, replaces=seen, actor=self.actor, now=now)
        return f"The connection {self.name} is set up. Test its channels."

    def extra_context(self) -> dict[str, Any]:
        text = "What you type is sealed before it is stored, and no page or log ever shows it again."
        used = self.line.channels
        return {
            "intro": (self.model.__doc__ or "").split("\n")[0],
            "consequences": [f"From then on messages leave by: {', '.join(used)}.", text],
        }


class RemoveConnection(ChannelCommand):
    """Forget the account or token."""

    title = "Remove this connection"
    submit_label = "Remove"
    danger = True
    name = ""

    def load(self, **kwargs: str) -> None:
        require(self.actor, "administer")
        self.name = kwargs["name"]
        if all(one.name != self.name for one in list_connections()):
            raise NotFound("There is no such connection.")

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        remove_connection(name=self.name, actor=self.actor, now=now)
        return f"The connection {self.name} is removed."

    def extra_context(self) -> dict[str, Any]:
        used = next((one.channels for one in list_connections() if one.name == self.name), ())
        text = (
            f"Messages by {', '.join(used)} are files under VAR_DIR again." if used else "No channel uses it."
        )
        return {"consequences": [text]}
