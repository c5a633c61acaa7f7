"""This app's part of the playbook: roles, severities, security levels, thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, RootModel, field_validator, model_validator

from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, Seconds, Section, Text
from incidents.states import INCIDENT_ROLES, Metric, MonitorLevel, Role, Severity

Audience = Literal["everyone", "technical_team", "management", "development_team", "security_team"]


class RoleDuties(Section):
    """What a role is for and what its holder does."""

    name: Text
    purpose: Text
    duties: tuple[Text, ...] = Field(min_length=1)


class Roles(RootModel[Mapping[Role, RoleDuties]]):
    """roles.yaml: every role, with its duties."""

    @model_validator(mode="after")
    def _all_roles(self) -> Roles:
        missing = [role.value for role in Role if role not in self.root]
        if missing:
            raise ValueError(f"these roles are missing: {', '.join(missing)}")
        return self


class Authority(Section):
    """Who may decide a rollback, and whether a second person must approve."""

    roles: tuple[Role, ...] = Field(min_length=1)
    approval: bool = False

    @field_validator("roles")
    @classmethod
    def _held_on_the_incident(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        if wrong := [role.value for role in roles if role not in INCIDENT_ROLES]:
            raise ValueError(f"not a role on an incident: {', '.join(wrong)}")
        return roles


class SeverityLevel(Section):
    """One severity: definition, response clock, who is told, who may roll back, update cadence."""

    name: Text
    definition: Text
    response_time: Seconds = Field(gt=0)
    audiences: tuple[Audience, ...] = Field(min_length=1)
    rollback_authority: Authority
    update_every: Seconds = Field(gt=0)


class Severities(RootModel[Mapping[Severity, SeverityLevel]]):
    """severities.yaml: P0 to P3."""

    @model_validator(mode="after")
    def _all_severities(self) -> Severities:
        missing = [level.value for level in Severity if level not in self.root]
        if missing:
            raise ValueError(f"these severities are missing: {', '.join(missing)}")
        return self


class SecurityLevel(Section):
    """One security level; where stricter, its values replace the severity's."""

    name: Text
    examples: tuple[Text, ...]
    response_time: Seconds = Field(gt=0)
    rollback_authority: Authority
    actions: tuple[Text, ...]


class SecurityLevels(RootModel[Mapping[Literal[1, 2, 3], SecurityLevel]]):
    """security_levels.yaml: levels 1 to 3."""

    @model_validator(mode="after")
    def _all_levels(self) -> SecurityLevels:
        if missing := [str(level) for level in (1, 2, 3) if level not in self.root]:
            raise ValueError(f"these levels are missing: {', '.join(missing)}")
        return self


class Limits(Section):
    """The thresholds of one metric; a value above one is at that level (strictly)."""

    warning: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    high: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    critical: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> Limits:
        given = [value for value in (self.warning, self.high, self.critical) if value is not None]
        if not given:
            raise ValueError("give at least one of warning, high, critical")
        if given != sorted(given):
            raise ValueError("thresholds must rise from warning over high to critical")
        return self


class ThresholdPolicy(Section):
    """A named set of thresholds and the procedure that answers them."""

    procedure: Key
    metrics: Mapping[Metric, Limits] = Field(min_length=1)


class Share(Section):
    """M of N: so many of the latest samples."""

    needed: int = Field(ge=1, le=100)
    of: int = Field(ge=1, le=100)

    @model_validator(mode="after")
    def _possible(self) -> Share:
        if self.needed > self.of:
            raise ValueError("needed cannot be more than of")
        return self


class Confirmation(Section):
    """How many samples it takes to believe a level, its end, or silence."""

    critical: Share
    high: Share
    warning: Share
    clear: int = Field(ge=1, le=100)
    unanswered: int = Field(ge=1, le=100)


class Effect(Section):
    """What a level does: the severity of its incident and what happens about a rollback."""

    severity: Severity
    rollback: Literal["automatic", "with_approval", "none"]


class Thresholds(Section):
    """thresholds.yaml."""

    policies: Mapping[Key, ThresholdPolicy] = Field(min_length=1)
    confirmation: Confirmation
    effects: Mapping[MonitorLevel, Effect]
    warnings_that_make_critical: int = Field(ge=2)
    release_is_good_after: Seconds

    @model_validator(mode="after")
    def _all_effects(self) -> Thresholds:
        bad_levels = set(MonitorLevel) - {MonitorLevel.OK}
        if wrong := bad_levels ^ set(self.effects):
            raise ValueError(f"one effect for each bad level; missing or wrong: {', '.join(sorted(wrong))}")
        return self


def check_references(playbook: Playbook) -> Iterator[tuple[str, Location, str]]:
    """Every policy's procedure exists."""
    procedures = playbook["procedures"]
    for name, policy in playbook["thresholds"].policies.items():
        if policy.procedure not in procedures:
            yield (
                "thresholds.yaml",
                ("policies", name, "procedure"),
                f"no procedure {policy.procedure}",
            )
