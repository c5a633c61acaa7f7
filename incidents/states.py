"""The words of this app and the moves between states. Source: seed and rulings, States."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models


class IncidentStatus(models.TextChoices):
    INVESTIGATING = "investigating", "Investigating"
    ROLLBACK_INITIATED = "rollback_initiated", "Rollback initiated"
    MONITORING = "monitoring", "Monitoring"
    RESOLVED = "resolved", "Resolved"
    CLOSED = "closed", "Closed"


_S = IncidentStatus
OPEN_STATUSES = (_S.INVESTIGATING, _S.ROLLBACK_INITIATED, _S.MONITORING)
MOVES: Mapping[IncidentStatus, frozenset[IncidentStatus]] = {
    _S.INVESTIGATING: frozenset({_S.ROLLBACK_INITIATED, _S.MONITORING, _S.RESOLVED}),
    _S.ROLLBACK_INITIATED: frozenset({_S.MONITORING, _S.INVESTIGATING}),
    _S.MONITORING: frozenset({_S.RESOLVED, _S.INVESTIGATING, _S.ROLLBACK_INITIATED}),
    _S.RESOLVED: frozenset({_S.CLOSED, _S.INVESTIGATING}),
    _S.CLOSED: frozenset(),
}


class Severity(models.TextChoices):
    P0 = "P0", "P0 Critical"
    P1 = "P1", "P1 High"
    P2 = "P2", "P2 Medium"
    P3 = "P3", "P3 Low"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return int(self.value[1])


class IncidentKind(models.TextChoices):
    OPERATIONAL = "operational", "Operational"
    SECURITY = "security", "Security"
    PERFORMANCE = "performance", "Performance"


class IncidentSource(models.TextChoices):
    PERSON = "person", "Person"
    API = "api", "API"
    MONITOR = "monitor", "Monitor"
    ALERT = "alert", "Alert"


class AlertSource(models.TextChoices):
    """Whose format an alert came in."""

    ALERTMANAGER = "alertmanager", "Alertmanager"
    PAGERDUTY = "pagerduty", "PagerDuty event"
    API = "api", "API"


class AlertStatus(models.TextChoices):
    FIRING = "firing", "Firing"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    RESOLVED = "resolved", "Resolved"


QUIET_STATES = ("active", "planned", "ended")  # of silences and maintenance windows


class InboundKind(models.TextChoices):
    """What a sender delivered."""

    ALERTMANAGER = "alertmanager", "Alertmanager webhook"
    EVENT = "event", "PagerDuty event"
    CHANGE = "change", "PagerDuty change event"


class Role(models.TextChoices):
    """Roles on an incident; engineering manager is held by grant alone and only approves."""

    INCIDENT_COMMANDER = "incident_commander", "Incident Commander"
    TECHNICAL_LEAD = "technical_lead", "Technical Lead"
    SECURITY_LEAD = "security_lead", "Security Lead"
    COMMUNICATIONS_LEAD = "communications_lead", "Communications Lead"
    DEVELOPMENT_LEAD = "development_lead", "Development Lead"
    ENGINEERING_MANAGER = "engineering_manager", "Engineering Manager"


INCIDENT_ROLES = tuple(role for role in Role if role is not Role.ENGINEERING_MANAGER)

# 1 is the most urgent. Source: seed, Security Incident Classification.
SECURITY_LEVELS = (1, 2, 3)

# Contact groups that messages go to. Source: seed, Severity Levels; rulings, People and authority.
AUDIENCES = ("everyone", "technical_team", "management", "development_team", "security_team")


def audience_label(audience: str) -> str:
    """For people: `technical team`."""
    return audience.replace("_", " ")


class TaskState(models.TextChoices):
    OPEN = "open", "Open"
    DONE = "done", "Done"
    DROPPED = "dropped", "Dropped"


class EvidenceKind(models.TextChoices):
    """How a piece of evidence is shown: only an image ever stands on a page."""

    IMAGE = "image", "Image"
    TEXT = "text", "Text"
    FILE = "file", "File"


class ReportState(models.TextChoices):
    """How far a post-incident report is; a published one is opened again by a new revision."""

    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"
    PUBLISHED = "published", "Published"


class ReportSection(models.TextChoices):
    """What people write into a report; the rest is read from the timeline. Source: seed, its template."""

    IMPACT = "impact", "Impact"
    PRIMARY_CAUSE = "primary_cause", "Primary cause"
    CONTRIBUTING_FACTORS = "contributing_factors", "Contributing factors"
    ACTIONS_TAKEN = "actions_taken", "Actions taken"
    USERS_AFFECTED = "users_affected", "Users affected"
    IMPACT_DURATION = "impact_duration", "Duration of impact"
    FUNCTIONALITY_AFFECTED = "functionality_affected", "Functionality affected"
    REVENUE_IMPACT = "revenue_impact", "Revenue impact"
    SLA_BREACH = "sla_breach", "SLA breach"
    CUSTOMER_COMPLAINTS = "customer_complaints", "Customer complaints"
    WENT_WELL = "went_well", "What went well"
    COULD_BE_IMPROVED = "could_be_improved", "What could be improved"
    NO_PREVENTION = "no_prevention", "Why no prevention measure"


# Those that the template has a place for; the other is asked for only where a list of it would be empty.
TEMPLATE_SECTIONS = tuple(section for section in ReportSection if section != ReportSection.NO_PREVENTION)


class FollowUpPart(models.TextChoices):
    """What of a report is made of action items; a report may have to have it. Source: seed, its template."""

    ACTION_ITEMS = "action_items", "Action items"
    PREVENTION = "prevention", "Prevention measures"


class ActionItemKind(models.TextChoices):
    """What an action item is for. Source: seed, Action Items and Prevention Measures."""

    ACTION = "action", "Action item"
    IMMEDIATE = "immediate", "Prevention, immediate"
    LONG_TERM = "long_term", "Prevention, long-term"


class ActionItemState(models.TextChoices):
    OPEN = "open", "Open"
    IN_PROGRESS = "in_progress", "In progress"
    DONE = "done", "Done"
    DROPPED = "dropped", "Dropped"


UNFINISHED = (ActionItemState.OPEN, ActionItemState.IN_PROGRESS)


class Cadence(models.TextChoices):
    """How often a review is held. Source: seed, Process Review Cycle."""

    WEEKLY = "weekly", "Weekly"
    MONTHLY = "monthly", "Monthly"
    QUARTERLY = "quarterly", "Quarterly"
    ANNUAL = "annual", "Annual"


class ReviewState(models.TextChoices):
    """How far a review is; a missed one was due while Firebreak stood still."""

    OPEN = "open", "Open"
    HELD = "held", "Held"
    SIGNED_OFF = "signed_off", "Signed off"
    MISSED = "missed", "Missed"


class DocumentOutcome(models.TextChoices):
    """What the review of a document came to."""

    UNCHANGED = "unchanged", "Nothing to change"
    CHANGED = "changed", "Changed"


class Tier(models.TextChoices):
    """How strongly criteria speak for a rollback, the strongest first. Source: seed, the criteria."""

    IMMEDIATE = "immediate", "Immediate"
    RECOMMENDED = "recommended", "Recommended"
    OPTIONAL = "optional", "Optional"


class Metric(models.TextChoices):
    """The metrics that the seed's thresholds know, with their units."""

    ERROR_RATE = "error_rate", "Error rate"  # ratio 0..1
    RESPONSE_TIME = "response_time", "Response time"  # milliseconds
    SECURITY_EVENTS = "security_events", "Security events"  # count in five minutes
    MEMORY_USAGE = "memory_usage", "Memory usage"  # ratio 0..1
    CPU_USAGE = "cpu_usage", "CPU usage"  # ratio 0..1


