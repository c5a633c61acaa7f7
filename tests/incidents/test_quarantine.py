"""The ledger's quarantine: who sets and lifts it, and that nothing else does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest

from core.actors import SYSTEM, Actor, ActorKind
from core.assurance import ReauthenticationRequired
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import Event
from incidents.models import Release, Service
from incidents.services.services import lift_quarantine, quarantine_release, record_release, switch_back

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]


def _quarantine(shop: Service, version: str, actor: Actor, now: dt.datetime) -> Release:
    return quarantine_release(service_id=shop.pk, version=version, reason="it leaks", actor=actor, now=now)


def _lift(shop: Service, version: str, actor: Actor, now: dt.datetime) -> Release:
    return lift_quarantine(service_id=shop.pk, version=version, reason="it does not", actor=actor, now=now)


def _state(shop: Service, version: str) -> str:
    return Release.objects.get(service=shop, version=version).state


def test_a_good_release_is_quarantined_and_good_again_afterwards(
    shop: Service, make_actor: MakeActor, commander: Actor, now: dt.datetime
) -> None:
    release = _quarantine(shop, "1.9.0", make_actor("rob"), now)
    assert (release.state, release.quarantined_at, release.quarantine_reason) == (
        "quarantined",
        now,
        "it leaks",
    )
    with pytest.raises(Conflict, match="already"):
        _quarantine(shop, "1.9.0", commander, now)
    lifted = _lift(shop, "1.9.0", commander, now)
    assert (lifted.state, lifted.quarantined_at, lifted.quarantine_reason) == ("good", None, "")
    with pytest.raises(Conflict, match="not quarantined"):
        _lift(shop, "1.9.0", commander, now)
    kinds = Event.objects.filter(stream=shop.stream).order_by("seq").values_list("kind", flat=True)
    assert list(kinds)[-2:] == ["release.quarantined", "release.quarantine_lifted"]


def test_what_is_live_stays_live_and_is_quarantined_once_it_is_replaced(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    assert _quarantine(shop, "2.0.0", commander, now).state == "live"
    record_release(service_id=shop.pk, version="2.1.0", actor=SYSTEM, now=now + dt.timedelta(days=30))
    release = Release.objects.get(service=shop, version="2.0.0")
    assert release.good_at is not None, "it had been clean for a month, and that lifts nothing"
    assert release.state == "quarantined"


def test_deploying_it_anew_neither_lifts_the_quarantine_nor_makes_it_good(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    _quarantine(shop, "1.9.0", commander, now)
    again = record_release(service_id=shop.pk, version="1.9.0", actor=SYSTEM, now=now)
    assert (again.state, again.quarantine_reason, again.good_at) == ("live", "it leaks", None)


def test_a_version_left_by_a_rollback_has_to_become_good_anew(shop: Service, now: dt.datetime) -> None:
    Release.objects.filter(version="2.0.0").update(good_at=now)
    switch_back(
        service_id=shop.pk,
        from_version="2.0.0",
        to_version="1.9.0",
        rollback_ref="RB-1",
        actor=SYSTEM,
        now=now,
    )
    assert _state(shop, "2.0.0") == "rolled_back"
    record_release(service_id=shop.pk, version="2.0.0", actor=SYSTEM, now=now)
    record_release(service_id=shop.pk, version="2.1.0", actor=SYSTEM, now=now + dt.timedelta(seconds=5))
    assert _state(shop, "2.0.0") == "superseded"


def test_a_left_version_stays_left_when_its_quarantine_is_lifted(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    Release.objects.filter(version="1.9.0").update(state="rolled_back")
    assert _quarantine(shop, "1.9.0", commander, now).state == "rolled_back"
    assert _lift(shop, "1.9.0", commander, now).state == "rolled_back"


def test_whoever_responds_may_quarantine_and_a_commander_in_person_lifts(
    shop: Service, make_actor: MakeActor, commander: Actor, now: dt.datetime
) -> None:
    with pytest.raises(NotAllowed):
        _quarantine(shop, "1.9.0", make_actor("vera", "viewer"), now)
    token = Actor(ActorKind.TOKEN, "ci", commander.level, user_id=commander.user_id, token_id="x")
    _quarantine(shop, "1.9.0", token, now)
    with pytest.raises(NotAllowed, match="Only a person"):
        _lift(shop, "1.9.0", token, now)
    with pytest.raises(NotAllowed, match="commander"):
        _lift(shop, "1.9.0", make_actor("rob"), now)
    with pytest.raises(ReauthenticationRequired):
        _lift(shop, "1.9.0", replace(commander, authenticated_at=None), now)
    assert _state(shop, "1.9.0") == "quarantined"


def test_a_reason_and_a_known_version_are_needed(shop: Service, commander: Actor, now: dt.datetime) -> None:
    with pytest.raises(NotFound, match=r"9\.9\.9"):
        _quarantine(shop, "9.9.9", commander, now)
    with pytest.raises(Invalid):
        quarantine_release(service_id=shop.pk, version="1.9.0", reason=" ", actor=commander, now=now)
    _quarantine(shop, "1.9.0", commander, now)
    with pytest.raises(Invalid):
        lift_quarantine(service_id=shop.pk, version="1.9.0", reason=" ", actor=commander, now=now)
