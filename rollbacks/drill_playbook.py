"""This app's part of the playbook about drills: the calendar and the library of scenarios."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, Line, PositiveSeconds, Seconds, Section, Text
from incidents.states import IncidentKind, Role, Severity
from rollbacks.rules.drills import LAST, Monthly
from rollbacks.states import DrillAction, InjectLook

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("no such time zone: write Europe/Berlin or UTC")
    ZoneInfo(name)
    return name


Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Zone = Annotated[str, StringConstraints(max_length=60), AfterValidator(_known_zone)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]


class DrillCalendar(Section):
    """When drills are planned by themselves."""

    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = Field(
        default=tuple(range(1, 13)), description="In which months; none switches the calendar off."
    )
    weekday: Literal[WEEKDAYS] | None = Field(  # type: ignore[valid-type]
        default=None, description="On which weekday, with `week`; otherwise `day` counts."
    )
    week: Literal[1, 2, 3, 4] | Literal["last"] = Field(
        default=1, description="The first to fourth such weekday of the month, or the `last`."
    )
    day: int | None = Field(
        default=None,
        ge=1,
        le=31,
        description="On which day of the month; one that a month does not have is its last.",
    )
    at: Clock = Field(description="At which time of day.")
    zone: Zone = Field(default="UTC", description="In which time zone.")
    plan_ahead: PositiveSeconds = Field(
        default=21 * 86_400.0, description="How long before it stands on the page and people are invited."
    )
    services: tuple[Slug, ...] = Field(
        default=(),
        description="Which services; otherwise all that have a procedure. The one whose last rehearsal is"
        " longest ago comes first.",
    )
    services_a_day: int = Field(
        default=3,
        ge=1,
        le=9,
        description="On how many services at most, one after the other: as many as keep all of them within"
        " `rehearse_within`. Where more were needed, the weekly word of what is overdue says so.",
    )
    scenarios: tuple[Key, ...] = Field(
        default=(), description="Which scenarios, in turn; otherwise all, in the order of their keys."
    )
    invite: tuple[Role, ...] = Field(
        default=(Role.INCIDENT_COMMANDER, Role.TECHNICAL_LEAD),
        description="Who takes part: every account that may hold one of these roles.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> DrillCalendar:
        if (self.weekday is None) == (self.day is None):
            raise ValueError("say either `weekday` and `week`, or `day`")
        return self

    def monthly(self) -> Monthly:
        """The calendar as the rule takes it."""
        return Monthly(
            months=self.months,
            at=dt.time.fromisoformat(self.at),
            zone=self.zone,
            weekday=WEEKDAYS.index(self.weekday) if self.weekday else None,
            week=LAST if self.week == "last" else int(self.week),
            day=self.day,
        )


class Drills(Section):
    """drills.yaml: when drills are held, what is expected, and when a service was rehearsed too long ago."""

    calendar: DrillCalendar | None = Field(
        default=None, description="When drills are planned by themselves; without it, by hand alone."
    )
    remind_before: PositiveSeconds = Field(
        default=86_400.0, description="How long before it begins its participants are reminded."
    )
    longest: PositiveSeconds = Field(
        default=7_200.0, description="A drill that has not ended by then is ended, and scored as it stands."
    )
    rehearse_within: PositiveSeconds = Field(
        description="A service with a procedure that was not rehearsed for so long is overdue; a new one has"
        " as long for its first."
    )
    answer_within: PositiveSeconds = Field(
        default=600.0, description="An inject counts as answered when a person does something in this time."
    )
    targets: Mapping[DrillAction, PositiveSeconds] = Field(
        description="By when each expected action is done where the scenario says nothing, from the"
        " beginning on. `acknowledged` is the response time of the severity unless it stands here."
    )

    @model_validator(mode="after")
    def _all_targets(self) -> Drills:
        missing = [one.value for one in DrillAction if one not in self.targets]
        missing = [one for one in missing if one != DrillAction.ACKNOWLEDGED]
        if missing:
            raise ValueError(f"targets says nothing of {', '.join(missing)}")
        return self


class Inject(Section):
    """What the scenario lets happen at a time."""

    at: Seconds = Field(description="How long after the beginning.")
    text: Text = Field(description="What stands on the drill's timeline then.")
    look: InjectLook = Field(
        default=InjectLook.NOTE, description="What it looks like: news, a monitor, an alert or a message."
    )


class Scenario(Section):
    """drills/*.yaml: what is practised, and what happens meanwhile."""

    name: Line = Field(
        description="Its name for people: for who plans it, and for everybody once it is over."
    )
    invitation: Line = Field(
        default="An emergency",
        description="What it is called until it begins: its participants are invited by it, so it does not"
        " give away what they are to find out. While it runs it has its incident's title.",
    )
    practises: Text = Field(description="What is practised, in one or two sentences; shown afterwards.")
    title: Line = Field(description="The title of the drill's incident.")
    description: Text = Field(description="What its participants read when it begins.")
    severity: Severity = Field(description="The severity of the drill's incident.")
    kind: IncidentKind = Field(
        default=IncidentKind.OPERATIONAL,
        description="The kind of the drill's incident. A `security` one is restricted, as in earnest.",
    )
    security_level: Literal[1, 2, 3] | None = Field(
        default=None, description="The level of a `security` one."
    )
    procedure: Key | None = Field(
        default=None, description="The procedure to rehearse; otherwise the service's own."
    )
    injects: tuple[Inject, ...] = Field(
        default=(), max_length=50, description="What happens meanwhile, in the order of its time."
    )
    expects: tuple[DrillAction, ...] = Field(
        default=tuple(DrillAction), min_length=1, description="What is expected and scored."
    )
    targets: Mapping[DrillAction, PositiveSeconds] = Field(
        default_factory=dict, description="By when, where it is not as in drills.yaml."
    )
    longest: PositiveSeconds | None = Field(
        default=None, description="It ends by itself after this; otherwise as in drills.yaml."
    )
    debrief: tuple[Line, ...] = Field(
        default=(), max_length=20, description="What its participants talk about; shown afterwards."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        if [inject.at for inject in self.injects] != sorted(inject.at for inject in self.injects):
            raise ValueError("the injects are not in the order of their times")
        if len(set(self.expects)) != len(self.expects):
            raise ValueError("expects names something twice")
        if beside := [action.value for action in self.targets if action not in self.expects]:
            raise ValueError(f"targets of what is not expected: {', '.join(beside)}")
        if (self.security_level is not None) and self.kind is not IncidentKind.SECURITY:
            raise ValueError("a security level belongs to `kind: security`")
        if self.kind is IncidentKind.SECURITY and self.security_level is None:
            raise ValueError("`kind: security` has a `security_level`")
        return self


def check_references(playbook: Playbook) -> Iterable[tuple[str, Location, str]]:
    """Every procedure and scenario that is named exists, and nothing happens after a drill's end."""
    drills: Drills = playbook["drills"]
    scenarios: Mapping[str, Scenario] = playbook["scenarios"]
    for key, scenario in scenarios.items():
        file = f"drills/{key}.yaml"
        if scenario.procedure and scenario.procedure not in playbook["procedures"]:
            yield file, ("procedure",), f"no procedure {scenario.procedure}"
        longest = scenario.longest or drills.longest
        for number, inject in enumerate(scenario.injects):
            if inject.at >= longest:
                yield file, ("injects", number, "at"), "the drill has ended by then: see `longest`"
    for number, name in enumerate(drills.calendar.scenarios if drills.calendar else ()):
        if name not in scenarios:
            yield "drills.yaml", ("calendar", "scenarios", number), f"no scenario {name}"
