"""Drills where two meet: people, sweeps, consumers and what is real, made to meet rather than left to luck."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, transaction

from core.actors import Actor
from core.errors import Conflict, Invalid
from core.models import Event, PendingEvent, Stream
from core.outbox import deliver_pending
from core.playbook import get_playbook, use_playbook
from incidents.models import Incident, Service, TrainingRecord
from incidents.services.incidents import (
    acknowledge_incident,
    declare_incident,
    edit_incident,
    reopen_incident,
    resolve_incident,
)
from rollbacks.drill_playbook import DrillCalendar
from rollbacks.models import Drill, RehearsalLapse
from rollbacks.selectors.drills import get_drill_page, why_not_now
from rollbacks.selectors.readiness import list_overdue
from rollbacks.services import drill_planning, drill_running
from rollbacks.services.drill_planning import DrillNotNow, plan_by_calendar, tell_of_lapses
from rollbacks.services.drill_running import finish_drill, start_drill
from rollbacks.services.drill_sweep import look_after_drills
from tests.conftest import make_service
from tests.rollbacks.test_drill_runs import kinds, plan, quiet, started

__all__ = ["quiet"]  # a fixture
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet")]
MakeActor = Callable[..., Actor]


class Together:
    """Threads with connections of their own; what each of them raised is in `errors`."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []

    def begin(self, *works: Callable[[], Any]) -> None:
        for work in works:
            self.threads.append(threading.Thread(target=self._one, args=(work,)))
            self.threads[-1].start()

    def end(self) -> None:
        for thread in self.threads:
            thread.join(timeout=30)
        assert not any(thread.is_alive() for thread in self.threads)

    def _one(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            self.errors.append(error)
        finally:
            connection.close()


@contextlib.contextmanager
def held(drill: Drill, together: Together, *works: Callable[[], Any]) -> Iterator[None]:
    """Nobody gets at the drill until all of `works` wait for it: then they go one after the other."""
    with transaction.atomic():
        Drill.objects.select_for_update().get(pk=drill.pk)
        together.begin(*works)
        deadline = time.monotonic() + 20
        while _waiting() < len(works):
            assert time.monotonic() < deadline, f"{_waiting()} of {len(works)} wait: {together.errors}"
            time.sleep(0.02)
        yield
    together.end()


def _waiting() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        )
        return int(cursor.fetchone()[0])


# --- the beginning ------------------------------------------------------------------------------------