def metric_name(metric: str) -> str:
    """Within a sentence: `error rate`, `CPU usage`; a metric of the service's own keeps its name."""
    if metric not in Metric.values:
        return metric
    label = str(Metric(metric).label)
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


class MonitorLevel(models.TextChoices):
    OK = "ok", "OK"
    WARNING = "warning", "Warning"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"
    UNKNOWN = "unknown", "No answer"


class SampleOutcome(models.TextChoices):
    OK = "ok", "Measured"
    TOO_FEW = "too_few", "Too few requests to judge"
    NO_DATA = "no_data", "No data"
    STALE = "stale", "Nothing new was pushed"
    ERROR = "error", "Error"


class OnMonitoringFailure(models.TextChoices):
    """What a monitor that cannot be measured does about a rollback; an incident it opens always."""

    PAGE = "page", "Page people, nothing else"
    CORROBORATED = "corroborated", "Roll back where other evidence says the service fails"
    AFTER_N = "after_n", "Roll back when it lasts"
    IMMEDIATE = "immediate", "Roll back at once"


class FailureKind(models.TextChoices):
    """Why a check had no answer. The first six are core.http.Failure."""

    BLOCKED = "blocked", "Blocked by Firebreak's own guard"
    UNRESOLVED = "unresolved", "Its name has no address"
    UNREACHABLE = "unreachable", "Cannot be reached"
    TIMED_OUT = "timed_out", "No answer in time"
    TLS = "tls", "No trusted connection"
    BROKEN = "broken", "Broken answer"
    REJECTED = "rejected", "The source refuses the question"
    SOURCE_FAILED = "source_failed", "The source itself is in trouble"
    BAD_ANSWER = "bad_answer", "Not the expected answer"
    INTERNAL = "internal", "Firebreak's own fault"


class ReleaseState(models.TextChoices):
    LIVE = "live", "Live"
    GOOD = "good", "Good"
    SUPERSEDED = "superseded", "Superseded"
    QUARANTINED = "quarantined", "Quarantined"
    ROLLED_BACK = "rolled_back", "Rolled back"
