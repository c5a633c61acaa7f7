"""Drills from their plan to their scorecard, and the wall between them and what is real."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from comms.models import Contact, Delivery, Message, PublicIncident
from comms.models.contacts import ContactKind
from comms.selectors.connections import list_ways
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import Event, User
from core.outbox import deliver_pending
from core.playbook import get_playbook, use_playbook
from incidents.metrics import collect as incident_metrics
from incidents.models import Incident, Service
from incidents.services.incidents import acknowledge_incident, declare_incident, resolve_incident
from rollbacks.models import Drill, RehearsalLapse, Rollback
from rollbacks.selectors.drills import get_drill, get_drill_page
from rollbacks.selectors.readiness import readiness_board
from rollbacks.services import drill_running
from rollbacks.services.drill_planning import DrillNotNow, plan_by_calendar, plan_drill
from rollbacks.services.drill_running import (
    cancel_drill,
    finish_drill,
    start_drill,
    write_debrief,
)
from rollbacks.services.drill_sweep import look_after_drills
from rollbacks.services.requests import request_rollback
from tests.conftest import make_service
from tests.rollbacks.workshop import Workshop, ask, run

pytestmark = pytest.mark.django_db(transaction=True)
MakeActor = Callable[..., Actor]
PHONE = "+49300000000"


@pytest.fixture
def quiet() -> Any:
    """Without the calendar, so that a test's own drill is the only one."""
    playbook = get_playbook()
    drills = playbook["drills"].model_copy(update={"calendar": None})
    with use_playbook(replace(playbook, sections={**playbook.sections, "drills": drills})):
        yield


def plan(commander: Actor, now: dt.datetime, **more: Any) -> Drill:
    given: dict[str, Any] = {
        "service": "shop", "scenario": "bad_release", "starts_at": now, "participants": ["ida"],
        "actor": commander, "now": now,
    }  # fmt: skip
    return plan_drill(**given | more)


def started(commander: Actor, now: dt.datetime, **more: Any) -> tuple[Drill, Incident]:
    drill = start_drill(drill_id=plan(commander, now, **more).pk, actor=commander, now=now)
    assert drill.incident is not None
    return drill, drill.incident


def kinds(incident: Incident) -> list[str]:
    return list(Event.objects.filter(stream=incident.stream).order_by("seq").values_list("kind", flat=True))


def result_of(drill: Drill) -> dict[str, str]:
    return {line["action"]: line["result"] for line in drill.scorecard["lines"]} if drill.scorecard else {}


# --- a whole drill ------------------------------------------------------------------------------------


def test_a_whole_drill(workshop: Workshop, shop: Service, commander: Actor, now: dt.datetime) -> None:
    """Planned, reminded, begun and moved on by the sweep, answered by a person, ended with its incident."""
    begins = now - dt.timedelta(hours=1)  # events are handled when they are due by the database's clock
    with workshop.open():
        drill = plan(commander, begins - dt.timedelta(days=2), starts_at=begins)
        look_after_drills(now=begins - dt.timedelta(hours=23))
        assert Event.objects.filter(kind="drill.due").count() == 1
        look_after_drills(now=begins - dt.timedelta(hours=22))
        assert Event.objects.filter(kind="drill.due").count() == 1, "once"
        look_after_drills(now=begins)
        drill.refresh_from_db()
        incident = Incident.objects.get(drill=True)
        assert (drill.state, incident.drill, incident.origin) == ("running", True, None)
        acknowledge_incident(incident_id=incident.pk, actor=commander, now=begins + dt.timedelta(minutes=2))
        look_after_drills(now=begins + dt.timedelta(minutes=5))
        assert kinds(incident).count("drill.inject") == 2
        rollback = run(ask(incident, commander))
        assert (rollback.state, rollback.mutated_at) == ("succeeded", None)
        end = begins + dt.timedelta(minutes=40)
        Rollback.objects.filter(pk=rollback.pk).update(
            approved_at=begins + dt.timedelta(minutes=10), completed_at=begins + dt.timedelta(minutes=35)
        )
        resolve_incident(incident_id=incident.pk, resolution="done", actor=commander, now=end)
        deliver_pending(now=end)
    drill.refresh_from_db()
    assert (drill.state, drill.ended_at, drill.outcome) == ("finished", end, "its incident was resolved")
    assert result_of(drill) == {
        "acknowledged": "met", "assessed": "missed", "decided": "met", "rolled_back": "late", "resolved": "met",
    }  # fmt: skip
    kept = drill.scorecard or {}
    assert (kept["passed"], kept["steps_failed"], kept["injects_sent"]) == (False, 0, 2)
    with pytest.raises(Conflict):
        finish_drill(drill_id=drill.pk, actor=commander, now=end)
    write_debrief(drill_id=drill.pk, notes="We waited too long.", actor=commander, now=end)
    page = get_drill_page(commander, drill.pk, now=end)
    assert (page.notes, page.line.met, page.line.expected) == ("We waited too long.", 3, 5)
    assert [inject.look for inject in page.injects] == ["monitor", "message"]


