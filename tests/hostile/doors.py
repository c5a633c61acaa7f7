"""The ways in, as the corpus uses them: the API, the pages and the admin, each by somebody who may."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from incidents.models import Incident

INCIDENT = {"title": "Checkout fails", "severity": "P1"}
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
# Read with every request, so its times change although nothing was asked for.
UNCOUNTED = {"django_session", "core_cache"}


@dataclass(frozen=True)
class Doors:
    """Ida is a commander at the API and on the pages, Ada an administrator in the admin."""

    api: APIClient
    page: Client
    admin: Client
    incident: Incident

    def declare(self, **change: Any) -> Any:
        """POST /api/v1/incidents/ with one thing changed."""
        return self.raw(json.dumps(INCIDENT | change))

    def raw(self, body: str | bytes, content_type: str = JSON, **headers: Any) -> Any:
        path = headers.pop("path", "/api/v1/incidents/")
        return self.api.post(path, body, content_type=content_type, **headers)

    def note(self, **change: Any) -> Any:
        """POST the note of an incident's page."""
        return self.page.post(f"/incidents/{self.incident.ref}/note/", {"summary": "seen", **change})

    def form(self, body: str, path: str = "/incidents/declare/") -> Any:
        return self.page.post(path, body, content_type=FORM)

    def contact(self, **change: Any) -> Any:
        """POST a new contact in the admin."""
        contact = {"name": "Nora", "kind": "team", "email": "", "phone": "", "active": "on"}
        return self.admin.post("/admin/comms/contact/add/", contact | change)

    def monitor(self, **change: Any) -> Any:
        """POST a new monitor in the admin."""
        source = {"type": "http_json", "url": "http://127.0.0.1:1/", "path": "error_rate"}
        service = self.incident.services.get().pk
        monitor = {
            "service": service, "metric": "error_rate", "source": json.dumps(source), "interval_seconds": 5,
            "thresholds": "null", "policy": "rollback_triggers", "on_monitoring_failure": "page",
        }  # fmt: skip
        return self.admin.post("/admin/incidents/monitor/add/", monitor | change)


def row_counts() -> dict[str, int]:
    """How many rows each table has."""
    managed = (m for m in apps.get_models(include_auto_created=True) if m._meta.managed and not m._meta.proxy)
    tables = {model._meta.db_table for model in managed} - UNCOUNTED
    query = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM \"{table}\"" for table in sorted(tables))
    with connection.cursor() as cursor:
        cursor.execute(query)
        return dict(cursor.fetchall())
