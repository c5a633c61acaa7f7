"""Nobody answers, and the ladder is climbed: over a day and more, every page as expected and no other."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction

from comms.deliveries import send_due_deliveries
from comms.models import Contact, Delivery, EscalationClock, Message
from comms.selectors.escalation import ladder_of, next_page
from comms.services.escalation import climb_ladders
from comms.states import ClockKind
from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.models import Event
from core.outbox import deliver_pending
from incidents.models import Incident
from incidents.services.escalation import escalate_incident
from incidents.services.incidents import (
    acknowledge_incident,
    change_severity,
    close_incident,
    declare_incident,
    post_update,
    reopen_incident,
    resolve_incident,
)
from incidents.services.notes import add_note
from incidents.services.people import assign_role
from tests.comms.day import EVERYONE, LEADS, Day, due_again, make_cast
from tests.processes import database_environment
from tests.reporting import publish_report_of

pytestmark = pytest.mark.django_db(transaction=True)
Told = tuple[float, str, frozenset[str]]
LADDER = ("response_overdue", "escalation", "update_overdue")
EM, CTO, CEO = {"emil"}, {"cora"}, {"cyrus"}


@pytest.fixture
def ida(make_actor: Callable[..., Actor]) -> Actor:
    return make_actor("ida", "commander", "incident_commander")


@pytest.fixture
def day(ida: Actor) -> Day:
    make_cast()
    return Day()


def declare(day: Day, severity: str = "P0", **more: Any) -> Incident:
    return declare_incident(actor=SYSTEM, now=day.now, title="Down", severity=severity, **more)


def pages(rungs: list[set[str]], *, first: float, every: float, rounds: int) -> list[Told]:
    steps = [rungs[step % len(rungs)] for step in range(len(rungs) * rounds)]
    return [(first + every * n, "response_overdue", frozenset(who)) for n, who in enumerate(steps)]


def reminders(at: float, later: float) -> list[Told]:
    return [
        (at, "update_overdue", frozenset({"cleo"})),
        (at + later, "update_overdue", frozenset({"ida"})),
    ]


AS_P0 = [LEADS, EVERYONE, EM, CTO, CEO]
TO_P1 = {"tech", "boss"}
# Source: the policy's response times and audiences; the shipped escalation.yaml.
NOBODY_ANSWERS: dict[str, tuple[dict[str, Any], set[str], list[Told]]] = {
    "P0": ({"severity": "P0"}, EVERYONE, pages(AS_P0, first=15, every=5, rounds=10) + reminders(30, 10)),
    "P1": (
        {"severity": "P1"},
        TO_P1,
        pages([LEADS, TO_P1, EM, CTO, CEO], first=60, every=15, rounds=5) + reminders(60, 20),
    ),
    "P2": (
        {"severity": "P2"},
        {"tech"},
        pages([LEADS, {"tech"}, EM], first=240, every=60, rounds=3) + reminders(240, 60),
    ),
    "P3": (
        {"severity": "P3"},
        {"dev"},
        pages([LEADS, {"dev"}], first=1440, every=240, rounds=2) + reminders(1440, 240),
    ),
    "security 1": (
        {"severity": "P3", "kind": "security", "security_level": 1},
        {"dev", "sec"},
        pages([LEADS, {"dev", "sec"}, EM, CTO, CEO], first=15, every=5, rounds=10) + reminders(1440, 10),
    ),
    "security 2": (
        {"severity": "P3", "kind": "security", "security_level": 2},
        {"dev", "sec"},
        pages([LEADS, {"dev", "sec"}, EM, CTO, CEO], first=60, every=15, rounds=5) + reminders(1440, 20),
    ),
    "security 3": (
        {"severity": "P3", "kind": "security", "security_level": 3},
        {"dev", "sec"},
        pages([LEADS, {"dev", "sec"}, EM], first=240, every=60, rounds=3) + reminders(1440, 60),
    ),
    "security 3 of a P0": (
        {"severity": "P0", "kind": "security", "security_level": 3},
        EVERYONE,
        pages(AS_P0, first=15, every=5, rounds=10) + reminders(30, 10),
    ),
}


LONG = ("P0", "P1", "security 1", "security 3 of a P0")  # fifty pages each: `make faults`


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.faults] * (case in LONG)) for case in NOBODY_ANSWERS]
)
def test_nobody_answers_for_forty_hours(day: Day, case: str) -> None:
    what, declared_to, expected = NOBODY_ANSWERS[case]
    incident = declare(day, **what)
    day.run(until=40 * 60)
    first, *later = day.told()
    assert [first] == [(0, "incident_alert", frozenset(declared_to))]
    assert sorted(later, key=repr) == sorted(expected, key=repr)
    kinds = Counter(day.events(incident))
    if incident.severity in ("P0", "P1"):
        assert kinds.pop("checklist.ticked") == 1  # that the team was told
    assert kinds == {
        "incident.declared": 1,
        "incident.response_breached": 1,
        "incident.paged": len(expected) - 2,
        "incident.update_overdue": 2,
    }
    after = next_page(incident, now=day.now)
    assert after is not None
    assert after.at is None, "the page says that nobody is paged any more"
    assert climb_ladders(now=day.now) == 0


def test_acknowledging_ends_it_and_silence_begins_it_again(day: Day, ida: Actor) -> None:
    incident = declare(day)
    day.run(until=22)
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida}
    acknowledge_incident(**act, now=day.now)  # she is commander from now on
    day.run(until=50)
    post_update(**act, message="We look into it", now=day.now)
    day.run(until=83)
    add_note(**act, summary="Found it", now=day.now)
    day.run(until=112)
    resolve_incident(**act, resolution="fixed", now=day.now)
    day.run(until=600)
    assert day.told(*LADDER) == [
        (15, "response_overdue", frozenset(LEADS)),
        (20, "response_overdue", frozenset(EVERYONE)),
        (30, "update_overdue", frozenset({"cleo"})),
        (40, "update_overdue", frozenset({"ida"})),
        (80, "escalation", frozenset({"ida"})),  # silent since the update at 50: who holds a role
        (80, "update_overdue", frozenset({"cleo"})),
        (90, "update_overdue", frozenset({"ida"})),
    ]
    assert not EscalationClock.objects.exists()


@pytest.mark.faults
def test_silence_climbs_the_whole_ladder(day: Day, ida: Actor) -> None:
    incident = declare(day)
    acknowledge_incident(incident_id=incident.pk, actor=ida, now=day.at(0))
    day.run(until=24 * 60)
    told = [row for row in day.told() if row[1] == "escalation"]
    rungs = [{"ida"}, EVERYONE, EM, CTO, CEO]
    assert told == [(30 + 5 * n, "escalation", frozenset(rungs[n % 5])) for n in range(50)]


def test_a_message_that_says_that_nobody_answers_does_not_leave_when_somebody_has(
    day: Day, ida: Actor, settings: Any, tmp_path: Any
) -> None:
    settings.EMAIL_FILE_PATH, settings.VAR_DIR = str(tmp_path), tmp_path
    incident = declare(day)
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida}
    acknowledge_incident(**act, now=day.now)
    day.run(until=31)  # silent for half an hour, and the update is missing
    post_update(**act, message="Here I am", now=day.now)
    deliver_pending(now=day.now)
    due_again()
    send_due_deliveries(now=utcnow())
    states = {(m.template, m.state) for m in Message.objects.exclude(template="incident_alert")}
    assert {("escalation", "superseded"), ("update_overdue", "superseded")} <= states


# --- what moves the clocks ----------------------------------------------------------------------


def test_raised_it_is_paged_as_what_it_is_now(day: Day, ida: Actor) -> None:
    incident = declare(day, "P2")
    day.run(until=241)  # its first rung was paged at 240
    change_severity(incident_id=incident.pk, severity="P0", reason="worse", actor=ida, now=day.now)
    day.run(until=251)
    assert day.told("response_overdue") == [
        (240, "response_overdue", frozenset(LEADS)),
        (245, "response_overdue", frozenset(LEADS)),  # not within a pause of the last page
        (250, "response_overdue", frozenset(EVERYONE)),
    ]


def test_lowered_it_has_the_time_of_what_it_is_now(day: Day, ida: Actor) -> None:
    incident = declare(day, "P0")
    day.run(until=17)
    change_severity(incident_id=incident.pk, severity="P2", reason="not so bad", actor=ida, now=day.now)
    day.run(until=320)
    assert day.told("response_overdue") == [
        (15, "response_overdue", frozenset(LEADS)),
        (257, "response_overdue", frozenset(LEADS)),
        (317, "response_overdue", frozenset({"tech"})),
    ]


def test_raised_before_it_is_due_it_is_due_earlier(day: Day, ida: Actor) -> None:
    incident = declare(day, "P3")
    day.run(until=10)
    change_severity(incident_id=incident.pk, severity="P0", reason="worse", actor=ida, now=day.now)
    day.run(until=26)
    assert day.told("response_overdue") == [(25, "response_overdue", frozenset(LEADS))]


def test_by_hand_the_ladder_goes_on_above(day: Day, ida: Actor) -> None:
    incident = declare(day)
    day.run(until=24)  # leads at 15, everyone at 20, the manager would be next
    Contact.objects.filter(name="emil").update(audiences=["management"])
    escalate_incident(incident_id=incident.pk, reason="nobody here", to="management", actor=ida, now=day.now)
    day.run(until=35)
    assert day.told("response_overdue", "escalation")[2:] == [
        (24, "escalation", frozenset({"boss", "emil"})),
        (29, "response_overdue", frozenset(CTO)),
        (34, "response_overdue", frozenset(CEO)),
    ]


def test_long_before_it_is_due_an_escalation_by_hand_changes_nothing(day: Day, ida: Actor) -> None:
    incident = declare(day)
    day.run(until=3)
    escalate_incident(incident_id=incident.pk, reason="more eyes", to="everyone", actor=ida, now=day.now)
    day.run(until=15)
    assert day.told("response_overdue") == [(15, "response_overdue", frozenset(LEADS))]


def test_just_before_it_is_due_those_who_were_told_are_not_paged_again(day: Day, ida: Actor) -> None:
    incident = declare(day)
    day.run(until=13)
    escalate_incident(incident_id=incident.pk, reason="more eyes", to="everyone", actor=ida, now=day.now)
    day.run(until=19)
    assert day.told("response_overdue") == [(18, "response_overdue", frozenset(LEADS))], "the next round"


def test_reopened_nobody_is_paged_at_once(day: Day, ida: Actor) -> None:
    incident = declare(day)
    day.run(until=10)
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida}
    resolve_incident(**act, resolution="gone", now=day.now)
    day.run(until=100)
    assert day.told(*LADDER) == []
    reopen_incident(**act, reason="back", now=day.now)
    day.run(until=110)
    assert day.told("response_overdue") == [
        (105, "response_overdue", frozenset(LEADS)),
        (110, "response_overdue", frozenset(EVERYONE)),
    ]
    resolve_incident(**act, resolution="gone", now=day.now)
    publish_report_of(Incident.objects.get(pk=act["incident_id"]), now=day.now)
    close_incident(**act, now=day.now)
    day.run(until=1000)
    assert len(day.told("response_overdue")) == 2


def test_after_an_outage_of_firebreak_itself_the_rungs_do_not_come_all_at_once(day: Day) -> None:
    declare(day)
    deliver_pending(now=day.now)
    day.now = day.at(120)  # nobody looked for two hours
    day.run(until=125)
    assert day.told("response_overdue") == [
        (120, "response_overdue", frozenset(LEADS)),
        (125, "response_overdue", frozenset(EVERYONE)),
    ]


def test_an_incident_that_no_event_reached_has_its_clocks_all_the_same(day: Day) -> None:
    incident = declare(day)
    day.now = day.at(60)
    climb_ladders(now=day.now)  # as after an upgrade: nothing was consumed
    assert EscalationClock.objects.filter(incident=incident).count() == 2
    assert climb_ladders(now=day.at(64)) == 0, "not at once"
    assert climb_ladders(now=day.at(65)) == 1


# --- who is reached -----------------------------------------------------------------------------


def test_a_drill_pages_its_participants_alone_and_says_drill(day: Day, ida: Actor) -> None:
    incident = declare(day, drill=True)
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida, "now": day.now}
    assign_role(**act, role="incident_commander", username="ida")
    day.run(until=26)
    assert day.told("response_overdue") == [
        (minute, "response_overdue", frozenset({"ida"})) for minute in (15, 20, 25)
    ]
    assert all(m.subject.startswith("DRILL") for m in Message.objects.filter(template="response_overdue"))


def test_a_rung_with_nobody_on_it_is_left_out(day: Day) -> None:
    Contact.objects.filter(name__in=("emil", "cora")).update(active=False)
    declare(day)
    day.run(until=25)
    assert day.told("response_overdue")[2:] == [(25, "response_overdue", frozenset(CEO))]


def test_with_nobody_at_all_it_shows_that_nobody_was_reached(day: Day) -> None:
    Contact.objects.update(active=False)
    incident = declare(day)
    day.run(until=15)
    assert "incident.paged" in day.events(incident)
    assert Message.objects.get(template="response_overdue").deliveries.filter(contact=None).exists()


def test_who_holds_the_role_is_reminded_before_who_is_its_contact(
    day: Day, ida: Actor, make_actor: Callable[..., Actor]
) -> None:
    nils = make_actor("nils", "responder", "communications_lead")
    Contact.objects.create(name="nils", email="nils@example.test", user_id=nils.user_id)
    incident = declare(day)
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida, "now": day.now}
    assign_role(**act, role="communications_lead", username="nils")
    day.run(until=30)
    assert day.told("update_overdue") == [(30, "update_overdue", frozenset({"nils"}))]


def test_silent_again_after_the_whole_ladder(day: Day, ida: Actor) -> None:
    incident = declare(day, "P2")
    acknowledge_incident(incident_id=incident.pk, actor=ida, now=day.at(0))
    day.run(until=20 * 60)
    pages = len(day.told("escalation"))
    add_note(incident_id=incident.pk, summary="Still there", actor=ida, now=day.at(20 * 60))
    day.run(until=28 * 60)
    assert day.told("escalation")[pages:] == [(28 * 60, "escalation", frozenset({"ida"}))]


@pytest.mark.parametrize(
    ("what", "held"),
    [
        ({"severity": "P0"}, False),
        ({"severity": "P1"}, False),
        ({"severity": "P3", "kind": "security", "security_level": 1}, False),
        ({"severity": "P2"}, True),
        ({"severity": "P3"}, True),
    ],
)
def test_quiet_hours_hold_back_no_page_that_cannot_wait(day: Day, what: dict[str, Any], held: bool) -> None:
    declare(day, **what)
    due = Incident.objects.get().response_due_at
    # Ida sleeps when her page is due, and for an hour.
    around = ((due - dt.timedelta(hours=1)).time(), (due + dt.timedelta(hours=1)).time())
    Contact.objects.filter(name="ida").update(quiet_from=around[0], quiet_until=around[1])
    day.run(until=(due - day.start).total_seconds() / 60)
    page = Delivery.objects.get(message__template="response_overdue", contact__name="ida")
    assert page.urgent
    assert page.due_at == (due + dt.timedelta(hours=1) if held else due)


def test_the_page_says_who_is_next(day: Day, ida: Actor) -> None:
    incident = declare(day)
    day.run(until=16)
    shown = next_page(incident, now=day.now)
    assert shown is not None
    assert (shown.at, shown.who, shown.unless) == (day.at(20), "everyone", "somebody acknowledges")
    day.run(until=26)
    shown = next_page(incident, now=day.now)
    assert shown is not None
    assert (shown.at, shown.who) == (day.at(30), "CTO")
    acknowledge_incident(incident_id=incident.pk, actor=ida, now=day.now)
    incident.refresh_from_db()
    shown = next_page(incident, now=day.now)
    assert shown is not None
    assert (shown.at, shown.who, shown.unless) == (day.at(56), "role holders", "somebody does something here")


# --- exactly once -------------------------------------------------------------------------------


def test_many_sweepers_at_once_page_each_rung_once(day: Day) -> None:
    for _number in range(12):
        declare(day)
    deliver_pending(now=day.now)
    now, paged = day.at(15), Counter[int]()

    def sweep() -> None:
        paged.update({threading.get_ident(): climb_ladders(now=now)})
        connection.close()

    threads = [threading.Thread(target=sweep) for _number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paged.total() == 12
    assert Event.objects.filter(kind="incident.paged").count() == 12


KILLED = """
import os, signal, sys, datetime as dt
import django
django.setup()
from comms.services import escalation
def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)
escalation._store = die  # the event is written, the row is not
escalation.climb_ladders(now=dt.datetime.fromisoformat(sys.argv[1]))
"""


def test_killed_between_the_event_and_the_row_it_is_paged_once(day: Day) -> None:
    declare(day)
    deliver_pending(now=day.now)
    environment = database_environment() | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, day.at(15).isoformat()],
        env=environment,
        cwd=settings.BASE_DIR,
        check=False,
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert climb_ladders(now=day.at(15)) == 1
    assert climb_ladders(now=day.at(15)) == 0
    assert Event.objects.filter(kind="incident.paged").count() == 1


def test_who_acknowledges_in_the_same_moment_is_not_paged_for(day: Day, ida: Actor) -> None:
    """The sweep waits for nobody: an incident that a person is just changing is looked at next time."""
    incident = declare(day)
    deliver_pending(now=day.now)
    locked, go_on = threading.Event(), threading.Event()

    def acknowledge() -> None:
        with transaction.atomic():
            acknowledge_incident(incident_id=incident.pk, actor=ida, now=day.at(15))
            locked.set()
            go_on.wait(10)
        connection.close()

    person = threading.Thread(target=acknowledge)
    person.start()
    assert locked.wait(10)
    assert climb_ladders(now=day.at(15)) == 0
    go_on.set()
    person.join()
    assert climb_ladders(now=day.at(15)) == 0
    assert not Event.objects.filter(kind="incident.paged").exists()


def test_what_is_due_costs_no_more_with_more_incidents(day: Day, django_assert_max_num_queries: Any) -> None:
    for _number in range(30):
        declare(day, "P3")
    deliver_pending(now=day.now)
    with django_assert_max_num_queries(8):
        climb_ladders(now=day.at(1))


def test_an_incident_that_cannot_be_looked_at_keeps_nobody_else_from_being_paged(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, other = declare(day), declare(day)

    def ladder(incident: Incident, kind: ClockKind) -> Any:
        if incident.pk == broken.pk:
            raise KeyError(incident.severity)
        return ladder_of(incident, kind)

    day.run(until=10)
    monkeypatch.setattr("comms.services.escalation.ladder_of", ladder)
    day.run(until=17)
    assert day.events(broken).count("incident.paged") == 0
    assert day.events(other).count("incident.paged") == 1
    overdue = EscalationClock.objects.filter(kind=ClockKind.RESPONSE, due_at__lte=day.now)
    assert [clock.incident_id for clock in overdue] == [broken.pk], "it stays overdue, which is shown"
    monkeypatch.undo()
    day.run(until=18)
    assert day.events(broken).count("incident.paged") == 1