@pytest.mark.usefixtures("quiet")
def test_a_drill_that_nobody_ends_is_ended_and_scored_as_it_stands(
    shop: Service, commander: Actor, now: dt.datetime
) -> None:
    drill, incident = started(commander, now)
    request_rollback(incident_id=incident.pk, service="shop", reason="bad", actor=commander, now=now)
    later = now + dt.timedelta(hours=3)
    look_after_drills(now=later)
    drill.refresh_from_db()
    incident.refresh_from_db()
    assert (drill.state, drill.ended_at) == ("finished", now + dt.timedelta(hours=2))
    assert (incident.status, Rollback.objects.get().state) == ("resolved", "cancelled")
    assert result_of(drill)["resolved"] == "missed", "the end by itself is no resolution"
    assert (drill.scorecard or {})["injects_sent"] == 4
    assert drill.due_at is None


@pytest.mark.usefixtures("quiet")
def test_the_scorecard_stays_as_it_was(shop: Service, commander: Actor, now: dt.datetime) -> None:
    drill, incident = started(commander, now)
    finish_drill(drill_id=drill.pk, actor=commander, now=now + dt.timedelta(minutes=1), notes="Short.")
    before = get_drill(commander, drill.pk).scorecard
    Incident.objects.filter(pk=incident.pk).update(acknowledged_at=now)
    page = get_drill_page(commander, drill.pk, now=now)
    assert page.scorecard == before
    with pytest.raises(IntegrityError, match="drill"), transaction.atomic():
        Drill.objects.filter(pk=drill.pk).update(state="running")


# --- two at once, and dying ---------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet")
def test_two_schedulers_begin_one_drill(shop: Service, commander: Actor, now: dt.datetime) -> None:
    plan(commander, now)
    errors: list[BaseException] = []

    def sweep() -> None:
        try:
            look_after_drills(now=now + dt.timedelta(minutes=20))
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Incident.objects.count() == 1
    assert Drill.objects.get().state == "running"


