"""The story of a bad release inside one process: from the breach to the approved rollback."""

from __future__ import annotations

import datetime as dt

import pytest

from core.actors import SYSTEM
from core.models import Event
from core.outbox import deliver_pending
from core.verification import verify_streams
from incidents.facts import Reading
from incidents.models import Incident, Service
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.states import SampleOutcome
from rollbacks.models import Rollback


@pytest.mark.django_db(transaction=True)
def test_critical_breach_opens_a_p0_and_an_approved_rollback(shop: Service, now: dt.datetime) -> None:
    monitor = create_monitor(
        actor=SYSTEM, now=now, service="shop", metric="error_rate", interval_seconds=5,
        source={"type": "http_json", "url": "http://127.0.0.1:1/m.json", "path": "error_rate"},
    )  # fmt: skip
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.33), now=now)
    assert deliver_pending(now=now) > 0

    incident = Incident.objects.get()
    rollback = Rollback.objects.get()
    assert (incident.severity, incident.status, incident.source) == (
        "P0",
        "investigating",
        "monitor",
    )
    assert (rollback.state, rollback.from_version, rollback.target_version) == (
        "approved",
        "2.0.0",
        "1.9.0",
    )
    timeline = Event.objects.filter(stream=incident.stream).exclude(kind__startswith="checklist.")
    kinds = list(timeline.order_by("seq").values_list("kind", flat=True))
    assert kinds == ["incident.declared", "incident.breached", "rollback.requested"]
    assert verify_streams()[1] == []
