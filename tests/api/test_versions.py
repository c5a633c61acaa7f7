"""ETag, If-Match and If-None-Match: nobody overwrites what they have not read."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from core.actors import SYSTEM, Actor
from core.models import IdempotentAnswer, User
from incidents.facts import Reading
from incidents.models import Incident, Monitor, Service
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.states import SampleOutcome
from rollbacks.models import Rollback
from rollbacks.services.requests import request_rollback
from tests.api.conftest import issue

SOURCE = {"type": "http_json", "url": "http://127.0.0.1:9/metrics.json", "path": "error_rate"}


@pytest.fixture
def things(incident: Incident, commander: Actor, now: dt.datetime) -> dict[str, str]:
    """The address of one of each."""
    rollback = request_rollback(
        incident_id=incident.pk, service="shop", reason="errors", actor=commander, now=now
    )
    monitor = create_monitor(actor=SYSTEM, now=now, service="shop", metric="error_rate", source=SOURCE)
    return {
        "incident": f"/api/v1/incidents/{incident.ref}/",
        "service": "/api/v1/services/shop/",
        "monitor": f"/api/v1/monitors/{monitor.pk}/",
        "rollback": f"/api/v1/rollbacks/{rollback.ref}/",
    }


CHANGES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "incident": ("patch", "", {"impact": "Nobody can pay"}),
    "service": ("patch", "", {"name": "The shop"}),
    "monitor": ("patch", "", {"interval_seconds": 7}),
    "rollback": ("post", "cancel/", {"reason": "not needed"}),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_rests_on_the_version_that_was_read(
    api: APIClient, things: dict[str, str], kind: str
) -> None:
    at = things[kind]
    method, verb, body = CHANGES[kind]
    read = api.get(at)["ETag"]
    assert read.startswith('"v')
    changed = getattr(api, method)(at + verb, body, HTTP_IF_MATCH=read)
    assert changed.status_code == 200, changed.content
    assert changed["ETag"] != read
    assert api.get(at)["ETag"] == changed["ETag"]
    stale = getattr(api, method)(at + verb, body, HTTP_IF_MATCH=read)
    assert (stale.status_code, stale["Content-Type"]) == (412, "application/problem+json")
    assert stale.json()["code"] == "version_changed"
    assert stale["ETag"] == changed["ETag"]
    if kind in ("incident", "rollback"):
        assert stale.json()["state"] == api.get(at).json()["status" if kind == "incident" else "state"]
    assert api.get(at)["ETag"] == changed["ETag"], "a refused change changes nothing"


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("acknowledge/", {}),
        ("change_severity/", {"severity": "P2", "reason": "half of them"}),
        ("update/", {"message": "We look"}),
        ("escalate/", {"reason": "more people"}),
        ("resolve/", {"resolution": "fixed"}),
    ],
)
def test_every_verb_of_an_incident_honours_if_match(
    api: APIClient, incident: Incident, verb: str, body: dict[str, str]
) -> None:
    at = f"/api/v1/incidents/{incident.ref}/"
    read = api.get(at)["ETag"]
    api.patch(at, {"impact": "changed by another"})
    assert api.post(at + verb, body, HTTP_IF_MATCH=read).status_code == 412
    assert api.post(at + verb, body, HTTP_IF_MATCH=api.get(at)["ETag"]).status_code == 200


def test_without_if_match_it_is_as_before_and_a_star_matches_what_exists(
    api: APIClient, things: dict[str, str]
) -> None:
    at = things["incident"]
    sent: list[dict[str, Any]] = [{}, {"HTTP_IF_MATCH": "*"}, {"HTTP_IF_MATCH": '"v999", {now}'}]
    for headers in sent:
        now = api.get(at)["ETag"]
        headers = {name: value.replace("{now}", now) for name, value in headers.items()}
        assert api.patch(at, {"impact": str(headers)}, **headers).status_code == 200


@pytest.mark.parametrize(
    ("header", "status"), [('W/"v1"', 412), ('"abc"', 412), ('"v1" "v2"', 400), ("v1", 400), ("", 400)]
)
def test_weak_foreign_and_malformed_tags(
    api: APIClient, things: dict[str, str], header: str, status: int
) -> None:
    Incident.objects.update(version=1)
    assert api.patch(things["incident"], {"impact": "x"}, HTTP_IF_MATCH=header).status_code == status


def test_what_others_see_of_an_incident_is_a_new_version(
    api: APIClient, things: dict[str, str], make_user: Callable[..., User]
) -> None:
    at, seen = things["incident"], []
    make_user("tom", "responder", "technical_lead")
    seen.append(api.get(at)["ETag"])
    api.put(f"{at}roles/technical_lead/", {"user": "tom"})
    seen.append(api.get(at)["ETag"])
    api.delete(f"{at}roles/technical_lead/")
    seen.append(api.get(at)["ETag"])
    api.post(f"{things['rollback']}cancel/", {"reason": "no"})
    seen.append(api.get(at)["ETag"])
    api.patch(at, {"services": []})
    seen.append(api.get(at)["ETag"])
    assert len(set(seen)) == len(seen), seen


def test_who_has_it_already_is_not_sent_it_again(api: APIClient, things: dict[str, str]) -> None:
    for kind in ("incident", "service"):
        read = api.get(things[kind])["ETag"]
        again = api.get(things[kind], HTTP_IF_NONE_MATCH=read)
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", read)
        assert api.get(things[kind], HTTP_IF_NONE_MATCH='"v999"').status_code == 200


def test_what_moves_without_a_new_version_is_always_sent(
    api: APIClient, things: dict[str, str], now: dt.datetime
) -> None:
    read = api.get(things["monitor"])["ETag"]
    observe(monitor_id=Monitor.objects.get().pk, reading=Reading(SampleOutcome.OK, 0.5), now=now)
    again = api.get(things["monitor"], HTTP_IF_NONE_MATCH=read)
    assert (again.status_code, again.json()["value"]) == (200, 0.5)
    assert again["ETag"] == read, "a measurement is no change of the monitor"
    rollback = things["rollback"]
    assert api.get(rollback, HTTP_IF_NONE_MATCH=api.get(rollback)["ETag"]).status_code == 200
    api.post(f"{rollback}cancel/", {"reason": "no"})
    assert api.get(rollback, HTTP_IF_NONE_MATCH=api.get(rollback)["ETag"]).status_code == 304


def test_an_installation_may_require_it(api: APIClient, things: dict[str, str], settings: Any) -> None:
    settings.API_REQUIRE_IF_MATCH = True
    refused = api.patch(things["service"], {"name": "X"})
    assert (refused.status_code, refused.json()["code"]) == (428, "version_required")
    etag = api.get(things["service"])["ETag"]
    assert api.patch(things["service"], {"name": "X"}, HTTP_IF_MATCH=etag).status_code == 200
    assert api.post(f"{things['incident']}acknowledge/").status_code == 200


def test_a_refused_version_is_no_answer_to_be_replayed(api: APIClient, things: dict[str, str]) -> None:
    at = f"{things['incident']}update/"
    key: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": "k1"}
    assert api.post(at, {"message": "x"}, HTTP_IF_MATCH='"v999"', **key).status_code == 412
    assert not IdempotentAnswer.objects.exists()
    first = api.post(at, {"message": "x"}, **key)
    replayed = api.post(at, {"message": "x"}, **key)
    assert (replayed.status_code, replayed["ETag"]) == (200, first["ETag"])


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_with_one_version_one_wins(incident: Incident) -> None:
    client = APIClient(
        HTTP_AUTHORIZATION=f"Bearer {issue(User.objects.get(username='ida'), 'read', 'write')}"
    )
    at, answers, start = f"/api/v1/incidents/{incident.ref}/", [], threading.Barrier(8)
    headers: dict[str, Any] = {"HTTP_IF_MATCH": client.get(at)["ETag"]}

    def edit(number: int) -> None:
        start.wait()
        try:
            answers.append(client.patch(at, {"title": f"Title {number}"}, **headers).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, *[412] * 7]


def test_the_version_of_a_rollback_is_checked_before_an_approval(
    make_user: Callable[..., User],
    person: Callable[[User], APIClient],
    things: dict[str, str],
) -> None:
    tom = person(make_user("tom", "responder"))
    read = tom.get(things["rollback"])["ETag"]
    Rollback.objects.update(version=99)
    assert tom.post(f"{things['rollback']}approve/", HTTP_IF_MATCH=read).status_code == 412


def test_nothing_different_is_no_new_version(api: APIClient, shop: Service) -> None:
    before = api.get("/api/v1/services/shop/")["ETag"]
    assert api.patch("/api/v1/services/shop/", {"name": shop.name})["ETag"] == before
