"""Similar incidents: the rule, what is found of the past, and for whom."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from core.actors import SYSTEM, Actor
from incidents.models import Incident, Release, Service
from incidents.rules.similar import MOST_SHOWN, Traits, likeness, most_alike, weight_of
from incidents.selectors.similar import similar_incidents
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.people import add_responder
from incidents.services.searching import keep_documents
from incidents.timeline import record_on_incident
from tests.conftest import make_service
from tests.pages.conftest import HOSTILE
from tests.signing_in import sign_in

FEW = st.frozensets(st.integers(1, 4), max_size=3)
WORDS = st.frozensets(st.sampled_from(["timeout", "checkout", "pool", "error"]), max_size=4)
TRAITS = st.builds(Traits, st.integers(1, 30), FEW, FEW.map(lambda s: frozenset(map(str, s))),
                   FEW.map(lambda s: frozenset(f"shop {n}" for n in s)), WORDS)  # fmt: skip
FREQUENCIES = st.dictionaries(st.sampled_from(["timeout", "error"]), st.floats(0, 1), max_size=2)


@given(TRAITS, TRAITS, FREQUENCIES)
def test_it_does_not_matter_which_is_compared_with_which(
    one: Traits, other: Traits, frequencies: dict[str, float]
) -> None:
    here, there = likeness(one, other, frequencies), likeness(other, one, frequencies)
    assert (here.score, here.words, here.releases) == (there.score, there.words, there.releases)


@given(TRAITS, st.lists(TRAITS, max_size=8, unique_by=lambda t: t.key), FREQUENCIES, st.randoms())
def test_the_order_in_which_they_come_does_not_matter_and_itself_is_never_among_them(
    this: Traits, others: list[Traits], frequencies: dict[str, float], random: Any
) -> None:
    found = most_alike(this, others, frequencies)
    shuffled = list(others)
    random.shuffle(shuffled)
    assert most_alike(this, shuffled, frequencies) == found
    assert this.key not in {one.key for one in found}
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert all(one.releases or one.services or one.words for one in found), "a metric alone is nothing"


def test_rare_words_weigh_more_and_common_ones_nothing() -> None:
    assert weight_of(None) == weight_of(0.0001) == 1 > weight_of(0.01) > weight_of(0.5) > weight_of(1.0) == 0
    this = Traits(1, words=frozenset({"pgbouncer", "error"}))
    assert likeness(this, Traits(2, words=this.words), {"error": 0.9}).words == ("pgbouncer",)


# --- what is stored ------------------------------------------------------------------------------------


@pytest.fixture
def viewer(make_actor: Callable[..., Actor]) -> Actor:
    return make_actor("vic", "viewer")


def declare(actor: Actor, now: dt.datetime, title: str = "Something", **more: Any) -> Incident:
    return declare_incident(actor=actor, now=now, **{"title": title, "severity": "P2", **more})


def past(actor: Actor, now: dt.datetime, title: str = "Something", **more: Any) -> Incident:
    """Declared an hour ago, over half an hour later."""
    incident = declare(actor, now - dt.timedelta(hours=1), title, **more)
    then = now - dt.timedelta(minutes=30)
    resolve_incident(incident_id=incident.pk, resolution="Put right", actor=actor, now=then)
    incident.refresh_from_db()
    return incident


def tell(incident: Incident, kind: str, now: dt.datetime, **data: str) -> None:
    record_on_incident(incident, kind, f"{kind} told", actor=SYSTEM, now=now, data=data)


@pytest.mark.django_db
def test_the_second_incident_of_a_bad_release_shows_the_first(
    client: Client, commander: Actor, make_user: Callable[..., Any], shop: Service, now: dt.datetime
) -> None:
    Release.objects.filter(service=shop).update(deployed_at=now - dt.timedelta(days=2))
    live = Release.objects.get(service=shop, state="live").version
    first = past(commander, now, "Shop: error rate is 9 %", services=["shop"])
    tell(first, "incident.breached", now, metric="error_rate", service="shop")
    for kind in ("requested", "started", "succeeded"):
        more = {"target": "1.4.2", "from": live} if kind != "succeeded" else {}
        tell(first, f"rollback.{kind}", now, rollback="RB-1", service="shop", **more)
    past(commander, now, "Somewhere else entirely")
    second = declare(commander, now, "Shop: error rate is 7 %", services=["shop"])
    tell(second, "incident.breached", now, metric="error_rate", service="shop")
    keep_documents(now=now)
    (found,) = similar_incidents(commander, second)
    assert (found.ref, found.rolled_back_to, found.resolution) == (first.ref, "1.4.2", "Put right")
    assert found.reasons[:3] == (f"same release shop {live}", "same service Shop", "same metric error rate")
    assert found.duration_seconds == 1_800
    sign_in(client, make_user("pat", "viewer"))
    whole = client.get(f"/incidents/{second.ref}/").content.decode()
    assert f'hx-get="/incidents/{second.ref}/?panel=similar"' in whole  # dear, so only for who looks at it
    page = client.get(f"/incidents/{second.ref}/?panel=similar").content.decode()
    assert 'Rolled back to <span class="version">1.4.2</span>: <bdi>Put right</bdi>' in page
    (answer,) = client.get(f"/api/v1/incidents/{second.ref}/similar/").json()["results"]
    assert (answer["ref"], answer["rolled_back_to"]) == (first.ref, "1.4.2")


@pytest.mark.django_db
def test_only_those_that_are_over_are_compared_and_drills_with_drills(
    commander: Actor, now: dt.datetime
) -> None:
    declare(commander, now, "Pgbouncer pool exhausted")
    over = past(commander, now, "Pgbouncer pool is exhausted")
    drill = past(commander, now, "Pgbouncer pool exhausting", drill=True)
    new = declare(commander, now, "Exhausted pgbouncer pools")
    practice = declare(commander, now, "Exhausted pgbouncer pools", drill=True)
    keep_documents(now=now)
    (found,) = similar_incidents(commander, new)
    assert (found.ref, found.reasons) == (over.ref, ("words: exhausted pgbouncer pools",))
    assert [one.ref for one in similar_incidents(commander, practice)] == [drill.ref]


@pytest.mark.django_db
def test_restricted_ones_are_shown_to_who_may_see_them_and_never_in_a_panel_that_is_shared(
    client: Client, commander: Actor, viewer: Actor, make_user: Callable[..., Any], now: dt.datetime
) -> None:
    secret = past(commander, now, "Pgbouncer pool exhausted", restricted=True)
    new = declare(commander, now, "Pgbouncer pool exhausted")
    keep_documents(now=now)
    assert similar_incidents(viewer, new) == ()
    assert [one.ref for one in similar_incidents(commander, new)] == [secret.ref]
    assert similar_incidents(commander, new, restricted=False) == ()
    sign_in(client, make_user("root", "administrator"))
    assert secret.ref not in client.get(f"/incidents/{new.ref}/").content.decode()
    assert secret.ref in client.get(f"/api/v1/incidents/{new.ref}/similar/").content.decode()
    add_responder(incident_id=secret.pk, username="vic", actor=commander, now=now)
    assert [one.ref for one in similar_incidents(viewer, new)] == [secret.ref]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "title", ["'", "a' | b:*", "\\", "''''", "the of", "%s %%", HOSTILE, "1e5 'x' <-> !"]
)
def test_hostile_words_are_words(commander: Actor, now: dt.datetime, title: str) -> None:
    past(commander, now, title)
    new = declare(commander, now, title)
    keep_documents(now=now)
    similar_incidents(commander, new)


@pytest.mark.django_db
def test_the_price_does_not_depend_on_how_many_there_are(
    commander: Actor, viewer: Actor, now: dt.datetime
) -> None:
    make_service("pay", now)
    new = declare(commander, now, "Pgbouncer pool exhausted", services=["pay"])

    def price() -> int:
        keep_documents(now=now)
        with CaptureQueriesContext(connection) as captured:
            found = similar_incidents(viewer, new)
        assert found
        assert len(found) <= MOST_SHOWN
        return len(captured)

    past(commander, now, "Pgbouncer pool exhausted", services=["pay"])
    few = price()
    for number in range(12):
        past(commander, now, f"Pgbouncer pool exhausted {number}", services=["pay"])
    assert price() == few == 3


@pytest.mark.django_db
def test_the_command_makes_everything_anew(commander: Actor, now: dt.datetime) -> None:
    for number in range(3):
        past(commander, now, f"Error number{number}")
    rare = past(commander, now, "Error of the pgbouncer pool")
    new = declare(commander, now, "Error: pgbouncer pool")
    call_command("rebuild_search", stdout=io.StringIO())
    found = similar_incidents(commander, new)
    assert found[0].ref == rare.ref
    assert found[0].reasons == ("words: error pgbouncer pool",)
