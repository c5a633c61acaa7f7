"""Why automation rolled back or not: stored once with what was known, for pages and programs."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from core.actors import SYSTEM, Actor
from core.models import Event
from core.outbox import deliver_pending
from incidents.facts import Reading
from incidents.models import Incident, Monitor, Release, Service
from incidents.selectors import outages, quiet
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.services import record_release
from incidents.states import SampleOutcome
from rollbacks import consumers, policy
from rollbacks.facts import Breach
from rollbacks.models import Decision, Rollback
from rollbacks.rules.admission import refusals
from rollbacks.selectors import decisions as facts
from rollbacks.selectors.trust import false_positives_of
from rollbacks.services.automation import disarm_automation
from rollbacks.services.decisions import consider_automatic_rollback
from rollbacks.services.judging import judge_rollback
from tests.conftest import make_service

DAY = dt.timedelta(days=1)
SOURCE = {"type": "http_json", "url": "http://127.0.0.1:9/m.json", "path": "x"}
MakeActor = Callable[..., Actor]


@pytest.fixture
def monitor(shop: Service, now: dt.datetime) -> Monitor:
    return create_monitor(actor=SYSTEM, now=now, service="shop", metric="error_rate", source=SOURCE)


def breach(**more: Any) -> Breach:
    said: dict[str, Any] = {
        "metric": "error_rate",
        "level": "critical",
        "effect": "automatic",
        "policy": "rollback_triggers",
        "cause": "Shop: error rate is critical: 40 %, threshold 5 %",
    }
    return Breach(**{**said, **more})


def consider(incident: Incident, now: dt.datetime, service: str = "shop", **more: Any) -> Decision:
    decision = consider_automatic_rollback(
        incident_ref=incident.ref, service=service, breach=breach(**more), now=now
    )
    assert decision is not None
    return decision


def codes(decision: Decision) -> list[str]:
    return [reason["code"] for reason in decision.reasons]


def age_the_release(now: dt.datetime, days: int) -> None:
    Release.objects.filter(service__slug="shop", version="2.0.0").update(deployed_at=now - days * DAY)


# --- what is stored --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_start_is_stored_with_what_was_known(
    incident: Incident, monitor: Monitor, now: dt.datetime
) -> None:
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.4), now=now)
    decision = consider(incident, now, monitor=monitor.pk, at=now)
    rollback = Rollback.objects.get()
    assert (decision.verdict, decision.rollback, decision.incident) == ("started", rollback, incident)
    assert (rollback.state, rollback.trigger, rollback.monitor) == ("approved", "automated", monitor.pk)
    assert codes(decision) == ["threshold_exceeded"]
    known = decision.evidence
    assert (known["value"], known["level"], known["effect"]) == (0.4, "critical", "automatic")
    assert (known["live_version"], known["target_version"]) == ("2.0.0", "1.9.0")
    assert known["live_age_seconds"] == 3600
    assert (known["started_in_24_hours"], known["started_in_24_hours_allowed"]) == (0, 2)
    assert (known["running"], known["running_allowed"]) == (0, 1)
    assert (known["armed"], known["freeze"], known["maintenance"]) == (True, None, None)


@pytest.mark.django_db
def test_a_level_that_needs_approval_asks_for_it(incident: Incident, now: dt.datetime) -> None:
    age_the_release(now, 9)
    decision = consider(incident, now, level="high", effect="with_approval")
    rollback = Rollback.objects.get()
    assert (decision.verdict, rollback.state) == ("awaits_approval", "awaiting_approval")
    assert codes(decision) == ["threshold_exceeded", "person_decides"]


@pytest.mark.django_db
def test_a_refusal_says_why_in_plain_words(incident: Incident, now: dt.datetime) -> None:
    age_the_release(now, 9)
    decision = consider(incident, now)
    assert (decision.verdict, decision.rollback) == ("refused", None)
    assert decision.reasons == [{"code": "old_release", "text": "the live release is 9 days old"}]
    event = Event.objects.get(kind="rollback.refused")
    assert event.summary == "Not rolled back: the live release is 9 days old (Shop)"
    assert event.data["codes"] == ["old_release"]
    assert not Rollback.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("level", "text"),
    [
        ("warning", "the playbook asks for none when error rate is warning"),
        ("unknown", "Shop: error rate is critical: 40 %, threshold 5 %"),
    ],
)
def test_a_level_that_asks_for_none_is_no_refusal(
    incident: Incident, now: dt.datetime, level: str, text: str
) -> None:
    decision = consider(incident, now, level=level, effect="none")
    assert (decision.verdict, decision.reasons[0]["text"]) == ("not_called_for", text)
    assert not Event.objects.filter(kind="rollback.refused").exists()


@pytest.mark.django_db
def test_an_incident_that_is_over_starts_nothing(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    resolve_incident(incident_id=incident.pk, resolution="fixed", actor=commander, now=now)
    decision = consider(incident, now)
    assert (decision.verdict, codes(decision)) == ("refused", ["incident_over"])


@pytest.mark.django_db
def test_an_event_that_comes_twice_is_decided_once(monitor: Monitor, now: dt.datetime) -> None:
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.4), now=now)
    deliver_pending(now=now)
    event = Event.objects.get(kind="incident.breached")
    decision = Decision.objects.get()
    assert decision.cause_event == event
    for _time in range(2):
        consumers.consider_rollback(event, now)
    assert (Decision.objects.count(), Rollback.objects.count()) == (1, 1)
    assert not Event.objects.filter(kind="rollback.refused").exists(), "nor is the second one refused"


@pytest.mark.django_db
def test_the_release_that_did_it_is_decided_about_when_it_is_recorded(
    shop: Service, monitor: Monitor, now: dt.datetime
) -> None:
    age_the_release(now, 9)
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.4), now=now)
    deliver_pending(now=now)
    assert [codes(decision) for decision in Decision.objects.all()] == [["old_release"]]
    at = now - dt.timedelta(minutes=1)
    record_release(service_id=shop.pk, version="2.1.0", actor=SYSTEM, now=now, deployed_at=at)
    deliver_pending(now=now)
    decision = Decision.objects.first()
    assert decision is not None
    assert (decision.verdict, decision.cause_event.kind) == ("started", "release.recorded")  # type: ignore[union-attr]
    assert decision.evidence["live_version"] == "2.1.0"


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["update", "delete"])
def test_nobody_changes_or_deletes_a_decision(
    incident: Incident, now: dt.datetime, verb: str, as_owner: Any
) -> None:
    consider(incident, now)
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        if verb == "update":
            Decision.objects.update(verdict="refused")
        else:
            Decision.objects.all()._raw_delete("default")


@pytest.mark.django_db(transaction=True)
def test_not_even_the_owner_changes_one(incident: Incident, now: dt.datetime, as_owner: Any) -> None:
    consider(incident, now)

    def change() -> None:
        with pytest.raises(DatabaseError, match="append-only"):
            Decision.objects.update(verdict="refused")

    as_owner(change)


# --- what is asked of the neighbours ---------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("module", "function", "code"),
    [("outages", "freeze_reason", "monitoring_outage"), ("quiet", "maintenance_of", "maintenance")],
)
def test_an_outage_of_the_monitoring_and_maintenance_hold_it_back(
    incident: Incident,
    now: dt.datetime,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    function: str,
    code: str,
) -> None:
    """Both are answered by their neighbours' modules; here by a sentence in their place."""
    assert hasattr({"outages": outages, "quiet": quiet}[module], function)
    monkeypatch.setattr(facts, function, lambda *_, **__: "a sentence of theirs")
    decision = consider(incident, now)
    assert decision.reasons == [{"code": code, "text": "a sentence of theirs"}]


