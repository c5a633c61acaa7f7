"""This app's part of the playbook: channels and routing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field, RootModel, model_validator

from comms.channels import CHANNELS
from comms.facts import Channel
from comms.states import Template
from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, Section, Text, told_apart_by_kind
from incidents.playbook import Audience

if TYPE_CHECKING:
    AnyChannel = Channel
else:
    AnyChannel = told_apart_by_kind({kind: model for kind, (model, _send) in CHANNELS.items()})


class Channels(RootModel[Mapping[Key, AnyChannel]]):
    """channels.yaml: the ways out of here."""


class Route(Section):
    """Which event sends which message to whom."""

    event: Text = Field(description="The kind of event, such as `incident.declared`.")
    when: Mapping[str, str | bool] = Field(
        default_factory=dict,
        description="Values of the event's data; every one given must match.",
    )
    template: Template = Field(description="Which message.")
    audiences: tuple[Audience | Literal["severity", "role_holders", "addressed"], ...] = Field(
        min_length=1,
        description="To whom: contacts of these audiences. `severity` stands for the audiences of the"
        " incident's severity, `role_holders` for who holds a role on the incident,"
        " `addressed` for the audience that the event itself names, as an escalation does.",
    )
    channels: tuple[Key, ...] = Field(min_length=1, description="By which channels of channels.yaml.")


class Routing(Section):
    """routing.yaml."""

    routes: tuple[Route, ...] = Field(
        min_length=1,
        description="Every route that matches an event sends its message; the same event, `when` and"
        " template stand here once.",
    )

    @model_validator(mode="after")
    def _one_message_per_template(self) -> Routing:
        seen = set()
        for route in self.routes:
            key = (route.event, tuple(sorted(route.when.items())), route.template)
            if key in seen:
                raise ValueError(f"two routes for {route.event} send {route.template}")
            seen.add(key)
        return self


def check_references(playbook: Playbook) -> Iterator[tuple[str, Location, str]]:
    """Every route's channels exist."""
    channels = playbook["channels"].root
    for index, route in enumerate(playbook["routing"].routes):
        for place, key in enumerate(route.channels):
            if key not in channels:
                yield "routing.yaml", ("routes", index, "channels", place), f"no channel {key}"
