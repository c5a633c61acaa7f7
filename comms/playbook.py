"""This app's part of the playbook: channels, routing, escalation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, RootModel, StringConstraints, model_validator

from comms.channels import CHANNELS
from comms.facts import Channel, Connection
from comms.states import EXTERNAL_TEMPLATES, Means, Template, Visibility
from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, PositiveSeconds, Section, Text, told_apart_by_kind
from incidents.playbook import Audience
from incidents.states import Role, Severity

BridgeAddress = Annotated[
    str,
    StringConstraints(pattern=r"""^https?://[^\s<>"'{}]+(\{(ref|room)\}[^\s<>"'{}]*)+$""", max_length=500),
]


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
        " `addressed` for whom the event itself names, as an escalation does.",
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

    bridge: BridgeAddress | None = Field(
        default=None,
        description="Where the people of an incident meet: an address with `{ref}` or `{room}`. `room` is the"
        " incident's reference and a digest that nobody can guess. It stands on the incident's page and"
        " on every internal message.",
    )
    reach: tuple[Means, ...] = Field(
        default=(Means.SMS, Means.VOICE, Means.CHAT, Means.EMAIL),
        description="In which order people are reached who have set none of their own.",
    )
    routes: tuple[Route, ...] = Field(
        min_length=1,
        description="Every route that matches an event sends its message; those of the same template are"
        " one message, to all whom they name.",
    )


Addressee = (
    Audience
    | Literal["severity", "role_holders"]
    | Annotated[str, StringConstraints(pattern=r"^(title|role):[^\s].{0,118}$")]
)
"""An audience, or `title:CTO`, the contacts of that title; `role:communications_lead`, who holds it."""


class Ladder(Section):
    """Who is paged while nobody answers, in which order and how often."""

    rungs: tuple[tuple[Addressee, ...], ...] = Field(
        min_length=1,
        description="Whom each rung pages: audiences; `severity`, those of the incident's severity, and the"
        " security team for a security incident; `role_holders`; `title:…`, the contacts of that title;"
        " `role:…`, who holds the role, else its primary contact. A rung that reaches nobody is left out.",
    )
    pause: PositiveSeconds = Field(
        description="From one rung to the next. The first is paged when the response time is over."
    )
    repeat: int = Field(ge=0, le=100, description="How often it is begun again after its last rung.")
    silent_after: PositiveSeconds = Field(
        description="An acknowledged incident on which nobody has done anything for so long is paged again."
    )
    reminders: tuple[tuple[Addressee, ...], ...] = Field(
        min_length=1,
        description="Who is reminded of an update: the first when it is due, the next after a pause.",
    )
    reminder_pause: PositiveSeconds = Field(description="From one reminder to the next.")

    @model_validator(mode="after")
    def _roles_exist(self) -> Ladder:
        named = {one for rung in (*self.rungs, *self.reminders) for one in rung}
        roles = {one.removeprefix("role:") for one in named if one.startswith("role:")}
        if unknown := sorted(roles - set(Role.values)):
            raise ValueError(f"no such role: {', '.join(unknown)}")
        return self


class Escalation(Section):
    """escalation.yaml: who is paged when nobody answers."""

    link_valid_for: PositiveSeconds = Field(
        description="How long the link in a message acknowledges, from when the message was made."
    )
    severities: Mapping[Severity, Ladder] = Field(description="The ladder of each severity.")
    security_levels: Mapping[Literal[1, 2, 3], Severity] = Field(
        description="By whose ladder a security incident goes, where that is stricter than its severity's."
    )

    @model_validator(mode="after")
    def _all_of_them(self) -> Escalation:
        missing = [str(one) for one in Severity if one not in self.severities]
        missing += [f"security level {level}" for level in (1, 2, 3) if level not in self.security_levels]
        if missing:
            raise ValueError(f"these are missing: {', '.join(missing)}")
        return self


def check_references(playbook: Playbook) -> Iterator[tuple[str, Location, str]]:
    """Every route's channels exist, and a connection is of one kind."""
    channels = playbook["channels"].root
    kinds: dict[str, type[Connection]] = {}
    for key, channel in channels.items():
        needed = CHANNELS[channel.kind].connection
        name = getattr(channel, "connection", "")
        if needed is not None and kinds.setdefault(name, needed) is not needed:
            yield "channels.yaml", (key, "connection"), f"another kind of channel has the connection {name}"
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
