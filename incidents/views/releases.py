"""The doors of the commands on a service's releases."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.urls import reverse

from core.views.commands import CommandView
from incidents.forms import ReasonForm
from incidents.models import Service
from incidents.selectors.records import get_release, get_service
from incidents.services import services


class ReleaseCommand(CommandView):
    """A command on the release that the address names."""

    form_class = ReasonForm
    service: Service
    version: str

    def load(self, **kwargs: str) -> None:
        self.service = get_service(kwargs["slug"])
        self.version = get_release(self.service, kwargs["version"]).version

    def back_url(self) -> str:
        return reverse("incidents:service", args=[self.service.slug])


class Quarantine(ReleaseCommand):
    title = "Quarantine the release"
    submit_label = "Quarantine"
    danger = True

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        services.quarantine_release(
            service_id=self.service.pk, version=self.version, actor=self.actor, now=now, **data
        )
        return f"{self.version} is quarantined."

    def extra_context(self) -> dict[str, Any]:
        return {
            "consequences": [
                f"No rollback of {self.service.name} may go to {self.version} until the quarantine is lifted;"
                " one that is on its way there stops before the switch.",
                "What is live stays live.",
            ]
        }


class LiftQuarantine(ReleaseCommand):
    decides = True
    title = "Lift the quarantine"

    def run(self, data: dict[str, Any], now: dt.datetime) -> str:
        services.lift_quarantine(
            service_id=self.service.pk, version=self.version, actor=self.actor, now=now, **data
        )
        return f"The quarantine of {self.version} is lifted."

    def extra_context(self) -> dict[str, Any]:
        text = f"{self.version} is what it was before; where it was good, rollbacks may go to it again."
        return {"consequences": [text]}
