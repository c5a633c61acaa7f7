"""The tables of this app, one module per aggregate."""

from incidents.models.checklists import ChecklistItem
from incidents.models.grants import RoleGrant
from incidents.models.incidents import Incident, IncidentHold, Responder
from incidents.models.monitors import Monitor, Sample
from incidents.models.outages import MonitoringOutage
from incidents.models.rollups import Rollup, RollupMark
from incidents.models.services import Release, Service

__all__ = [
    "ChecklistItem",
    "Incident",
    "IncidentHold",
    "Monitor",
    "MonitoringOutage",
    "Release",
    "Responder",
    "RoleGrant",
    "Rollup",
    "RollupMark",
    "Sample",
    "Service",
]