def test_two_schedulers_plan_one_drill_of_a_day(
    shop: Service, make_actor: MakeActor, now: dt.datetime
) -> None:
    make_actor("rob", "responder", "technical_lead")
    Service.objects.update(procedure="storefront_rollback")
    near = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
    errors: list[BaseException] = []

    def sweep() -> None:
        try:
            plan_by_calendar(now=near)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    drill = Drill.objects.get()
    assert (drill.slot, drill.scenario) == ("2026-12-08T10:00", "bad_release")
    assert [user.username for user in drill.participants.all()] == ["rob"]
    assert Event.objects.filter(kind="drill.planned").count() == 1
    cancel_drill(drill_id=drill.pk, reason="holidays", actor=SYSTEM, now=near)
    assert not plan_by_calendar(now=near), "what was cancelled is not planned again"
    assert plan_by_calendar(now=dt.datetime(2027, 1, 5, tzinfo=dt.UTC))
    assert Drill.objects.latest("pk").scenario == "database_restore", "the next in turn"


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("line", ["declare_incident", "bring_along", "move_drill", "_record"])
def test_dying_on_any_line_of_the_start_leaves_a_planned_drill(
    shop: Service, commander: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    drill = plan(commander, now)
    real = getattr(drill_running, line)

    def die(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(drill_running, line, die)
        with pytest.raises(KeyboardInterrupt):
            look_after_drills(now=now)
    drill.refresh_from_db()
    assert (drill.state, Incident.objects.count()) == ("planned", 0)
    look_after_drills(now=now)
    again = start_drill(drill_id=drill.pk, actor=commander, now=now)
    assert (again.state, Incident.objects.count()) == ("running", 1)


# --- the wall -----------------------------------------------------------------------------------------


def reachable(user: User | None, name: str, *audiences: str) -> Contact:
    return Contact.objects.create(
        name=name, user=user, kind=ContactKind.TEAM, audiences=list(audiences), phone=PHONE,
        email=f"{name}@example.test", chat=f"@{name}",
    )  # fmt: skip


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("page_people", [False, True])
def test_nobody_but_participants_is_told_and_no_telephone_rings_unless_asked(
    shop: Service,
    commander: Actor,
    make_user: Callable[..., User],
    make_actor: MakeActor,
    now: dt.datetime,
    monkeypatch: pytest.MonkeyPatch,
    page_people: bool,
) -> None:
    every = tuple(replace(way, ready=True) for way in list_ways())
    monkeypatch.setattr("comms.services.messages.list_ways", lambda: every)
    now -= dt.timedelta(minutes=30)
    Service.objects.update(public_name="The shop")
    lena = make_user("lena", "responder")
    reachable(lena, "lena")
    reachable(None, "outsider", "technical_team", "management", "everyone")
    drill, incident = started(commander, now, participants=["lena"], page_people=page_people)
    rob = make_actor("rob")
    rollback = request_rollback(incident_id=incident.pk, service="shop", reason="bad", actor=rob, now=now)
    deliver_pending(now=now)
    look_after_drills(now=now + dt.timedelta(minutes=5))
    deliver_pending(now=now + dt.timedelta(minutes=5))
    finish_drill(drill_id=drill.pk, actor=commander, now=now + dt.timedelta(minutes=6))
    deliver_pending(now=now + dt.timedelta(minutes=6))
    assert rollback.drill
    of_it = Message.objects.filter(incident=incident)
    assert {"drill", "reminder", "incident_resolved"} <= set(of_it.values_list("template", flat=True))
    assert all(message.subject.startswith("DRILL") for message in of_it)
    told = Delivery.objects.filter(message__incident=incident, contact__isnull=False)
    assert set(told.values_list("contact__name", flat=True)) == {"lena"}
    lanes = set(told.values_list("lane", flat=True))
    if page_people:
        assert told.filter(urgent=True, recipient=PHONE).exists()
    else:
        assert lanes == {"email"}
        assert not Delivery.objects.filter(message__incident=incident, urgent=True).exists()
    assert not PublicIncident.objects.exists()
    assert not of_it.filter(visibility="external").exists()


@pytest.mark.usefixtures("quiet")
def test_a_drill_is_in_no_figure(shop: Service, commander: Actor, now: dt.datetime) -> None:
    before = [sample for family in incident_metrics() for sample in family.samples]
    started(commander, now)
    assert [sample for family in incident_metrics() for sample in family.samples] == before


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("restricted", [False, True])
def test_a_real_incident_of_the_service_breaks_the_drill_off(
    shop: Service, commander: Actor, now: dt.datetime, restricted: bool
) -> None:
    drill, rehearsed = started(commander, now)
    request_rollback(incident_id=rehearsed.pk, service="shop", reason="bad", actor=commander, now=now)
    make_service("mail", now)
    declare_incident(actor=commander, now=now, title="Else", severity="P1", services=["mail"])
    deliver_pending(now=now)
    drill.refresh_from_db()
    assert drill.state == "running", "what is real elsewhere does not concern it"
    real = declare_incident(
        actor=commander, now=now, title="SECRET", severity="P1", services=["shop"], restricted=restricted
    )
    deliver_pending(now=now)
    drill.refresh_from_db()
    rehearsed.refresh_from_db()
    assert (drill.state, rehearsed.status, real.status) == ("cancelled", "resolved", "investigating")
    assert Rollback.objects.get().state == "cancelled"
    told = real.code_name if restricted else real.ref
    assert told in drill.outcome
    assert (real.ref in drill.outcome) is not restricted
    with pytest.raises(DrillNotNow):
        start_drill(drill_id=plan(commander, now).pk, actor=commander, now=now)


@pytest.mark.usefixtures("quiet")
def test_a_drill_that_began_beside_a_real_incident_finds_it(
    shop: Service, commander: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if both were begun in transactions that did not see each other."""
    real = declare_incident(actor=commander, now=now, title="Down", severity="P1", services=["shop"])
    deliver_pending(now=now)
    with monkeypatch.context() as blind:
        blind.setattr(drill_running, "why_not_now", lambda _drill: "")
        drill, _incident = started(commander, now)
    deliver_pending(now=now)
    drill.refresh_from_db()
    assert drill.state == "cancelled"
    assert real.ref in drill.outcome


@pytest.mark.usefixtures("quiet")
def test_a_planned_drill_gives_way_to_what_is_real(
    shop: Service, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    drill = plan(commander, now)
    look_after_drills(now=now)
    drill.refresh_from_db()
    assert drill.state == "cancelled"
    assert incident.ref in drill.outcome
    incident.refresh_from_db()
    assert incident.is_open


@pytest.mark.usefixtures("quiet")
def test_a_security_drill_is_seen_by_those_who_take_part(
    shop: Service, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    lena, rob = make_actor("lena"), make_actor("rob")
    drill, incident = started(commander, now, scenario="security_breach", participants=["lena"])
    assert incident.restricted
    assert get_drill(lena, drill.pk) == drill
    with pytest.raises(NotFound):
        get_drill(rob, drill.pk)
    with pytest.raises(NotFound):
        finish_drill(drill_id=drill.pk, actor=rob, now=now)


# --- asking -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"service": "nowhere"}, "service"),
        ({"scenario": "moon_landing"}, "scenario"),
        ({"participants": ["nobody"]}, "participants"),
        ({"starts_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "starts_at"),
        ({"starts_at": dt.datetime(2200, 1, 1, tzinfo=dt.UTC)}, "starts_at"),
    ],
)
def test_what_cannot_be_planned(
    shop: Service, commander: Actor, now: dt.datetime, wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        plan(commander, now, **wrong)
    assert field in refused.value.fields
    assert not Drill.objects.exists()


@pytest.mark.usefixtures("quiet")
def test_who_may(shop: Service, commander: Actor, make_actor: MakeActor, now: dt.datetime) -> None:
    rob = make_actor("rob")
    drill = plan(commander, now)
    with pytest.raises(NotAllowed):
        plan(rob, now)
    with pytest.raises(NotAllowed):
        start_drill(drill_id=drill.pk, actor=rob, now=now)
    with pytest.raises(NotAllowed):
        cancel_drill(drill_id=drill.pk, reason="no", actor=rob, now=now)


# --- readiness ----------------------------------------------------------------------------------------


def rehearsed(incident: Incident, service: Service, at: dt.datetime, state: str, number: int) -> Rollback:
    row: Model = Rollback.objects.create(
        ref=f"RB-2026-01-01-{number:04}", incident=incident, service=service, procedure=service.procedure,
        procedure_digest="x", plan_digest="x", trigger="manual", state=state, from_version="2.0.0",
        target_version="1.9.0", reason="r", expected_duration_seconds=1, drill=True, requested_by="ida",
        requested_at=at, started_at=at, completed_at=at,
    )  # fmt: skip
    assert isinstance(row, Rollback)
    return row


def test_the_board_has_the_worst_first_and_costs_the_same_for_a_thousand(
    commander: Actor, now: dt.datetime, django_assert_num_queries: Any
) -> None:
    services = [make_service(name, now) for name in ("fine", "never", "failed", "old")]
    Service.objects.update(procedure="storefront_rollback")
    Service.objects.filter(slug="never").update(created_at=now - dt.timedelta(days=91))
    incident = declare_incident(actor=commander, now=now, title="Practice", severity="P1", drill=True)
    by_name = {service.slug: Service.objects.get(pk=service.pk) for service in services}
    rehearsed(incident, by_name["fine"], now - dt.timedelta(days=10), "succeeded", 1)
    rehearsed(incident, by_name["failed"], now - dt.timedelta(days=3), "failed", 2)
    rehearsed(incident, by_name["old"], now - dt.timedelta(days=94), "succeeded", 3)
    with django_assert_num_queries(7):
        board = readiness_board(commander, now=now)
    assert [line.slug for line in board.lines] == ["never", "failed", "old", "fine"]
    assert [line.overdue for line in board.lines] == [True, False, True, False]
    assert (board.total, board.overdue) == (4, 2)
    assert [line.target for line in board.lines] == ["1.9.0"] * 4
    assert board.lines[2].text == "Rehearsed 94 days ago"
    assert not any(line.ready for line in board.lines), "no runner is alive"
    look_after_drills(now=now)
    (told,) = Event.objects.filter(kind="drill.overdue")
    assert told.summary.startswith("Rollbacks were not rehearsed for too long: ")
    assert told.data["services"] == 2
    look_after_drills(now=now + dt.timedelta(minutes=1))
    assert Event.objects.filter(kind="drill.overdue").count() == 1, "once a week"
    look_after_drills(now=now + dt.timedelta(days=7))
    assert Event.objects.filter(kind="drill.overdue").count() == 2
    assert RehearsalLapse.objects.count() == 2
    for number in range(60):
        make_service(f"more-{number}", now)
    Service.objects.update(procedure="storefront_rollback")
    with django_assert_num_queries(7):
        assert len(readiness_board(commander, now=now, number=2).lines) == 14
