"""A page costs the same number of queries with a little stored and with more of everything, whoever's page it is."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.db import connection, reset_queries
from django.test import Client
from django.test.utils import CaptureQueriesContext

from comms.models import (
    Component,
    Contact,
    Delivery,
    Message,
    WebhookDelivery,
    WebhookEndpoint,
)
from core.actors import SYSTEM, Actor, actor_for_user
from core.models import ApiToken, Event, User
from incidents.facts import Reading
from incidents.models import Alert, Responder
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.notes import add_note
from incidents.services.services import record_release
from incidents.states import SampleOutcome
from tests.access.matrix import Case, read_matrix
from tests.access.scene import Scene, Subject

# Of one page; what each may cost at most.
MOST = {"/": 22, "/incidents/{ref}/": 40, "/rollbacks/{ref}/": 15, "/services/": 13, "/services/{slug}/": 26}
OWN_NUMBERS = 1_000_000  # the matrix's rows choose small ones
PAGES = [
    case
    for case in read_matrix().cases
    if case.method == "GET"
    and not case.is_api
    and 200 in case.ok
    and not case.path.startswith(("/accounts/", "/admin/login/"))
]


@pytest.fixture(autouse=True)
def no_log_of_refusals() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def scene(db: None, now: dt.datetime) -> Scene:
    """Everything is there once."""
    made = Scene("administrator", now)
    grow(made, 0)
    return made


def grow(scene: Scene, number: int) -> None:
    """One more of everything that a page may list."""
    now, boss = scene.now, actor_for_user(scene.boss)
    kind = f"more{number}"
    more = scene._subject(kind)
    for subject in (scene.subjects["own"], more):
        _on_incident(subject, more, number, boss, now)
        _on_service(subject, number, now)
    person = User.objects.create(username=kind)
    assert scene.account is not None
    for user in (person, scene.account):
        ApiToken.issue(user=user, name=kind, scopes=["read"], expires_at=now + dt.timedelta(days=1))
    Contact.objects.create(
        id=OWN_NUMBERS + number, name=kind, email=f"{kind}@example.test", audiences=["everyone"], user=person
    )
    Component.objects.create(
        service=more.rollback.service, public_id=f"{OWN_NUMBERS + number:012x}", created_at=now, changed_at=now,
        counted_until=now,
    )  # fmt: skip
    type(more.rollback.service).objects.filter(pk=more.rollback.service.pk).update(public_name=kind)
    endpoint = WebhookEndpoint.objects.create(
        id=OWN_NUMBERS + number, url=f"http://1.1.1.1/{kind}", secret="sealed", not_before=now, created_at=now
    )
    WebhookDelivery.objects.create(
        id=OWN_NUMBERS + number,
        endpoint=endpoint,
        kind="webhook.test",
        state="dead",
        created_at=now,
        due_at=now,
        finished_at=now,
    )


def _on_incident(subject: Subject, more: Subject, number: int, boss: Actor, now: dt.datetime) -> None:
    incident, kind = subject.incident, f"more{number}"
    incident.services.add(more.rollback.service)
    add_note(incident_id=incident.pk, summary=kind, actor=boss, now=now)
    helper = User.objects.create(username=f"{kind}-{incident.pk}")
    Responder.objects.create(incident=incident, user=helper, since=now, added_by="boss")
    Alert.objects.create(
        id=OWN_NUMBERS + 100 * number + incident.pk, source="api", sender=helper, fingerprint=kind,
        title=kind, starts_at=now, received_at=now, last_seen_at=now, incident=incident, service=more.rollback.service,
    )  # fmt: skip
    event = Event.objects.filter(stream=incident.stream).latest("seq")
    message = Message.objects.create(
        id=OWN_NUMBERS + 100 * number + incident.pk, event=event, incident=incident, template="incident_update",
        state="sent", subject=kind, body=kind, created_at=now,
    )  # fmt: skip
    for place, recipient in enumerate(("a", "b")):
        Delivery.objects.create(
            id=2 * message.pk + place, message=message, event=event, channel="email", recipient=f"{recipient}-{kind}", state="sent",
            created_at=now, due_at=now, sent_at=now,
        )  # fmt: skip


def _on_service(subject: Subject, number: int, now: dt.datetime) -> None:
    service = subject.rollback.service
    source = {"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": "x"}
    monitor = create_monitor(
        actor=SYSTEM, now=now, service=service.slug, metric=f"queue_{number}", source=source,
        thresholds={"high": 5.0},
    )  # fmt: skip
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 1.0), now=now)
    record_release(
        service_id=service.pk, version=f"0.{number}.0", actor=SYSTEM, now=now - dt.timedelta(days=5 - number)
    )


def counts(scene: Scene, client: Client) -> dict[str, int]:
    """The queries of each page, asked once before so that nothing is read that stays known."""
    found = {}
    for case in PAGES:
        for _again in range(2):
            reset_queries()  # the log forgets after 9,000, and with it the count
            with CaptureQueriesContext(connection) as captured:
                answer = scene.send(case, "own", client=client)
        assert answer.status_code == 200, f"{case}: {answer.status_code}"
        found[_name(case)] = len(captured) - _preparing(scene, case)
    return found


def _name(case: Case) -> str:
    return case.path + (f" ({case.values})" if case.values else "")


def _preparing(scene: Scene, case: Case) -> int:
    """The queries of what the matrix makes so beforehand, which are not the page's."""
    with CaptureQueriesContext(connection) as captured:
        scene.send(replace(case, path="/healthz"), "own", client=Client())
    return len(captured)


def test_no_page_asks_more_because_more_is_stored(scene: Scene) -> None:
    client = scene.client(staff=True)
    few = counts(scene, client)
    for number in range(1, 4):
        grow(scene, number)
    many = counts(scene, client)
    assert {page: (few[page], many[page]) for page in few if many[page] > few[page]} == {}
    assert {page: many[page] for page, most in MOST.items() if many[page] > most} == {}
