"""The tables of this app, one module per aggregate."""

from incidents.models.action_items import ActionItem
from incidents.models.alerts import Alert, InboundDelivery
from incidents.models.checklists import ChecklistItem
from incidents.models.evidence import Evidence, EvidenceContent, EvidenceWithdrawal
from incidents.models.grants import RoleGrant
from incidents.models.incidents import Incident, IncidentHold, Responder
from incidents.models.monitors import Monitor, Sample
from incidents.models.outages import MonitoringOutage
from incidents.models.presence import Presence
from incidents.models.quiet import MaintenanceWindow, Silence
from incidents.models.reports import (
    PublishedReport,
    Report,
    ReportChange,
    ReportRow,
    ReportRowChange,
    ReportText,
)
from incidents.models.reviews import Document, Review, ReviewSchedule
from incidents.models.rollups import Rollup, RollupMark
from incidents.models.search_documents import SearchDocument, SearchMark
from incidents.models.services import Release, Service
from incidents.models.tasks import Task
from incidents.models.training import AwaitedTraining, TrainingRecord

__all__ = [
    "ActionItem",
    "Alert",
    "AwaitedTraining",
    "ChecklistItem",
    "Document",
    "Evidence",
    "EvidenceContent",
    "EvidenceWithdrawal",
    "InboundDelivery",
    "Incident",
    "IncidentHold",
    "MaintenanceWindow",
    "Monitor",
    "MonitoringOutage",
    "Presence",
    "PublishedReport",
    "Release",
    "Report",
    "ReportChange",
    "ReportRow",
    "ReportRowChange",
    "ReportText",
    "Responder",
    "Review",
    "ReviewSchedule",
    "RoleGrant",
    "Rollup",
    "RollupMark",
    "Sample",
    "SearchDocument",
    "SearchMark",
    "Service",
    "Silence",
    "Task",
    "TrainingRecord",
]