@pytest.mark.django_db
def test_a_service_cools_down_after_a_rollback_and_has_two_a_day(
    shop: Service, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    """Four bad releases in a row: the first and the third are left, then people decide."""
    verdicts = []
    for number, minutes in enumerate((0, 10, 45, 90)):
        at = now + dt.timedelta(minutes=minutes)
        version = f"3.{number}.0"
        record_release(service_id=shop.pk, version=version, actor=SYSTEM, now=at)
        decision = consider(incident, at)
        verdicts.append((decision.verdict, codes(decision)))
        if decision.rollback is not None:
            Rollback.objects.filter(pk=decision.rollback.pk).update(
                state="succeeded", started_at=at, completed_at=at + dt.timedelta(minutes=1)
            )
    started = ("started", ["threshold_exceeded"])
    assert verdicts == [started, ("refused", ["cooling_down"]), started, ("refused", ["daily_budget"])]


# --- the brake -------------------------------------------------------------------------------------


@pytest.fixture
def twelve(db: None, commander: Actor, now: dt.datetime) -> list[Incident]:
    """Twelve services, each with its incident."""
    found = []
    for number in range(12):
        slug = make_service(f"s{number}", now).slug
        found.append(declare_incident(actor=commander, now=now, title=slug, severity="P0", services=[slug]))
    return found


@pytest.mark.django_db(transaction=True)
def test_services_decided_about_at_the_same_moment_keep_within_the_brake(
    twelve: list[Incident], now: dt.datetime
) -> None:
    """A tenth of twelve services is one: of twelve at once one starts, and eleven say why not."""
    start = threading.Barrier(12)
    failed: list[str] = []

    def decide(incident: Incident) -> None:
        start.wait()
        try:
            consider(incident, now, incident.title)
        except Exception as error:
            failed.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=(incident,)) for incident in twelve]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    verdicts = [decision.verdict for decision in Decision.objects.all()]
    assert sorted(verdicts) == ["refused"] * 11 + ["started"]
    assert {code for decision in Decision.objects.filter(verdict="refused") for code in codes(decision)} == {
        "too_many_at_once"
    }


@pytest.mark.django_db
def test_no_more_than_five_start_in_ten_minutes(twelve: list[Incident], now: dt.datetime) -> None:
    for number, incident in enumerate(twelve[:7]):
        at = now + dt.timedelta(minutes=number)
        consider(incident, at, incident.title)
        Rollback.objects.filter(incident=incident).update(state="succeeded", completed_at=at)
    found = list(Decision.objects.order_by("pk"))
    assert [decision.verdict for decision in found] == ["started"] * 5 + ["refused"] * 2
    assert codes(found[-1]) == ["too_many_starts"]
    later = now + dt.timedelta(minutes=10, seconds=1)
    assert consider(twelve[7], later, twelve[7].title).verdict == "started"


