"""This app's part of the playbook: roles, severities, thresholds, criteria, checklists, alerts, reviews."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from django.conf import settings
from pydantic import AfterValidator, Field, RootModel, StringConstraints, field_validator, model_validator

from core.playbook.loader import Location, Playbook
from core.playbook.schema import Key, Line, PositiveSeconds, Seconds, Section, Text
from incidents.rules import matchers
from incidents.states import (
    INCIDENT_ROLES,
    Cadence,
    FollowUpPart,
    IncidentKind,
    Metric,
    MonitorLevel,
    ReportSection,
    Role,
    Severity,
    Tier,
)

Audience = Literal["everyone", "technical_team", "management", "development_team", "security_team"]


class RoleDuties(Section):
    """What a role is for and what its holder does."""

    name: Text = Field(description="The role's name for people.")
    purpose: Text = Field(description="What the role is for, in one line.")
    duties: tuple[Text, ...] = Field(min_length=1, description="What its holder does, one line each.")


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

    roles: tuple[Role, ...] = Field(
        min_length=1,
        description="Who holds one of these roles on the incident may decide. `engineering_manager` is"
        " no such role: it only approves.",
    )
    approval: bool = Field(
        default=False,
        description="Whether a second person must approve: one of `approvers` of automation.yaml, never"
        " who asked.",
    )

    @field_validator("roles")
    @classmethod
    def _held_on_the_incident(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        if wrong := [role.value for role in roles if role not in INCIDENT_ROLES]:
            raise ValueError(f"not a role on an incident: {', '.join(wrong)}")
        return roles


class SeverityLevel(Section):
    """One severity: definition, response clock, who is told, who may roll back, update cadence."""

    name: Text = Field(description="The severity's name for people.")
    definition: Text = Field(description="When an incident has this severity; shown where one chooses it.")
    response_time: PositiveSeconds = Field(
        description="The response clock: how soon after the declaration somebody must acknowledge."
    )
    audiences: tuple[Audience, ...] = Field(
        min_length=1,
        description="Whom the messages of such an incident go to, wherever a route says `severity`. Which"
        " contact is in which audience stands on the contact.",
    )
    rollback_authority: Authority = Field(description="Who may decide a rollback at this severity.")
    update_every: PositiveSeconds = Field(
        description="How often people are owed an update while the incident is open."
    )


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

    name: Text = Field(description="The level's name for people.")
    examples: tuple[Text, ...] = Field(description="What belongs here, one line each.")
    response_time: PositiveSeconds = Field(
        description="The response clock of such an incident, where it is shorter than the severity's."
    )
    rollback_authority: Authority = Field(
        description="Who may decide a rollback of such an incident, instead of the severity's roles; an"
        " approval is asked for where either of the two asks for one."
    )
    actions: tuple[Text, ...] = Field(description="What the policy asks for, one line each.")


class SecurityLevels(RootModel[Mapping[Literal[1, 2, 3], SecurityLevel]]):
    """security_levels.yaml: levels 1 to 3."""

    @model_validator(mode="after")
    def _all_levels(self) -> SecurityLevels:
        if missing := [str(level) for level in (1, 2, 3) if level not in self.root]:
            raise ValueError(f"these levels are missing: {', '.join(missing)}")
        return self


class Limits(Section):
    """The thresholds of one metric; a value above one is at that level (strictly)."""

    warning: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="A value above it is a warning."
    )
    high: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="A value above it is high."
    )
    critical: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="A value above it is critical. At least one of the three is given, and they rise.",
    )
    catastrophic: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Beyond it a critical value needs no confirmation before anything is changed.",
    )
    direction: Literal["above", "below"] = Field(
        default="above",
        description="`below`: less is worse, such as the days a certificate is still good; they fall then.",
    )
    min_volume: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="Of fewer requests than this the value decides nothing: one failure of one is no error"
        " rate. Counts where the source says how many there were (`volume_path`, `volume_query`).",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Limits:
        if self.warning is None and self.high is None and self.critical is None:
            raise ValueError("give at least one of warning, high, critical")
        if self.catastrophic is not None and self.critical is None:
            raise ValueError("catastrophic needs a critical threshold")
        levels = (self.warning, self.high, self.critical, self.catastrophic)
        given = [value for value in levels if value is not None]
        if given != sorted(given, reverse=self.direction == "below"):
            way = "rise" if self.direction == "above" else "fall"
            raise ValueError(f"thresholds must {way} from warning over high and critical to catastrophic")
        return self


class ThresholdPolicy(Section):
    """A named set of thresholds and the procedure that answers them."""

    procedure: Key = Field(
        description="The procedure of an automatic rollback where the service names none of its own."
    )
    metrics: Mapping[Metric, Limits] = Field(
        min_length=1,
        description="The thresholds by metric. Units: `error_rate`, `memory_usage` and `cpu_usage` are"
        " ratios 0..1, `response_time` is milliseconds, `security_events` a count in five minutes.",
    )


class Share(Section):
    """M of N: so many of the latest samples."""

    needed: int = Field(ge=1, le=100, description="So many must be at that level or worse.")
    of: int = Field(ge=1, le=100, description="Of so many of the latest answers; not less than `needed`.")

    @model_validator(mode="after")
    def _possible(self) -> Share:
        if self.needed > self.of:
            raise ValueError("needed cannot be more than of")
        return self


class Confirmation(Section):
    """How many samples it takes to believe a level, its end, or silence."""

    critical: Share = Field(description="What it takes to believe critical.")
    high: Share = Field(description="What it takes to believe high.")
    warning: Share = Field(description="What it takes to believe a warning.")
    clear: int = Field(ge=1, le=100, description="Good answers in a row before a monitor is well again.")
    clear_below: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="How far from its lowest threshold a value must be to be such a good answer, as a share"
        " of it: with 0.8 a monitor that complained above 2 % is well again below 1.6 %.",
    )
    unanswered: int = Field(
        ge=1, le=100, description="Failed checks in a row before the level is unknown: nobody can say."
    )
    recheck_every: PositiveSeconds = Field(
        default=2.0,
        description="After a first critical or failed check the next checks come this soon, and not an"
        " interval later.",
    )
    rechecks: int = Field(default=2, ge=0, le=10, description="How many checks are brought forward then.")


class Effect(Section):
    """What a level does: the severity of its incident and what happens about a rollback."""

    severity: Severity = Field(description="The severity of the incident that it opens.")
    rollback: Literal["automatic", "with_approval", "none"] = Field(
        description="What happens about a rollback: it starts by itself where automation may, it is"
        " requested and awaits a person, or nothing."
    )


class Blindness(Section):
    """What is done about monitors that cannot be measured. Source: seed, "Monitoring system failure"."""

    after_cycles: int = Field(
        default=3, ge=1, le=100, description="`after_n`: so many whole intervals without an answer, and"
    )  # fmt: skip
    after: PositiveSeconds = Field(
        default=180.0, description="at least this long, before it is answered like a critical value."
    )
    corroborated_after: PositiveSeconds = Field(
        default=60.0, description="`corroborated`: how long it must last, besides the other evidence."
    )
    recent_release: PositiveSeconds = Field(
        default=86_400.0,
        description="`corroborated`: the rollback starts by itself only where the live release is younger;"
        " else it awaits a person.",
    )
    outage_services: int = Field(
        default=3,
        ge=2,
        description="When so many services are blind at once, and `outage_share` of all, the monitoring is"
        " what failed: one incident is opened for all, and automatic rollbacks freeze.",
    )
    outage_share: float = Field(
        default=0.2, gt=0, le=1, description="The share of the services that have monitors."
    )


class Thresholds(Section):
    """thresholds.yaml."""

    policies: Mapping[Key, ThresholdPolicy] = Field(
        min_length=1, description="Named sets of thresholds; a monitor names the one it is judged by."
    )
    confirmation: Confirmation = Field(description="How many samples it takes to believe a level.")
    blindness: Blindness = Field(
        default_factory=Blindness, description="What is done about monitors that cannot be measured."
    )
    effects: Mapping[MonitorLevel, Effect] = Field(
        description="What each bad level does: one entry for `warning`, `high`, `critical` and `unknown`."
    )
    warnings_that_make_critical: int = Field(
        ge=2,
        description="So many warnings at once on different metrics of one service are critical together.",
    )
    release_is_good_after: Seconds = Field(
        description="A release that was live without a complaint for so long is one to return to."
    )

    @model_validator(mode="after")
    def _all_effects(self) -> Thresholds:
        bad_levels = set(MonitorLevel) - {MonitorLevel.OK}
        if wrong := bad_levels ^ set(self.effects):
            raise ValueError(f"one effect for each bad level; missing or wrong: {', '.join(sorted(wrong))}")
        return self


class Degradation(Section):
    """The degradation in percent that a criterion is about; strictly above or strictly below."""

    above: int | None = Field(default=None, ge=0, le=1000, description="Met by more percent than this.")
    below: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Met by some, but fewer percent than this. One of the two is given.",
    )

    @model_validator(mode="after")
    def _one_bound(self) -> Degradation:
        if (self.above is None) == (self.below is None):
            raise ValueError("give one of above, below")
        return self


class Criterion(Section):
    """Something that speaks for a rollback."""

    key: Key = Field(description="Its name for programs; once in the file.")
    text: Text = Field(description="What a person checks.")
    degradation: Degradation | None = Field(
        default=None, description="A measured degradation that meets it, so that a number can be given."
    )


class CriteriaTier(Section):
    """How strongly its criteria speak for a rollback."""

    name: Text = Field(description="The recommendation in words.")
    criteria: tuple[Criterion, ...] = Field(min_length=1, description="One met criterion is enough.")


class Criteria(RootModel[Mapping[Tier, CriteriaTier]]):
    """criteria.yaml: when to roll back by hand, in three tiers; the strongest one that is met counts."""

    @model_validator(mode="after")
    def _whole(self) -> Criteria:
        if missing := [tier.value for tier in Tier if tier not in self.root]:
            raise ValueError(f"these tiers are missing: {', '.join(missing)}")
        keys = [criterion.key for tier in self.root.values() for criterion in tier.criteria]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"these keys stand here twice: {', '.join(twice)}")
        return self


class TickedBy(Section):
    """The event that ticks an item by machine."""

    event: Annotated[
        str, StringConstraints(pattern=r"^(incident|rollback|message|report)\.[a-z_]{1,40}$")
    ] = Field(description="The kind of event on the incident's timeline, such as `rollback.succeeded`.")
    when: Mapping[str, str | bool] = Field(
        default_factory=dict,
        description="Values of the event's data, such as `step`; every one given must match.",
    )


class ChecklistEntry(Section):
    """One thing to do."""

    key: Key = Field(description="Its name for programs; once in its checklist.")
    name: Line = Field(description="What to do, in a few words.")
    text: Text = Field(description="What that means.")
    ticked_by: TickedBy | None = Field(
        default=None, description="What shows that it is done; without it only a person ticks it."
    )
    owner: Role | None = Field(
        default=None,
        description="Whose it is: who holds that role when the checklist opens, else the incident commander.",
    )

    @field_validator("owner")
    @classmethod
    def _held_on_the_incident(cls, owner: Role | None) -> Role | None:
        if owner is not None and owner not in INCIDENT_ROLES:
            raise ValueError(f"not a role on an incident: {owner.value}")
        return owner


class Window(Section):
    """A window of time."""

    starts: Seconds = Field(description="When it opens, counted as `opens` says.")
    ends: PositiveSeconds = Field(description="When it ends: what is not ticked then is overdue.")

    @model_validator(mode="after")
    def _some_time(self) -> Window:
        if self.starts >= self.ends:
            raise ValueError("ends must be later than starts")
        return self


class ChecklistPhase(Section):
    """What is to be done in one window of time."""

    key: Key = Field(description="Its name for programs; once in its checklist.")
    name: Line = Field(description="Its name for people.")
    starts: Seconds = Field(description="When the window opens, counted as `opens` says.")
    ends: PositiveSeconds = Field(description="When the window ends: what is not ticked then is overdue.")
    by_security_level: Mapping[Literal[1, 2, 3], Window] = Field(
        default_factory=dict,
        description="Another window for a security incident of that level.",
    )
    after_each_end: bool = Field(
        default=False,
        description="After a relapse, when the windows count anew, what is ticked in it is to be done again.",
    )
    items: tuple[ChecklistEntry, ...] = Field(min_length=1, description="What is to be done.")

    @model_validator(mode="after")
    def _some_time(self) -> ChecklistPhase:
        if self.starts >= self.ends:
            raise ValueError("ends must be later than starts")
        return self

    def window(self, security_level: int | None) -> Window:
        """The window of an incident of that level; without one, that of every incident."""
        for level, window in self.by_security_level.items():
            if level == security_level:
                return window
        return Window.model_construct(starts=self.starts, ends=self.ends)


class Checklist(Section):
    """A list of things to do, in phases with windows of time."""

    name: Line = Field(description="Its name for people.")
    opens: Literal["declaration", "rollback_end"] = Field(
        description="When an incident gets it and from when its windows count. `declaration`: when it is"
        " declared, or becomes one of the severities or kinds; it ends with the resolution. `rollback_end`:"
        " when a rollback has ended, else when the incident is resolved, and anew after a relapse; it waits"
        " while the incident is investigated, and ends when the incident is closed."
    )
    severities: tuple[Severity, ...] = Field(min_length=1, description="Incidents of which severity get it.")
    kinds: tuple[IncidentKind, ...] = Field(
        default=tuple(IncidentKind), min_length=1, description="Incidents of which kind get it."
    )
    remind_percent_left: int = Field(
        default=0,
        ge=0,
        le=90,
        description="Owners are reminded when so much of a window is left and something is not ticked, in"
        " percent; 0 is never. In a drill nobody is.",
    )
    phases: tuple[ChecklistPhase, ...] = Field(min_length=1, description="Its phases in order.")

    @model_validator(mode="after")
    def _keys_differ(self) -> Checklist:
        phases = [phase.key for phase in self.phases]
        items = [item.key for phase in self.phases for item in phase.items]
        for keys in (phases, items):
            if twice := sorted({key for key in keys if keys.count(key) > 1}):
                raise ValueError(f"these keys stand here twice: {', '.join(twice)}")
        return self


class Checklists(RootModel[Mapping[Key, Checklist]]):
    """checklists.yaml: what must not be forgotten, and by when."""


class Reports(Section):
    """reports.yaml: when a post-incident report is due, what it must say, who may publish it."""

    due: Mapping[Severity, PositiveSeconds] = Field(
        description="How long after the resolution the report of an incident must be published."
    )
    remind_before: PositiveSeconds = Field(
        description="How long before that its owner is reminded; after it they are told that it is overdue."
    )
    remind_every: PositiveSeconds = Field(
        default=7 * 86400, description="How often that is said again until it is published."
    )
    required: Mapping[Severity, tuple[ReportSection | FollowUpPart, ...]] = Field(
        description="Which sections must say something before the report is published. `action_items` and"
        " `prevention` ask for at least one, or for the reason why there is no prevention measure."
    )
    second_person: tuple[Severity, ...] = Field(
        default=(),
        description="Of which severities another person publishes it than who wrote all of it or handed"
        " it in.",
    )
    may_be_skipped: tuple[Severity, ...] = Field(
        default=(), description="Which incidents may be closed without a published report, with a reason."
    )

    @model_validator(mode="after")
    def _all_severities(self) -> Reports:
        for name, given in (("due", self.due), ("required", self.required)):
            if missing := [level.value for level in Severity if level not in given]:
                raise ValueError(f"{name} says nothing of {', '.join(missing)}")
        return self


class FollowUp(Section):
    """follow_up.yaml: when owners of action items are reminded."""

    remind_days_before: tuple[Annotated[int, Field(ge=0, le=90)], ...] = Field(
        default=(3, 1), max_length=10, description="How many days before the due day; 0 is on that day."
    )
    remind_at: Seconds = Field(
        default=8 * 3600, le=23 * 3600, description="The time of that day at which it is said, in UTC."
    )
    overdue_every_days: int = Field(
        default=7,
        ge=1,
        le=90,
        description="It is said when the due day has ended, and again every so many days until it is done.",
    )
    audience: Audience = Field(
        default="technical_team",
        description="Who is reminded of what has no owner, or one who left or may not see the incident any"
        " more.",
    )


def _known_zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError("no such time zone")
    return name


TimeZone = Annotated[Line, AfterValidator(_known_zone)]
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class ReviewKind(Section):
    """One kind of review: when it opens by itself, what it looks at, who is asked, who signs it off."""

    name: Line = Field(description="Its name for people.")
    purpose: Text = Field(description="What it is for, in one line.")
    cadence: Cadence = Field(description="How often it opens; it looks at the time since the opening before.")
    day: int = Field(
        ge=1,
        le=31,
        description="The day it opens: of the week for a weekly one (1 is Monday), else of the month; the"
        " last day where the month is shorter.",
    )
    month: int = Field(
        default=1, ge=1, le=12, description="In which month of the quarter (1 to 3) or of the year."
    )
    at: Clock = Field(description="The hour it opens, in `time_zone`, such as `09:00`.")
    agenda: tuple[Key, ...] = Field(
        min_length=1, description="The sections of its agenda in order; each is filled when it opens."
    )
    asked: tuple[Audience, ...] = Field(min_length=1, description="Who is asked to it, and reminded.")
    due: PositiveSeconds = Field(description="How long after its opening it must be held.")
    sign_off: tuple[Role, ...] = Field(
        default=(),
        description="Who signs it off: an account that may hold one of these roles. Empty is any commander."
        " It is always another person than the one who held it.",
    )

    @model_validator(mode="after")
    def _possible(self) -> ReviewKind:
        if self.cadence is Cadence.WEEKLY and self.day > 7:
            raise ValueError("the day of a weekly review is 1 (Monday) to 7")
        if self.month > {Cadence.QUARTERLY: 3, Cadence.ANNUAL: 12}.get(self.cadence, 1):
            raise ValueError("a quarter has months 1 to 3, and only quarterly and annual reviews have one")
        return self

    @property
    def clock(self) -> dt.time:
        return dt.time.fromisoformat(self.at)


class KeptDocument(Section):
    """A document that the team keeps, to be looked over now and then."""

    name: Line = Field(description="Its name for people.")
    owner: Audience = Field(description="Who looks it over, and is reminded.")
    every: PositiveSeconds = Field(description="How long after one review the next one is due.")
    url: Line | None = Field(default=None, description="Where it is: a web address, or a path of Firebreak.")
    covers: Literal["playbook"] | None = Field(
        default=None,
        description="`playbook`: it is what the playbook makes happen. Then it has changed when any file of"
        " the playbook has.",
    )

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("https://", "http://", "/")):
            raise ValueError("must begin with https:// or /")
        return url


class Upkeep(Section):
    """Who looks over what the playbook itself says, and how often."""

    owner: Audience = Field(description="Who looks them over, and is reminded.")
    every: PositiveSeconds = Field(description="How long after one review of each the next one is due.")


class Reviews(Section):
    """reviews.yaml: the cycle of reviews, and the documents that are looked over."""

    time_zone: TimeZone = Field(default="UTC", description="In which the hours of all reviews are meant.")
    remind_before: PositiveSeconds = Field(description="How long before it is due people are reminded.")
    remind_every: PositiveSeconds = Field(
        description="How often it is said again that a review (to be held, then to be signed off), a document"
        " or a training is overdue."
    )
    reviews: Mapping[Key, ReviewKind] = Field(description="The kinds of review by key.")
    procedures: Upkeep = Field(description="For each procedure of the playbook.")
    checklists: Upkeep = Field(description="For each checklist of the playbook.")
    documents: Mapping[Key, KeptDocument] = Field(
        default_factory=dict, description="Further documents by key."
    )


class Course(Section):
    """Something to be learned again from time to time."""

    name: Line = Field(description="Its name for people.")
    covers: tuple[Line, ...] = Field(min_length=1, description="What it covers, one line each.")
    roles: tuple[Role, ...] = Field(default=(), description="For accounts that may hold one of these roles.")
    levels: tuple[Literal["viewer", "responder", "commander", "administrator"], ...] = Field(
        default=(), description="For accounts of these levels. Without roles and levels it is for everybody."
    )
    valid_for: PositiveSeconds = Field(description="How long after it somebody is due again.")
    counts: tuple[Literal["drill"], ...] = Field(
        default=(), description="What counts as having done it: `drill`, taking part in a drill."
    )


class Training(Section):
    """training.yaml: what people learn, and when they are due again."""

    remind_before: PositiveSeconds = Field(
        description="How long before it lapses a person is reminded; after it they are told that it has, and"
        " again every `remind_every` of reviews.yaml."
    )
    first_within: PositiveSeconds = Field(
        default=30 * 86400,
        description="How long somebody who has never done a course of theirs has for it, from when it is"
        " first asked of them; they are reminded likewise.",
    )
    courses: Mapping[Key, Course] = Field(min_length=1, description="The courses by key.")


LabelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]
MatcherText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=2, max_length=1000),
    AfterValidator(lambda text: str(matchers.parse(text))),
]
AlertSeverity = Literal["P0", "P1", "P2", "P3", "none"]


class AlertService(Section):
    """How the service of an alert is found."""

    labels: tuple[LabelName, ...] = Field(
        min_length=1,
        description="Labels whose value may name a service by its slug; the first that does counts. Of a"
        " PagerDuty event, `source`, `component`, `group`, `class` and each short field of"
        " `custom_details` are labels.",
    )
    map: Mapping[str, Line] = Field(
        default_factory=dict, description="Values of these labels that are no slug, and the slug they mean."
    )


class AlertSeverityRule(Section):
    """A severity for some alerts, whatever their label says."""

    match: tuple[MatcherText, ...] = Field(
        min_length=1, description='Matchers as in Alertmanager, such as `team="payments"`; all must fit.'
    )
    severity: AlertSeverity = Field(description="The severity then.")


class AlertSeverities(Section):
    """How bad an alert is: the severity of the incident that it opens, or raises."""

    label: LabelName = Field(description="The label that says it.")
    levels: Mapping[str, AlertSeverity] = Field(
        description="What its values mean, in small letters. `none` keeps the alert and opens nothing."
    )
    otherwise: AlertSeverity = Field(description="For every other value, and for alerts without that label.")
    rules: tuple[AlertSeverityRule, ...] = Field(
        default=(), description="Exceptions; the first that fits counts before the label."
    )


class IgnoreRule(Section):
    """Alerts that are kept and open nothing."""

    match: tuple[MatcherText, ...] = Field(min_length=1, description="Matchers; all must fit.")
    reason: Line = Field(description="Why; shown with the alert.")


class AlertRules(Section):
    """alerts.yaml: what an alert of another system opens, and for which service."""

    service: AlertService = Field(description="How its service is found.")
    severity: AlertSeverities = Field(description="How bad it is.")
    security: tuple[MatcherText, ...] = Field(
        default=(),
        description="Alerts that fit all of these are about security: they open a security incident, and at"
        " P0 neither a silence nor a maintenance window holds them back.",
    )
    group_by: tuple[LabelName, ...] = Field(
        default=(),
        description="Alerts of a service join one open incident. With labels here, only those of the same"
        " values do, each group its own incident.",
    )
    window: PositiveSeconds = Field(
        description="How long after its last alert a group is still the same one. It counts with `group_by`"
        " and for alerts without a service."
    )
    resolve_untouched: bool = Field(
        description="Whether an incident that an alert opened is resolved when its alerts have ended and"
        " nobody has done anything about it. One that a person touched is never resolved by an alert."
    )
    ignore: tuple[IgnoreRule, ...] = Field(default=(), description="Alerts that open nothing.")


def check_references(playbook: Playbook) -> Iterator[tuple[str, Location, str]]:
    """Every policy's procedure exists, and every section of a review's agenda."""
    sections = [name for name, _function in settings.REVIEW_SECTIONS]
    for key, kind in playbook["reviews"].reviews.items():
        for name in kind.agenda:
            if name not in sections:
                yield (
                    "reviews.yaml",
                    ("reviews", key, "agenda"),
                    f"no section {name}: {', '.join(sections)}",
                )
    procedures = playbook["procedures"]
    for name, policy in playbook["thresholds"].policies.items():
        if policy.procedure not in procedures:
            yield (
                "thresholds.yaml",
                ("policies", name, "procedure"),
                f"no procedure {policy.procedure}",
            )
