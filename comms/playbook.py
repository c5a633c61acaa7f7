"""This app's part of the playbook: channels and routing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, RootModel, model_validator

from comms.states import Template
from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, Section, Text
from incidents.playbook import Audience

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]


class EmailChannel(Section):
    """One e-mail per contact, by EMAIL_URL; into files under VAR_DIR until that is set."""

    kind: Literal["email"]


class WebhookChannel(Section):
    """A signed POST (Standard Webhooks). Address and secret come from the environment.

    While the address is not set, deliveries go to a file under VAR_DIR.
    """

    kind: Literal["webhook"]
    url_variable: EnvironmentName
    secret_variable: EnvironmentName


class Channels(
    RootModel[Mapping[Key, Annotated[EmailChannel | WebhookChannel, Field(discriminator="kind")]]]
):
    """channels.yaml: the ways out of here."""


class Route(Section):
    """Which event sends which message to whom. `severity` means the audiences of the severity,
    `addressed` the audience that the event itself names, as an escalation does.

    `when` compares values of the event's data; every one given must match.
    """

    event: Text
    when: Mapping[str, str | bool] = Field(default_factory=dict)
    template: Template
    audiences: tuple[Audience | Literal["severity", "role_holders", "addressed"], ...] = Field(min_length=1)
    channels: tuple[Key, ...] = Field(min_length=1)


class Routing(Section):
    """routing.yaml."""

    routes: tuple[Route, ...] = Field(min_length=1)

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
