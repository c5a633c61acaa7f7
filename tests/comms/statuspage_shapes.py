"""The shapes of Statuspage's API, version 2, as strict models: nothing missing, nothing more."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict, HttpUrl


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Page(Shape):
    id: str
    name: str
    url: HttpUrl
    time_zone: str
    updated_at: dt.datetime


class Status(Shape):
    indicator: Literal["none", "minor", "major", "critical", "maintenance"]
    description: str


class Component(Shape):
    id: str
    name: str
    status: Literal[
        "operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"
    ]
    created_at: dt.datetime
    updated_at: dt.datetime
    position: int
    description: str | None
    showcase: bool
    start_date: dt.date | None
    group_id: str | None
    page_id: str
    group: bool
    only_show_if_degraded: bool
    components: list[str] | None = None  # of a group alone


class Affected(Shape):
    code: str
    name: str
    old_status: str
    new_status: str


class Update(Shape):
    id: str
    status: Literal[
        "investigating", "identified", "monitoring", "resolved", "scheduled", "in_progress", "completed"
    ]
    body: str
    incident_id: str
    created_at: dt.datetime
    updated_at: dt.datetime
    display_at: dt.datetime
    affected_components: list[Affected]
    deliver_notifications: bool
    custom_tweet: str | None
    tweet_id: str | None


class Incident(Shape):
    id: str
    name: str
    status: Literal["investigating", "identified", "monitoring", "resolved"]
    created_at: dt.datetime
    updated_at: dt.datetime
    monitoring_at: dt.datetime | None
    resolved_at: dt.datetime | None
    impact: Literal["none", "minor", "major", "critical"]
    shortlink: HttpUrl
    started_at: dt.datetime
    page_id: str
    incident_updates: list[Update]
    components: list[Component]
    reminder_intervals: str | None


class Maintenance(Shape):
    id: str
    name: str
    status: Literal["scheduled", "in_progress", "verifying", "completed"]
    created_at: dt.datetime
    updated_at: dt.datetime
    monitoring_at: dt.datetime | None
    resolved_at: dt.datetime | None
    impact: Literal["maintenance"]
    shortlink: HttpUrl
    started_at: dt.datetime
    page_id: str
    incident_updates: list[Update]
    components: list[Component]
    reminder_intervals: str | None
    scheduled_for: dt.datetime
    scheduled_until: dt.datetime


class Summary(Shape):
    page: Page
    components: list[Component]
    incidents: list[Incident]
    scheduled_maintenances: list[Maintenance]
    status: Status


class StatusFile(Shape):
    page: Page
    status: Status


class ComponentsFile(Shape):
    page: Page
    components: list[Component]


class IncidentsFile(Shape):
    page: Page
    incidents: list[Incident]


SHAPES: dict[str, type[Shape]] = {
    "summary": Summary,
    "status": StatusFile,
    "components": ComponentsFile,
    "incidents": IncidentsFile,
}
