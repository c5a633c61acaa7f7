"""This app's part of the playbook: channels and routing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field, RootModel, model_validator

from comms.channels import CHANNELS
from comms.facts import Channel
from comms.states import EXTERNAL_TEMPLATES, Means, Template, Visibility
from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, Section, Text, told_apart_by_kind
from incidents.playbook import Audience

if TYPE_CHECKING:
    AnyChannel = Channel
else:
    AnyChannel = told_apart_by_kind({name: kind.model for name, kind in CHANNELS.items()})


class Channels(RootModel[Mapping[Key, AnyChannel]]):
    """channels.yaml: the ways out of here."""


class Route(Section):
    """Which event sends which message to whom."""

    event: Text = Field(description="The kind of event, such as `incident.declared`.")
    when: Mapping[str, str | bool | int | tuple[str | int, ...]] = Field(
        default_factory=dict,
        description="Values that the event's data must have, or one of several; also `severity`, `kind`,"
        " `security_level` and `drill` of its incident. Every one given must match.",
    )
    template: Template = Field(description="Which message.")
    visibility: Visibility = Field(
        default=Visibility.INTERNAL,
        description="`external` drafts a message for users: it is told public facts only, names no"
        " audience, and leaves by its channels once the incident commander has approved it.",
    )
    audiences: tuple[Audience | Literal["severity", "role_holders", "addressed"], ...] = Field(
        default=(),
        description="To whom: contacts of these audiences. `severity` stands for the audiences of the"
        " incident's severity, `role_holders` for who holds a role on the incident,"
        " `addressed` for the audience that the event itself names, as an escalation does.",
    )
    channels: tuple[Key, ...] = Field(
        default=(),
        description="By which channels of channels.yaml: a place once, a person by each that has an address.",
    )
    page: bool = Field(
        default=False,
        description="Whether each person is also reached in their own order, the first way that works:"
        " such messages go first, and what fails takes the next way.",
    )

    @model_validator(mode="after")
    def _reaches_somebody(self) -> Route:
        if not self.channels and not self.page:
            raise ValueError("name channels, or page: true")
        external = self.visibility is Visibility.EXTERNAL
        if external != (self.template in EXTERNAL_TEMPLATES):
            wanted = "external" if self.template in EXTERNAL_TEMPLATES else "internal"
            raise ValueError(f"the template {self.template} is {wanted}: say visibility: {wanted}")
        if external and (self.audiences or self.page):
            raise ValueError("an external message has no audiences and pages nobody")
        if not external and not self.audiences:
            raise ValueError("name audiences")
        return self


class Routing(Section):
    """routing.yaml."""

    reach: tuple[Means, ...] = Field(
        default=(Means.SMS, Means.VOICE, Means.CHAT, Means.EMAIL),
        description="In which order people are reached who have set none of their own.",
    )
    routes: tuple[Route, ...] = Field(
        min_length=1,
        description="Every route that matches an event sends its message; those of the same template are"
        " one message, to all whom they name.",
    )


def check_references(playbook: Playbook) -> Iterator[tuple[str, Location, str]]:
    """Every route's channels exist."""
    channels = playbook["channels"].root
    for index, route in enumerate(playbook["routing"].routes):
        for place, key in enumerate(route.channels):
            where = ("routes", index, "channels", place)
            if key not in channels:
                yield "routing.yaml", where, f"no channel {key}"
            elif channels[key].outside and route.visibility is not Visibility.EXTERNAL:
                yield "routing.yaml", where, f"{key} is read by the public: only external messages go there"
            elif channels[key].means and route.visibility is Visibility.EXTERNAL:
                yield "routing.yaml", where, f"{key} reaches contacts: an external message goes to users"
        if route.page and not any(channel.means for channel in channels.values()):
            yield "routing.yaml", ("routes", index, "page"), "no channel of channels.yaml reaches a person"
