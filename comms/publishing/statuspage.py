"""The JSON of Statuspage's public API, version 2, so that what reads a Statuspage reads this page too.

Shapes: Atlassian, Statuspage, "Status API". What this page has no counterpart of is null or empty there.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import Any

from comms.rules.publishing import worst
from comms.selectors.status_page import (
    ComponentLine,
    IncidentLine,
    MaintenanceLine,
    StatusPage,
    UpdateLine,
)

Json = dict[str, Any]


def summary(page: StatusPage) -> Json:
    """summary.json: components, what is open, what is planned."""
    return {
        "page": _page(page),
        "components": _components(page),
        "incidents": [_incident(page, line) for line in page.open],
        "scheduled_maintenances": [_maintenance(page, line) for line in page.maintenance],
        "status": _status(page),
    }


def status(page: StatusPage) -> Json:
    """status.json: one word."""
    return {"page": _page(page), "status": _status(page)}


def components(page: StatusPage) -> Json:
    """components.json."""
    return {"page": _page(page), "components": _components(page)}


def incidents(page: StatusPage) -> Json:
    """incidents.json: the fifty newest."""
    return {"page": _page(page), "incidents": [_incident(page, line) for line in page.recent]}


def page_id(page: StatusPage) -> str:
    """The same for as long as the page has its address."""
    return _id_of(page.url)


def _page(page: StatusPage) -> Json:
    return {
        "id": page_id(page),
        "name": page.title,
        "url": page.url.rstrip("/"),
        "time_zone": "Etc/UTC",
        "updated_at": _time(page.updated_at),
    }


def _status(page: StatusPage) -> Json:
    return {"indicator": page.indicator, "description": page.description}


def _components(page: StatusPage) -> list[Json]:
    """Components, and their groups as components of their own."""
    found = []
    for group in page.groups:
        if group.name:
            found.append(_group(page, group.name, group.components))
        found += [_component(page, line) for line in group.components]
    return [one | {"position": number} for number, one in enumerate(found, start=1)]


def _component(page: StatusPage, line: ComponentLine) -> Json:
    return {
        "id": line.public_id,
        "name": line.name,
        "status": line.state,
        "created_at": _time(line.created_at),
        "updated_at": _time(line.changed_at),
        "position": line.position,
        "description": line.description or None,
        "showcase": True,
        "start_date": line.created_at.date().isoformat(),
        "group_id": _id_of(f"group {line.group}") if line.group else None,
        "page_id": page_id(page),
        "group": False,
        "only_show_if_degraded": False,
    }


def _group(page: StatusPage, name: str, lines: Sequence[ComponentLine]) -> Json:
    return {
        "id": _id_of(f"group {name}"),
        "name": name,
        "status": worst(line.state for line in lines),
        "created_at": _time(min(line.created_at for line in lines)),
        "updated_at": _time(max(line.changed_at for line in lines)),
        "position": 0,
        "description": None,
        "showcase": False,
        "start_date": None,
        "group_id": None,
        "page_id": page_id(page),
        "group": True,
        "only_show_if_degraded": False,
        "components": [line.public_id for line in lines],
    }


def _incident(page: StatusPage, line: IncidentLine) -> Json:
    return {
        "id": line.public_id,
        "name": line.title,
        "status": line.status,
        "created_at": _time(line.created_at),
        "updated_at": _time(line.updated_at),
        "monitoring_at": _time(line.monitoring_at),
        "resolved_at": _time(line.resolved_at),
        "impact": line.impact,
        "shortlink": f"{page.url}#{line.public_id}",
        "started_at": _time(line.started_at),
        "page_id": page_id(page),
        "incident_updates": [_update(line, update) for update in line.updates],
        "components": _of(page, line.components),
        "reminder_intervals": None,
    }


def _update(line: IncidentLine, update: UpdateLine) -> Json:
    return {
        "id": update.public_id,
        "status": update.status,
        "body": update.body,
        "incident_id": line.public_id,
        "created_at": _time(update.at),
        "updated_at": _time(update.at),
        "display_at": _time(update.at),
        "affected_components": [dict(change) for change in update.changes],
        "deliver_notifications": True,
        "custom_tweet": None,
        "tweet_id": None,
    }


def _maintenance(page: StatusPage, line: MaintenanceLine) -> Json:
    begun = line.starts_at if line.in_progress else line.created_at
    said = "in_progress" if line.in_progress else "scheduled"
    update = {
        "id": _id_of(f"update of {line.public_id}"),
        "status": said,
        "body": f"{line.title}.",
        "incident_id": line.public_id,
        "created_at": _time(begun),
        "updated_at": _time(begun),
        "display_at": _time(begun),
        "affected_components": [
            {
                "code": public_id,
                "name": name,
                "old_status": "operational",
                "new_status": "under_maintenance" if line.in_progress else "operational",
            }
            for public_id, name in zip(line.components, line.names, strict=True)
        ],
        "deliver_notifications": False,
        "custom_tweet": None,
        "tweet_id": None,
    }
    return {
        "id": line.public_id,
        "name": line.title,
        "status": said,
        "created_at": _time(line.created_at),
        "updated_at": _time(begun),
        "monitoring_at": None,
        "resolved_at": None,
        "impact": "maintenance",
        "shortlink": f"{page.url}#{line.public_id}",
        "started_at": _time(line.starts_at),
        "page_id": page_id(page),
        "incident_updates": [update],
        "components": _of(page, line.components),
        "reminder_intervals": None,
        "scheduled_for": _time(line.starts_at),
        "scheduled_until": _time(line.ends_at),
    }


def _of(page: StatusPage, ids: Sequence[str]) -> list[Json]:
    return [one for one in _components(page) if one["id"] in ids]


def _id_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _time(at: dt.datetime | None) -> str | None:
    """Milliseconds, as Statuspage writes them."""
    if at is None:
        return None
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