@pytest.mark.django_db(transaction=True)
def test_once_automation_is_disarmed_nothing_starts_any_more(
    incident: Incident, commander: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what was found admissible a moment before: it is asked again under the switch's lock."""
    ask, disarmed = facts.situation_of, threading.Event()

    def disarm_in_between(*args: Any, **more: Any) -> Any:
        found = ask(*args, **more)
        thread = threading.Thread(target=disarm)
        thread.start()
        thread.join()
        return found

    def disarm() -> None:
        disarm_automation(reason="stop it", actor=commander, now=now)
        disarmed.set()
        connection.close()

    monkeypatch.setattr("rollbacks.services.decisions.situation_of", disarm_in_between)
    decision = consider(incident, now)
    assert disarmed.is_set()
    assert (decision.verdict, codes(decision)) == ("refused", ["disarmed"])


# --- the right to start rollbacks ------------------------------------------------------------------


@pytest.fixture
def judged(
    incident: Incident, monitor: Monitor, commander: Actor, now: dt.datetime
) -> Callable[..., Rollback]:
    """`judged(True)`: one more rollback that the monitor started, and what a person said of it."""

    def make(false_positive: bool, age: dt.timedelta = dt.timedelta(), **columns: Any) -> Rollback:
        rollback = Rollback.objects.create(
            **{
                "ref": f"RB-{Rollback.objects.count()}",
                "incident": incident,
                "service": incident.services.get(),
                "procedure": "storefront_rollback",
                "trigger": "automated",
                "monitor": monitor.pk,
                "state": "succeeded",
                "from_version": "1.7.0",
                "target_version": "1.6.0",
                "reason": "errors",
                "expected_duration_seconds": 1,
                "requested_by": "automation",
                "requested_at": now - age,
                "completed_at": now - age,
                **columns,
            }
        )
        return say(rollback, false_positive)

    def say(rollback: Rollback, false_positive: bool) -> Rollback:
        return judge_rollback(
            rollback_id=rollback.pk, false_positive=false_positive, reason="so", actor=commander, now=now
        )

    make.say = say  # type: ignore[attr-defined]
    return make


@pytest.mark.django_db
def test_a_monitor_that_is_wrong_too_often_starts_no_more_until_that_is_taken_back(
    judged: Any, incident: Incident, monitor: Monitor, shop: Service, now: dt.datetime
) -> None:
    judged(True)
    assert consider_freely(incident, monitor, now) == []
    second = judged(True)
    (lost,) = Event.objects.filter(kind="rollback.monitor_distrusted")
    assert "the monitor of error rate of Shop may start no more rollbacks" in lost.summary
    assert consider_freely(incident, monitor, now) == ["monitor_distrusted"]
    assert consider_freely(incident, None, now) == [], "another one still may"
    judged(True)
    assert Event.objects.filter(kind="rollback.monitor_distrusted").count() == 1, "said once"
    judged.say(second, False)
    assert not Event.objects.filter(kind="rollback.monitor_trusted").exists()
    judged.say(Rollback.objects.get(ref="RB-0"), False)
    assert consider_freely(incident, monitor, now) == []
    assert Event.objects.filter(kind="rollback.monitor_trusted").count() == 1


def consider_freely(incident: Incident, monitor: Monitor | None, now: dt.datetime) -> list[str]:
    """What stands against a rollback by this monitor, the cool-down apart."""
    situation = facts.situation_of(
        incident.services.get(), metric="error_rate", now=now, monitor=monitor.pk if monitor else None
    )
    found = refusals(replace(situation, last_ended_at=None), policy.limits(), now=now)
    return [reason.code for reason in found]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "columns", [{"age": 31 * DAY}, {"trigger": "manual"}, {"monitor": None}, {"drill": True}]
)
def test_what_does_not_count_against_a_monitor(
    judged: Any, incident: Incident, monitor: Monitor, now: dt.datetime, columns: dict[str, Any]
) -> None:
    for _time in range(3):
        judged(True, **columns)
    assert consider_freely(incident, monitor, now) == []


@pytest.mark.django_db(transaction=True)
def test_judgements_of_a_service_come_one_after_the_other(
    judged: Any, shop: Service, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two at once, of two incidents, would not see each other, and nobody be told of the second."""
    rollback, count, held = judged(False), false_positives_of, []

    def counting(service_id: int, *, now: dt.datetime) -> dict[int, int]:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return count(service_id, now=now)

    def look() -> None:
        try:
            with transaction.atomic():
                Service.objects.select_for_update(no_key=True, nowait=True).get(pk=shop.pk)
            held.append(False)
        except DatabaseError:
            held.append(True)
        finally:
            connection.close()

    monkeypatch.setattr("rollbacks.services.judging.false_positives_of", counting)
    judged.say(rollback, True)
    assert held == [True, True]
