"""Who else has the page open: told to those who may see it, for a minute, and written down nowhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from core.actors import Actor, actor_for_user
from core.errors import Invalid, NotFound
from core.models import Event, User
from incidents.models import Incident, Presence
from incidents.selectors.presence import GONE_AFTER, who_is_here
from incidents.services.incidents import declare_incident
from incidents.services.presence import say_gone, say_here
from tests.signing_in import sign_in

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def poked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr("core.live.poke", lambda *topics: found.extend(topics))
    return found


@pytest.fixture
def ann(make_user: Callable[..., User]) -> Actor:
    return actor_for_user(make_user("ann", "viewer"))


@pytest.fixture
def ben(make_user: Callable[..., User]) -> Actor:
    return actor_for_user(make_user("ben", "responder"))


def shown(incident: Incident, now: dt.datetime) -> list[tuple[str, str]]:
    return [(person.name, person.doing) for person in who_is_here(incident, now=now).people]


def test_who_is_here_and_what_they_do(
    incident: Incident, ann: Actor, ben: Actor, now: dt.datetime, poked: list[str]
) -> None:
    topic, events = f"presence:{incident.ref}", Event.objects.count()
    say_here(ref=incident.ref, actor=ann, now=now)
    say_here(ref=incident.ref, actor=ben, now=now + SECOND, doing="update")
    assert shown(incident, now + SECOND) == [("ben", "is writing an update"), ("ann", "")]
    assert poked == [topic, topic]
    say_here(ref=incident.ref, actor=ben, now=now + 2 * SECOND)
    assert shown(incident, now + 2 * SECOND) == [("ann", ""), ("ben", "")]
    say_here(ref=incident.ref, actor=ben, now=now + 20 * SECOND)
    assert len(poked) == 3, "that somebody is still here is no news"
    assert Event.objects.count() == events, "no event"


def test_a_page_that_says_it_all_the_time_is_not_written_all_the_time(
    incident: Incident, ann: Actor, now: dt.datetime
) -> None:
    for tenth in range(50):
        say_here(ref=incident.ref, actor=ann, now=now + tenth * SECOND / 10)
    assert Presence.objects.get().seen_at == now
    say_here(ref=incident.ref, actor=ann, now=now + 11 * SECOND)
    assert Presence.objects.get().seen_at == now + 11 * SECOND


def test_who_says_nothing_for_a_minute_is_gone_and_the_others_are_told(
    incident: Incident, ann: Actor, ben: Actor, now: dt.datetime, poked: list[str]
) -> None:
    say_here(ref=incident.ref, actor=ann, now=now)
    later = now + GONE_AFTER + SECOND
    assert shown(incident, later) == []
    poked.clear()
    say_here(ref=incident.ref, actor=ben, now=later)
    assert Presence.objects.count() == 1
    assert poked == [f"presence:{incident.ref}"]
    say_gone(ref=incident.ref, actor=ben, now=later)
    assert not Presence.objects.exists()
    assert poked == [f"presence:{incident.ref}"] * 2


def test_of_a_restricted_incident_nobody_else_says_or_sees_anything(
    commander: Actor, ann: Actor, now: dt.datetime
) -> None:
    secret = declare_incident(actor=commander, now=now, title="x", severity="P1", restricted=True)
    for command in (say_here, say_gone):
        with pytest.raises(NotFound):
            command(ref=secret.ref, actor=ann, now=now)
    assert not Presence.objects.exists()
    with pytest.raises(Invalid):
        say_here(ref=secret.ref, actor=commander, now=now, doing="nonsense")


def test_the_table_costs_no_write_ahead_log(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'incidents_presence'")
        assert cursor.fetchone() == ("u",)


def test_the_page_names_others_and_its_door_answers_with_nothing(
    incident: Incident, make_user: Callable[..., User], now: dt.datetime
) -> None:
    address = f"/incidents/{incident.ref}/"
    browsers = {}
    for name in ("ann", "ben"):
        browsers[name] = Client()
        sign_in(browsers[name], make_user(name, "viewer"))
        answer: Any = browsers[name].post(f"{address}here/", {"doing": "update" if name == "ann" else ""})
        assert (answer.status_code, answer.content) == (204, b"")
    page = browsers["ben"].get(address).content.decode()
    assert f'data-live-topics="presence:{incident.ref}"' in page
    assert "is writing an update" in browsers["ben"].get(address, {"panel": "present"}).content.decode()
    assert browsers["ben"].post(f"{address}here/", {"doing": "<script>"}).status_code == 422
    assert browsers["ben"].get(f"{address}here/").status_code == 405
    assert browsers["ann"].post(f"{address}here/", {"gone": "on"}).status_code == 204
    assert "is writing" not in browsers["ben"].get(address, {"panel": "present"}).content.decode()