def test_two_people_who_press_start_at_once_begin_one_drill(
    shop: Service, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    drill, together = plan(commander, now), Together()
    ben = make_actor("ben", "commander", "incident_commander")
    begun: list[int | None] = []

    def press(actor: Actor) -> None:
        begun.append(start_drill(drill_id=drill.pk, actor=actor, now=now).incident_id)

    with held(drill, together, lambda: press(commander), lambda: press(ben)):
        pass
    assert together.errors == []
    incident = Incident.objects.get()
    assert begun == [incident.pk] * 2, "who is second is led to the drill of who was first"
    assert kinds(incident).count("drill.started") == 1


def test_of_two_drills_of_a_service_that_begin_at_once_one_runs(
    shop: Service, commander: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, together = [plan(commander, now) for _ in range(2)], Together()
    real, meeting = why_not_now, threading.Barrier(2)

    def look_and_meet(drill: Drill) -> str:
        said = real(drill)
        meeting.wait(20)
        return said

    with monkeypatch.context() as patched:
        patched.setattr(drill_running, "why_not_now", look_and_meet)
        works = [lambda pk=one.pk: start_drill(drill_id=pk, actor=commander, now=now) for one in both]
        together.begin(*works)
        together.end()
    assert [type(error) for error in together.errors] == [DrillNotNow]
    assert sorted(Drill.objects.values_list("state", flat=True)) == ["planned", "running"]
    assert Incident.objects.count() == 1, "the incident of the other is gone with its transaction"


@pytest.mark.parametrize("line", ["declare_incident", "bring_along", "move_drill", "_record"])
def test_a_process_that_dies_while_it_begins_leaves_nothing_of_it(
    shop: Service, commander: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """Its connection is gone, as when it was killed: neither incident nor stream, event or outbox row is there."""
    drill = plan(commander, now)
    before = [Event.objects.count(), PendingEvent.objects.count(), Stream.objects.count()]
    real, together = getattr(drill_running, line), Together()

    def die(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        assert connection.connection is not None
        connection.connection.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(drill_running, line, die)
        together.begin(lambda: start_drill(drill_id=drill.pk, actor=commander, now=now))
        together.end()
    assert len(together.errors) == 1
    drill.refresh_from_db()
    assert (drill.state, drill.incident_id, Incident.objects.count()) == ("planned", None, 0)
    assert [Event.objects.count(), PendingEvent.objects.count(), Stream.objects.count()] == before
    look_after_drills(now=now)
    assert kinds(Incident.objects.get())[-1] == "drill.started"


# --- what is real -------------------------------------------------------------------------------------


def test_a_real_incident_that_comes_while_a_drill_begins_breaks_it_off(
    shop: Service, commander: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is declared and looked after between the drill's question and its commit: neither sees the other."""
    drill, together = plan(commander, now), Together()
    real, asked, go = why_not_now, threading.Event(), threading.Event()

    def look_and_wait(found: Drill) -> str:
        said = real(found)
        asked.set()
        assert go.wait(20)
        return said

    with monkeypatch.context() as patched:
        patched.setattr(drill_running, "why_not_now", look_and_wait)
        together.begin(lambda: start_drill(drill_id=drill.pk, actor=commander, now=now))
        assert asked.wait(20)
        down = declare_incident(actor=commander, now=now, title="Down", severity="P1", services=["shop"])
        deliver_pending(now=now)
        go.set()
        together.end()
    assert together.errors == []
    drill.refresh_from_db()
    assert drill.state == "running", "as it must be here, or they did not meet"
    deliver_pending(now=now)
    drill.refresh_from_db()
    assert (drill.state, drill.outcome) == ("cancelled", f"a real incident, {down.ref}, goes before it")


@pytest.mark.parametrize("way", ["named later", "reopened"])
def test_a_real_incident_that_comes_to_the_service_later_breaks_the_drill_off(
    shop: Service, commander: Actor, now: dt.datetime, way: str
) -> None:
    by: dict[str, Any] = {"actor": commander, "now": now}
    make_service("mail", now)
    services = ["shop", "mail"] if way == "reopened" else ["mail"]
    real = declare_incident(title="Down", severity="P1", services=services, **by)
    if way == "reopened":
        resolve_incident(incident_id=real.pk, resolution="gone", **by)
    drill, _incident = started(commander, now)
    deliver_pending(now=now)
    edit_incident(incident_id=real.pk, impact="Some", **by)
    deliver_pending(now=now)
    drill.refresh_from_db()
    assert drill.state == "running"
    if way == "reopened":
        reopen_incident(incident_id=real.pk, reason="it is back", **by)
    else:
        edit_incident(incident_id=real.pk, services=["mail", "shop"], **by)
    deliver_pending(now=now)
    drill.refresh_from_db()
    assert drill.state == "cancelled"
    assert real.ref in drill.outcome


def test_news_of_a_real_incident_that_is_over_breaks_nothing_off(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    """Its event waited, as behind a failing consumer, until after the drill had begun."""
    real = declare_incident(actor=commander, now=now, title="Down", severity="P1", services=["shop"])
    resolve_incident(incident_id=real.pk, resolution="gone", actor=commander, now=now)
    drill, _incident = started(commander, now)
    assert deliver_pending(now=now) > 0
    drill.refresh_from_db()
    assert drill.state == "running"


@pytest.mark.parametrize("restricted", [False, True])
def test_where_something_real_is_open_no_drill_can_be_planned_for_now_and_its_page_says_why(
    shop: Service, commander: Actor, now: dt.datetime, restricted: bool
) -> None:
    drill = plan(commander, now, starts_at=now + dt.timedelta(days=1))
    assert get_drill_page(commander, drill.pk, now=now).start_url
    real = declare_incident(
        actor=commander, now=now, title="SECRET", severity="P1", services=["shop"], restricted=restricted
    )
    told = real.code_name if restricted else real.ref
    page = get_drill_page(commander, drill.pk, now=now)
    assert (page.start_url, page.cancel_url is not None) == (None, True)
    assert page.why_not == f"{told} is open on Shop: a real incident goes before a drill."
    with pytest.raises(DrillNotNow, match=told):
        plan(commander, now, starts_at=None)
    assert Drill.objects.count() == 1
    plan(commander, now, starts_at=now + dt.timedelta(hours=1))
    resolve_incident(incident_id=real.pk, resolution="gone", actor=commander, now=now)
    assert plan(commander, now, starts_at=None).state == "planned"


# --- the end ------------------------------------------------------------------------------------------


def test_a_drill_that_is_ended_while_its_incident_is_resolved_has_one_end(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    """By hand, by its incident and by the sweep, all at the same moment."""
    drill, incident = started(commander, now)
    acknowledge_incident(incident_id=incident.pk, actor=commander, now=now)
    deliver_pending(now=now)
    resolve_incident(incident_id=incident.pk, resolution="done", actor=commander, now=now)
    together, late = Together(), now + dt.timedelta(hours=3)
    with held(
        drill,
        together,
        lambda: finish_drill(drill_id=drill.pk, actor=commander, now=now),
        lambda: deliver_pending(now=now),
        lambda: look_after_drills(now=late),
    ):
        pass
    assert all(isinstance(error, Conflict) for error in together.errors), "only who asked by hand hears of it"
    assert len(together.errors) <= 1
    deliver_pending(now=now)
    drill.refresh_from_db()
    assert (drill.state, kinds(incident).count("drill.finished")) == ("finished", 1)
    assert {line["action"]: line["result"] for line in (drill.scorecard or {})["lines"]}["resolved"] == "met"
    assert not PendingEvent.objects.filter(attempts__gt=0).exists(), "no consumer failed"


def test_an_incident_that_is_resolved_while_its_drill_is_ended_is_resolved_once(
    shop: Service, commander: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way round: who ends the drill is at its incident when somebody else resolves that."""
    drill, incident = started(commander, now)
    deliver_pending(now=now)
    together, real = Together(), resolve_incident

    def resolve(actor: Actor) -> None:
        resolve_incident(incident_id=incident.pk, resolution="done", actor=actor, now=now)

    def meet(**given: Any) -> Any:
        together.begin(lambda: resolve(commander))
        deadline = time.monotonic() + 20
        while not _waiting() and not together.errors and together.threads[0].is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return real(**given)

    with monkeypatch.context() as patched:
        patched.setattr(drill_running, "resolve_incident", meet)
        finish_drill(drill_id=drill.pk, actor=commander, now=now)
    together.end()
    assert [isinstance(error, Conflict) for error in together.errors] == [True], "it is over already"
    assert kinds(incident).count("incident.resolved") == 1
    deliver_pending(now=now)
    drill.refresh_from_db()
    assert drill.state == "finished"


def test_a_drill_goes_on_whose_incident_was_reopened_before_anybody_looked(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    now -= dt.timedelta(minutes=20)  # events are handled when they are due by the database's clock
    drill, incident = started(commander, now)
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander}
    resolve_incident(resolution="done", now=now, **by)
    reopen_incident(reason="not yet", now=now, **by)
    deliver_pending(now=now)
    drill.refresh_from_db()
    assert (drill.state, drill.scorecard) == ("running", None)
    done = now + dt.timedelta(minutes=9)
    resolve_incident(resolution="done", now=done, **by)
    deliver_pending(now=done)
    drill.refresh_from_db()
    assert (drill.state, drill.ended_at) == ("finished", done)
    (line,) = [one for one in (drill.scorecard or {})["lines"] if one["action"] == "resolved"]
    assert line["took_seconds"] == 540


def test_a_drill_that_was_held_counts_as_training_for_who_took_part(
    shop: Service, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    make_actor("lena")
    make_actor("rob")
    drill, _incident = started(commander, now, participants=["ida", "lena"])
    finish_drill(drill_id=drill.pk, actor=commander, now=now)
    deliver_pending(now=now)
    trained = TrainingRecord.objects.filter(source=str(drill.pk))
    assert set(trained.values_list("user__username", flat=True)) == {"ida", "lena"}


# --- what nobody begins, and what nobody rehearses ------------------------------------------------------


def test_a_drill_whose_time_is_long_over_lapses_instead_of_ringing_at_night(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    """As after Firebreak was down for a while; within the hour it still begins."""
    drill = plan(commander, now, page_people=True)
    look_after_drills(now=now + dt.timedelta(hours=1, seconds=1))
    drill.refresh_from_db()
    assert (drill.state, drill.due_at, Incident.objects.count()) == ("cancelled", None, 0)
    assert drill.outcome == f"it could not begin at its time, {now:%Y-%m-%d %H:%M} UTC"
    (told,) = Event.objects.filter(kind="drill.cancelled")
    assert told.data["to"] == ["account:ida"]
    other = plan(commander, now)
    look_after_drills(now=now + dt.timedelta(hours=1))
    other.refresh_from_db()
    assert other.state == "running"


def test_two_sweeps_of_the_same_moment_tell_once_what_is_overdue(
    shop: Service, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    Service.objects.update(created_at=now - dt.timedelta(days=91))
    real, meeting, together = list_overdue, threading.Barrier(2), Together()

    def list_and_meet(*, now: dt.datetime) -> Any:
        found = real(now=now)
        meeting.wait(20)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(drill_planning, "list_overdue", list_and_meet)
        together.begin(*[lambda: tell_of_lapses(now=now)] * 2)
        together.end()
    assert together.errors == []
    assert (Event.objects.filter(kind="drill.overdue").count(), RehearsalLapse.objects.count()) == (1, 1)


def test_a_drill_that_breaks_the_sweep_keeps_no_other_from_beginning(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    make_service("mail", now)
    broken, fine = plan(commander, now), plan(commander, now + dt.timedelta(seconds=1), service="mail")
    Drill.objects.filter(pk=broken.pk).update(plan={"of": "another version"})
    assert look_after_drills(now=now + dt.timedelta(minutes=1)) >= 1
    fine.refresh_from_db()
    assert fine.state == "running"


# --- the playbook changes meanwhile -----------------------------------------------------------------


@contextlib.contextmanager
def without(*, procedure: str = "", scenario: str = "") -> Iterator[None]:
    """A playbook that has them no more."""
    book = get_playbook()
    left = {
        "procedures": {key: one for key, one in book["procedures"].items() if key != procedure},
        "scenarios": {key: one for key, one in book["scenarios"].items() if key != scenario},
    }
    with use_playbook(replace(book, sections={**book.sections, **left})):
        yield


def test_a_drill_outlives_its_scenario(shop: Service, commander: Actor, now: dt.datetime) -> None:
    """It keeps what was planned, whether it is planned or runs when the playbook loses it."""
    drill = plan(commander, now)
    with without(scenario="bad_release"):
        begun = start_drill(drill_id=drill.pk, actor=commander, now=now)
        look_after_drills(now=now + dt.timedelta(minutes=2))
        page = get_drill_page(commander, drill.pk, now=now + dt.timedelta(minutes=2))
        assert (page.line.name, len(page.injects)) == (drill.plan["title"], 1)
        over = finish_drill(drill_id=begun.pk, actor=commander, now=now + dt.timedelta(minutes=3))
        assert len((over.scorecard or {})["lines"]) == 5
        with pytest.raises(Invalid, match="no scenario bad_release"):
            plan(commander, now)


def test_a_drill_with_nothing_left_to_rehearse_does_not_begin(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    drill = plan(commander, now)
    with without(procedure="storefront_rollback"):
        why = get_drill_page(commander, drill.pk, now=now).why_not
        assert why == (
            "The playbook has no procedure storefront_rollback: there is nothing to rehearse on shop."
        )
        with pytest.raises(Invalid) as refused:
            plan(commander, now)
        assert list(refused.value.fields) == ["service"]
    Service.objects.update(procedure="")
    look_after_drills(now=now)
    drill.refresh_from_db()
    assert (drill.state, Incident.objects.count()) == ("cancelled", 0)
    assert drill.outcome == "shop has no procedure, and the scenario names none."


def test_the_calendar_passes_over_a_service_that_has_nothing_to_rehearse(
    shop: Service, now: dt.datetime
) -> None:
    make_service("attic", now)
    Service.objects.filter(slug="attic").update(procedure="long_gone")
    near = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
    book = get_playbook()
    calendar = DrillCalendar(weekday="tuesday", week=2, at="10:00")
    drills = book["drills"].model_copy(update={"calendar": calendar})
    with use_playbook(replace(book, sections={**book.sections, "drills": drills})):
        assert plan_by_calendar(now=near)
    assert Drill.objects.get().service == shop
