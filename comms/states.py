"""The words of this app and the moves between states. Source: architecture, State machines."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models


class Means(models.TextChoices):
    """A way to reach a person: which of a contact's addresses it takes."""

    VOICE = "voice", "Voice call"
    SMS = "sms", "SMS"
    CHAT = "chat", "Chat"
    EMAIL = "email", "E-mail"


class Visibility(models.TextChoices):
    """Who may read a text. Source: rulings, Words."""

    INTERNAL = "internal", "Internal"
    EXTERNAL = "external", "External"


class MessageState(models.TextChoices):
    DRAFT = "draft", "Draft"
    APPROVED = "approved", "Approved"
    QUEUED = "queued", "Queued"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    SUPERSEDED = "superseded", "Superseded"


_M = MessageState
MESSAGE_MOVES: Mapping[MessageState, frozenset[MessageState]] = {
    _M.DRAFT: frozenset({_M.APPROVED, _M.SUPERSEDED}),
    _M.APPROVED: frozenset({_M.QUEUED, _M.SUPERSEDED}),
    _M.QUEUED: frozenset({_M.SENT, _M.FAILED, _M.SUPERSEDED}),
    # A delivery that somebody tries again, or that takes another way, can still mend it.
    _M.FAILED: frozenset({_M.QUEUED}),
    _M.SENT: frozenset({_M.QUEUED}),
    _M.SUPERSEDED: frozenset(),
}


class DeliveryState(models.TextChoices):
    PENDING = "pending", "Waiting"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    RETRYING = "retrying", "Trying again"
    DEAD = "dead", "Given up"
    SUPERSEDED = "superseded", "Superseded"


_D = DeliveryState
WAITING_STATES = (_D.PENDING, _D.RETRYING)
DUE_STATES = (*WAITING_STATES, _D.SENDING)
DELIVERY_MOVES: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    _D.PENDING: frozenset({_D.SENDING, _D.SUPERSEDED}),
    _D.RETRYING: frozenset({_D.SENDING, _D.SUPERSEDED, _D.PENDING}),
    # A sender that died in mid-send: at least once means that it is sent again.
    _D.SENDING: frozenset(
        {_D.SENT, _D.RETRYING, _D.DEAD, _D.SENDING, _D.SUPERSEDED, _D.PENDING}  # pending: held back
    ),
    _D.SENT: frozenset(),
    _D.DEAD: frozenset({_D.PENDING}),  # by hand: somebody tries it again
    _D.SUPERSEDED: frozenset(),
}


class ClockKind(models.TextChoices):
    """What an open incident waits for, and who is paged when it does not come."""

    RESPONSE = "response", "Somebody acknowledges"
    SILENCE = "silence", "Somebody does something again"
    UPDATE = "update", "The next update"


# Events of the ladder: somebody is paged because nobody answered, or reminded of an update.
PAGED, UPDATE_OVERDUE = "incident.paged", "incident.update_overdue"
ROLE_PAGED = "role.paged"  # by hand: a role of the incident that nobody holds


_CHANNEL_NAMES = {"sms": "SMS", "email": "E-mail", "user_email": "E-mail to subscribers"}


def channel_name(key: str) -> str:
    """For people, of a channel's key in the playbook: `Incident response`, `SMS`."""
    return _CHANNEL_NAMES.get(key, key.replace("_", " ").capitalize())


class Template(models.TextChoices):
    """The messages of this version. Source: seed, Communication Protocols; rulings, Templates."""

    INCIDENT_ALERT = "incident_alert", "Incident alert"
    DRILL = "drill", "Drill"
    ACKNOWLEDGEMENT = "acknowledgement", "Acknowledged"
    RESPONSE_OVERDUE = "response_overdue", "Response overdue"
    ESCALATION = "escalation", "Escalation"
    UPDATE_OVERDUE = "update_overdue", "Update overdue"
    CHECKLIST_OVERDUE = "checklist_overdue", "Checklist overdue"
    TASK_OVERDUE = "task_overdue", "Task overdue"
    ROLLBACK_NOTICE = "rollback_notice", "Rollback notice"
    APPROVAL_REQUESTED = "approval_requested", "Approval requested"
    BREAK_GLASS = "break_glass", "Glass was broken"
    ATTENTION_PAGE = "attention_page", "Manual intervention needed"
    ROLLBACK_FAILED = "rollback_failed", "Rollback failed"
    RUNNER_MISSING = "runner_missing", "No runner for a rollback"
    RECOVERY = "recovery", "Recovery"
    INCIDENT_UPDATE = "incident_update", "Update"
    INCIDENT_RESOLVED = "incident_resolved", "Resolved"
    REMINDER = "reminder", "Reminder"
    CHECK_FAILED = "check_failed", "Check failed"
    ALARM = "alarm", "Alarm of Firebreak itself"
    NOTE = "note", "Message"
    MAINTENANCE = "maintenance", "Maintenance"
    EXTERNAL_UPDATE = "external_update", "Update for users"
    ISSUE_RESOLVED = "issue_resolved", "Issue resolved"


# These ask each recipient to do something: they carry a link, theirs alone where it acknowledges.
ASKING = (
    Template.INCIDENT_ALERT,
    Template.DRILL,
    Template.RESPONSE_OVERDUE,
    Template.ESCALATION,
    Template.UPDATE_OVERDUE,
)


# They get public facts only, and wait for an approval. Every other template is for inside.
EXTERNAL_TEMPLATES = (Template.MAINTENANCE, Template.EXTERNAL_UPDATE, Template.ISSUE_RESOLVED)
# What a person may write from by hand, beside those.
INTERNAL_BY_HAND = (Template.NOTE, Template.INCIDENT_ALERT)
PUBLIC = "public"  # the audience of an external message: whoever reads the status page or subscribed


class ComponentState(models.TextChoices):
    """How a part of the service is, as the status page says it. The words are Statuspage's."""

    OPERATIONAL = "operational", "Operational"
    DEGRADED_PERFORMANCE = "degraded_performance", "Degraded performance"
    PARTIAL_OUTAGE = "partial_outage", "Partial outage"
    MAJOR_OUTAGE = "major_outage", "Major outage"
    UNDER_MAINTENANCE = "under_maintenance", "Under maintenance"


class PublicStatus(models.TextChoices):
    """How far an incident is, as the status page says it. The words are Statuspage's."""

    INVESTIGATING = "investigating", "Investigating"
    IDENTIFIED = "identified", "Identified"
    MONITORING = "monitoring", "Monitoring"
    RESOLVED = "resolved", "Resolved"


class PublicImpact(models.TextChoices):
    """How bad an incident is for users. The words are Statuspage's."""

    NONE = "none", "None"
    MINOR = "minor", "Minor"
    MAJOR = "major", "Major"
    CRITICAL = "critical", "Critical"
