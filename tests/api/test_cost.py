"""What every request of the API pays: one query for its token, one for what it asks; and the written-out answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework import serializers
from rest_framework.test import APIClient

from core.actors import Actor
from core.models import User
from incidents.api.incident_serializers import IncidentSerializer
from incidents.models import Incident, Service
from incidents.selectors.records import incident_records
from incidents.services.holds import place_hold
from incidents.services.incidents import acknowledge_incident, declare_incident, resolve_incident
from incidents.services.people import add_responder


@pytest.fixture
def token(program: Callable[..., APIClient], make_user: Callable[..., User]) -> APIClient:
    """A responder's token that was used a moment ago: its use is noted once a minute."""
    client = program(make_user("tim", "responder"), "read", "write")
    client.get("/api/v1/incidents/")
    return client


@pytest.mark.parametrize("address", ["", "{ref}/"])
def test_reading_incidents_by_token_costs_two_queries(
    token: APIClient, incident: Incident, address: str
) -> None:
    with CaptureQueriesContext(connection) as captured:
        answer = token.get(f"/api/v1/incidents/{address.format(ref=incident.ref)}")
    assert answer.status_code == 200
    assert len(captured) == 2, [query["sql"] for query in captured.captured_queries]


def test_a_restricted_incident_is_shown_to_those_on_it_alone(
    token: APIClient, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    Incident.objects.filter(pk=incident.pk).update(restricted=True)
    address = f"/api/v1/incidents/{incident.ref}/"
    assert token.get(address).status_code == 404
    add_responder(incident_id=incident.pk, username="tim", actor=commander, now=now)
    assert token.get(address).json()["ref"] == incident.ref


def test_declaring_by_token_costs_a_known_number_of_statements(token: APIClient, shop: Service) -> None:
    body = {"title": "Checkout fails", "severity": "P1", "services": ["shop"]}
    with CaptureQueriesContext(connection) as captured:
        answer = token.post("/api/v1/incidents/", body)
    assert answer.status_code == 201
    statements = [q["sql"] for q in captured.captured_queries if "SAVEPOINT" not in q["sql"]]
    assert len(statements) == DECLARING, statements


# Token, services; counter, stream, incident, its services, event, head, outbox, poke; the answer.
DECLARING = 12


def test_what_is_written_out_is_what_the_framework_would_say(
    incident: Incident, shop: Service, commander: Actor, make_actor: Callable[..., Actor], now: dt.datetime
) -> None:
    """The schema is made from the declared fields: the answer must be theirs, name by name."""
    make_actor("tom", "responder")
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
    acknowledge_incident(**act)
    add_responder(**act, username="tom")
    place_hold(incident=incident, kind="rollback", reference="RB-1", reason="it runs", now=now)
    place_hold(incident=incident, kind="other", reference="X-1", reason="another", now=now)
    ended = declare_incident(
        actor=commander,
        now=now.replace(microsecond=0),
        title="Over",
        severity="P3",
        kind="security",
        security_level=2,
    )
    resolve_incident(incident_id=ended.pk, actor=commander, now=now, resolution="done")
    by_framework = serializers.ModelSerializer.to_representation
    rows = list(incident_records(commander))
    assert len(rows) == 2
    for row in rows:
        shape = IncidentSerializer(row)
        written, expected = shape.to_representation(row), by_framework(shape, row)
        open_for = written.pop("duration_seconds") - expected.pop("duration_seconds")
        assert abs(open_for) < 5
        assert written == expected
        assert [*written] == [*expected]
    said = next(IncidentSerializer(row).data for row in rows if row.ref == incident.ref)
    assert (said["active_rollback"], said["roles"]["incident_commander"], said["services"]) == (
        "RB-1",
        "ida",
        ["shop"],
    )
