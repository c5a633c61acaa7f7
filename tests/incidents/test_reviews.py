"""Reviews: opened by the calendar with their agenda filled, held, signed off, and reminded of."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from core.actors import Actor, ActorKind, actor_for_user
from core.errors import Invalid, NotAllowed
from core.models import Event, User
from incidents import policy
from incidents.models import Incident, Review, ReviewSchedule
from incidents.rules.reviews import latest_slot, slots_between
from incidents.selectors.reviews import agenda_for, figure_text, is_review_due, sections_for
from incidents.services import reviews
from incidents.services.action_items import create_action_item
from incidents.services.incidents import acknowledge_incident, declare_incident, resolve_incident
from incidents.services.reviews import ReviewNotOpen, look_after_reviews, open_due_review
from incidents.services.tasks import create_task
from incidents.states import Cadence
from rollbacks.services.requests import request_rollback

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
MONDAY = dt.datetime(2026, 11, 16, 9, tzinfo=dt.UTC)  # a weekly review opens


def events_of(kind: str) -> list[Event]:
    return list(Event.objects.filter(kind=kind).order_by("seq"))


@pytest.fixture
def opened(db: None) -> Review:
    """The weekly review of the week before MONDAY."""
    assert open_due_review(kind="weekly", now=MONDAY - 3 * DAY) is None  # Firebreak begins
    made = open_due_review(kind="weekly", now=MONDAY)
    assert made is not None
    return Review.objects.get(pk=made.pk)


# --- the calendar --------------------------------------------------------------------------------


def test_a_year_opens_each_review_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviews, "fill_agenda", lambda sections, period: [])
    now = dt.datetime(2026, 1, 20, tzinfo=dt.UTC)
    end = now.replace(year=2027)
    while now <= end:
        look_after_reviews(now=now)
        now += 5 * HOUR
    found = Counter(Review.objects.values_list("kind", flat=True))
    assert found == {"weekly": 52, "monthly": 12, "quarterly": 4, "annual": 1}
    assert not Review.objects.filter(state="missed").exists()
    for kind in found:
        rows = list(Review.objects.filter(kind=kind).order_by("pk"))
        assert len({row.period for row in rows}) == len(rows)
        assert all(one.ends_at == other.begins_at for one, other in itertools.pairwise(rows))


def test_an_outage_of_six_weeks_opens_one_and_notes_the_others(opened: Review) -> None:
    look_after_reviews(now=MONDAY + 6 * 7 * DAY + HOUR)
    weekly = list(Review.objects.filter(kind="weekly").order_by("pk"))
    assert [row.state for row in weekly] == ["open", *["missed"] * 5, "open"]
    last = weekly[-1]
    assert (last.ends_at, last.due_at) == (MONDAY + 42 * DAY, MONDAY + 42 * DAY + HOUR + 3 * DAY)
    [_first, told] = [event for event in events_of("review.opened") if "Weekly" in event.summary]
    assert told.data["missed"] == [row.period for row in weekly[1:-1]]
    look_after_reviews(now=MONDAY + 6 * 7 * DAY + 2 * HOUR)
    assert Review.objects.filter(kind="weekly").count() == 7


def test_another_day_in_the_same_week_opens_no_second_one(
    opened: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = policy.reviews()
    later = asked.reviews["weekly"].model_copy(update={"day": 3})
    changed = asked.model_copy(update={"reviews": {**asked.reviews, "weekly": later}})
    monkeypatch.setattr(policy, "reviews", lambda: changed)
    assert open_due_review(kind="weekly", now=MONDAY + 2 * DAY) is None
    made = open_due_review(kind="weekly", now=MONDAY + 9 * DAY)
    assert made is not None
    assert made.begins_at == opened.ends_at, "the two days between are looked at, too"


@dataclass(frozen=True)
class Running:
    """How long a playbook holds and how far apart its sweeps are, in hours."""

    zone: str
    day: int
    month: int
    at: str
    sweeps: list[int]


runnings = st.builds(
    Running,
    zone=st.sampled_from(("Pacific/Auckland", "America/Los_Angeles", "Australia/Lord_Howe", "UTC")),
    day=st.integers(1, 31),
    month=st.integers(1, 3),
    at=st.sampled_from(("00:00", "02:30", "09:00", "23:59")),
    sweeps=st.lists(st.integers(1, 24 * 45), min_size=2, max_size=6),
)


@pytest.mark.parametrize("cadence", list(Cadence))
@hypothesis_settings(
    max_examples=8,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(playbooks=st.lists(runnings, min_size=1, max_size=3), begun=st.integers(0, 24 * 730))
def test_in_every_zone_all_time_is_looked_at_once(
    monkeypatch: pytest.MonkeyPatch, cadence: Cadence, playbooks: list[Running], begun: int
) -> None:
    """Also where the playbook is changed between two reviews, and sweeps are seldom."""
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + begun * HOUR
    stride = {Cadence.QUARTERLY: 3, Cadence.ANNUAL: 12}.get(cadence, 1)
    asked = policy.reviews()
    with monkeypatch.context() as patched, transaction.atomic():
        patched.setattr(reviews, "fill_agenda", lambda sections, period: [])
        for playbook in playbooks:
            kind = asked.reviews["weekly"].model_copy(
                update={
                    "cadence": cadence,
                    "day": min(playbook.day, 7) if cadence is Cadence.WEEKLY else playbook.day,
                    "month": playbook.month if cadence in (Cadence.QUARTERLY, Cadence.ANNUAL) else 1,
                    "at": playbook.at,
                }
            )
            changed = asked.model_copy(update={"reviews": {"any": kind}, "time_zone": playbook.zone})
            patched.setattr(policy, "reviews", lambda changed=changed: changed)
            for hours in playbook.sweeps:
                before, now = now, now + hours * stride * HOUR
                made = open_due_review(kind="any", now=now)
                opening = latest_slot(policy.review_calendar(kind), now)
                if made is not None:
                    assert (made.ends_at, made.period) == (opening.opens_at, opening.period)
                    assert made.begins_at < made.ends_at <= now < made.due_at
                    assert made.period[:4] in _years_of(made.ends_at, playbook.zone)
                elif ReviewSchedule.objects.get(kind="any").opened_until < opening.opens_at:
                    assert Review.objects.filter(kind="any", period=opening.period).exists(), before
        rows = list(Review.objects.filter(kind="any").order_by("ends_at"))
        assert all(one.ends_at == other.begins_at for one, other in itertools.pairwise(rows))
        assert len({row.period for row in rows}) == len(rows)
        assert all(row.ends_at < row.due_at for row in rows)
        transaction.set_rollback(True)


def _years_of(at: dt.datetime, zone: str) -> set[str]:
    """The year there; the one that the week belongs to may be another."""
    there = at.astimezone(ZoneInfo(zone))
    return {str(there.year), str(there.isocalendar().year)}


def test_the_database_holds_one_review_a_period(opened: Review) -> None:
    with pytest.raises(IntegrityError, match="one_review_per_kind_and_period"), transaction.atomic():
        Review.objects.create(
            kind="weekly", period=opened.period, name="Twice", begins_at=MONDAY - DAY, ends_at=MONDAY,
            opened_at=MONDAY, opened_by="x", due_at=MONDAY,
        )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_open_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """They meet: all of them wait for the kind's schedule, which somebody else holds until they all do."""
    begun = MONDAY - 3 * DAY
    open_due_review(kind="weekly", now=begun)
    found: list[Review | None] = []
    read: list[dt.datetime] = []

    def noted(when: Any, since: dt.datetime, until: dt.datetime) -> Any:
        read.append(since)
        return slots_between(when, since, until)

    def sweep() -> None:
        try:
            found.append(open_due_review(kind="weekly", now=MONDAY))
        finally:
            connection.close()

    monkeypatch.setattr(reviews, "slots_between", noted)
    threads = [threading.Thread(target=sweep) for _ in range(3)]
    with transaction.atomic():
        ReviewSchedule.objects.select_for_update().get(kind="weekly")
        for thread in threads:
            thread.start()
        wait_for_waiting(len(threads))
    for thread in threads:
        thread.join(20)
    assert sum(one is not None for one in found) == 1
    assert len(found) == 3 == len(read), "none of them failed"
    assert sorted(read) == [begun, MONDAY, MONDAY], "who comes second reads what the first has done"
    assert Review.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_remind_once(opened: Review) -> None:
    said: list[bool] = []

    def sweep() -> None:
        try:
            said.append(reviews._remind(opened.pk, opened.due_at))
        finally:
            connection.close()

    threads = [threading.Thread(target=sweep) for _ in range(2)]
    with transaction.atomic():
        Review.objects.select_for_update().get(pk=opened.pk)
        for thread in threads:
            thread.start()
        wait_for_waiting(len(threads))
    for thread in threads:
        thread.join(20)
    assert sorted(said) == [False, True]
    assert len(events_of("review.overdue")) == 1


def wait_for_waiting(number: int) -> None:
    """Until so many sessions of this database wait for a lock."""
    asked = """SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    for _ in range(400):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees the same all the time
            cursor.execute(asked)
            if cursor.fetchone()[0] >= number:
                return
        time.sleep(0.02)
    raise AssertionError("they do not meet")


# --- the agenda ----------------------------------------------------------------------------------


def test_its_agenda_is_what_was_so_in_its_time(commander: Actor, shop: Any, make_actor: MakeActor) -> None:
    def declared(at: dt.datetime, severity: str, **more: Any) -> Incident:
        return declare_incident(
            actor=commander, now=at, title=f"Trouble {severity}", severity=severity, services=["shop"], **more
        )

    before = declared(MONDAY - 8 * DAY, "P1")
    first = declared(MONDAY - 6 * DAY, "P2")
    second = declared(MONDAY - 5 * DAY, "P0")
    declared(MONDAY - 5 * DAY, "P0", drill=True)
    for incident, minutes in ((first, 10), (second, 30)):
        acknowledge_incident(
            incident_id=incident.pk, actor=commander, now=incident.declared_at + minutes * HOUR / 60
        )
    resolve_incident(
        incident_id=first.pk, resolution="Fixed", actor=commander, now=first.declared_at + 2 * HOUR
    )
    resolve_incident(
        incident_id=before.pk, resolution="Fixed", actor=commander, now=before.declared_at + HOUR
    )
    create_task(
        incident_id=second.pk, title="Call them", due_at=MONDAY - DAY, actor=commander, now=MONDAY - 2 * DAY
    )
    late: dict[str, Any] = {"due_on": (MONDAY - 2 * DAY).date(), "actor": commander, "now": MONDAY - 3 * DAY}
    create_action_item(title="Renew it", incident_id=second.pk, **late)
    create_action_item(title="Tidy up", **late)
    create_action_item(title="Later", **late | {"due_on": MONDAY.date()})
    rollback = request_rollback(
        incident_id=second.pk,
        service="shop",
        reason="It is the release",
        actor=commander,
        now=second.declared_at,
    )
    open_due_review(kind="weekly", now=MONDAY - 7 * DAY - HOUR)
    open_due_review(kind="weekly", now=MONDAY - 7 * DAY)
    made = open_due_review(kind="weekly", now=MONDAY)
    assert made is not None
    agenda = {section["key"]: section for section in Review.objects.get(pk=made.pk).agenda}
    assert list(agenda) == [
        "incidents", "rollbacks", "figures", "tasks", "action_items", "checklists", "reports",
    ]  # fmt: skip
    assert [line["incident"] for line in agenda["incidents"]["lines"]] == [second.ref, first.ref]
    assert agenda["incidents"]["count"] == 2
    assert [line["text"].split()[0] for line in agenda["rollbacks"]["lines"]] == [rollback.ref]
    figures = {one["name"]: (one["value"], one["before"]) for one in agenda["figures"]["figures"]}
    assert figures["Incidents"] == (2, 1)
    assert figures["Time to acknowledge"] == (20 * 60, None)
    assert figures["Time to recovery"] == (2 * 3600, 3600)
    assert figures["Rollbacks"] == (1, 0)
    assert [line["text"] for line in agenda["tasks"]["lines"]] == [f"Call them ({second.ref})"]
    assert [line["text"] for line in agenda["action_items"]["lines"]] == [
        f"Renew it ({second.ref})",
        "Tidy up",
    ]
    # Frozen: what happens after it changes nothing.
    declared(MONDAY - DAY, "P3")
    assert Review.objects.get(pk=made.pk).agenda[0]["count"] == 2


def test_every_section_of_the_wiring_can_be_filled(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    made = reviews.open_review(
        name="Everything", begins_at=now - DAY, ends_at=now, due_at=now + DAY, actor=commander, now=now
    )
    sections = {section["key"]: section for section in Review.objects.get(pk=made.pk).agenda}
    assert len(sections) == 14
    assert sections["procedures"]["lines"][0]["detail"] == "never used and never rehearsed"
    assert sections["channels"]["lines"][0]["detail"] == "never tested"
    assert [line["text"] for line in sections["training"]["lines"]] == [
        "New procedures: never done by 1",
        "Emergency response: never done by 1",
        "Rollback drill: never done by 1",
    ]  # fmt: skip


def test_who_may_not_see_an_incident_reads_its_code_name(
    commander: Actor, make_actor: MakeActor, shop: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    at = MONDAY - DAY
    secret = declare_incident(
        actor=commander, now=at, title="Leak of the list", severity="P1", services=["shop"], restricted=True
    )
    request_rollback(incident_id=secret.pk, service="shop", reason="Leak", actor=commander, now=at)
    open_due_review(kind="weekly", now=MONDAY - 2 * DAY)
    review = open_due_review(kind="weekly", now=MONDAY)
    assert review is not None
    other = make_actor("otto", "commander")
    with django_assert_num_queries(1):
        shown = str(sections_for(other, review))
    assert secret.code_name in shown
    for hidden in ("Leak", secret.ref, "RB-", "2.0.0"):
        assert hidden not in shown
    assert "Leak of the list" in str(agenda_for(commander, review))
    told = "".join(
        event.summary + str(event.data) for event in Event.objects.filter(kind__startswith="review.")
    )
    assert secret.ref not in told


# --- held and signed off -------------------------------------------------------------------------


def test_it_is_held_by_one_and_signed_off_by_another(
    opened: Review, commander: Actor, make_actor: MakeActor
) -> None:
    otto = make_actor("otto", "commander")
    by: dict[str, Any] = {"review_id": opened.pk, "now": MONDAY + HOUR}
    reviews.edit_review(**by, notes={"incidents": "Too many"}, actor=commander)
    with pytest.raises(ReviewNotOpen):
        reviews.sign_off_review(**by, actor=otto)
    by_token = Actor(ActorKind.TOKEN, "otto (token ci)", otto.level, user_id=otto.user_id)
    with pytest.raises(NotAllowed, match="Only a person"):
        reviews.hold_review(**by, attendees=["ida"], actor=by_token)
    held = reviews.hold_review(**by, attendees=["ida", "otto"], decisions="Buy a second one", actor=commander)
    assert (held.state, held.notes, held.version) == ("held", {"incidents": "Too many"}, 3)
    with pytest.raises(NotAllowed, match="Another person"):
        reviews.sign_off_review(**by, actor=commander)
    with pytest.raises(NotAllowed, match="commander"):
        reviews.sign_off_review(**by, actor=make_actor("resi", "responder"))
    with pytest.raises(NotAllowed, match="A person"):
        reviews.sign_off_review(**by, actor=by_token)
    reviews.edit_review(**by, decisions="Buy two", actor=otto)  # the minutes are corrected
    reviews.sign_off_review(**by, actor=otto)
    with pytest.raises(ReviewNotOpen, match="signed off"):
        reviews.edit_review(**by, decisions="Buy none", actor=commander)
    assert [event.kind for event in Event.objects.filter(kind__startswith="review.").order_by("seq")] == [
        "review.opened", "review.edited", "review.held", "review.edited", "review.signed_off",
    ]  # fmt: skip


def test_the_playbook_says_who_signs_off(make_actor: MakeActor, commander: Actor) -> None:
    open_due_review(kind="quarterly", now=MONDAY)
    review = open_due_review(kind="quarterly", now=MONDAY + 60 * DAY)
    assert review is not None
    by: dict[str, Any] = {"review_id": review.pk, "now": MONDAY + 61 * DAY}
    reviews.hold_review(**by, attendees=["ida"], actor=commander)
    with pytest.raises(NotAllowed, match="incident commander"):
        reviews.sign_off_review(**by, actor=make_actor("otto", "administrator"))
    reviews.sign_off_review(**by, actor=make_actor("resi", "responder", "incident_commander"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"attendees": []},
        {"attendees": ["nobody"]},
        {"attendees": ["ida"], "notes": {"weather": "fine"}},
        {"attendees": ["ida"], "decisions": "x" * 20_001},
    ],
)
def test_what_cannot_be_is_refused(opened: Review, commander: Actor, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        reviews.hold_review(review_id=opened.pk, actor=commander, now=MONDAY, **wrong)
    assert Review.objects.get(pk=opened.pk).state == "open"


def test_what_is_not_new_is_no_change(opened: Review, commander: Actor) -> None:
    by: dict[str, Any] = {"review_id": opened.pk, "actor": commander, "now": MONDAY}
    reviews.edit_review(**by, notes={"incidents": "Two"}, attendees=["ida"])
    reviews.edit_review(**by, notes={"incidents": " Two "}, decisions="", attendees=["ida"])
    assert Review.objects.get(pk=opened.pk).version == 2
    assert len(events_of("review.edited")) == 1


# --- reminders -----------------------------------------------------------------------------------


def test_people_are_reminded_before_and_every_week_after(opened: Review, commander: Actor) -> None:
    for hours in range(0, 24 * 20, 6):
        look_after_reviews(now=MONDAY + hours * HOUR)
    about = [event for event in events_of("review.due") if event.data["review"] == opened.pk]
    assert [event.occurred_at for event in about] == [opened.due_at - DAY]
    late = [event for event in events_of("review.overdue") if event.data["review"] == opened.pk]
    assert [event.occurred_at for event in late] == [opened.due_at + 7 * n * DAY for n in range(3)]
    assert late[0].data["to"] == ["technical_team"]
    assert is_review_due(late[0])
    reviews.hold_review(review_id=opened.pk, attendees=["ida"], actor=commander, now=MONDAY + 20 * DAY)
    assert not is_review_due(late[0])
    look_after_reviews(now=MONDAY + 40 * DAY)
    again = [event for event in events_of("review.overdue") if event.data["review"] == opened.pk][3:]
    assert [event.data["state"] for event in again] == ["held"]  # to be signed off


def test_who_may_sign_off_is_reminded_until_it_is(
    opened: Review, commander: Actor, make_actor: MakeActor
) -> None:
    make_actor("rosa", "commander")
    held_at = opened.due_at + HOUR  # a little late
    reviews.hold_review(review_id=opened.pk, attendees=["ida"], actor=commander, now=held_at)
    told = events_of("review.held")[0]
    assert told.data["to"] == ["account:rosa"]  # not who held it
    for hours in range(0, 24 * 15, 6):
        look_after_reviews(now=held_at + hours * HOUR)
    late = [event for event in events_of("review.overdue") if event.data["review"] == opened.pk]
    assert [event.data["to"] for event in late] == [["account:rosa"]] * 2
    assert [event.occurred_at - opened.due_at for event in late] == [7 * DAY + HOUR, 14 * DAY + HOUR]
    assert "to be signed off" in late[0].summary
    assert is_review_due(late[0])
    reviews.sign_off_review(
        review_id=opened.pk, actor=actor_for_user(User.objects.get(username="rosa")), now=held_at + 15 * DAY
    )
    assert not is_review_due(late[0])
    look_after_reviews(now=held_at + 60 * DAY)
    assert [e for e in events_of("review.overdue") if e.data["review"] == opened.pk] == late


def test_a_kind_that_the_playbook_drops_opens_no_more(
    opened: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = policy.reviews()
    left = {key: kind for key, kind in asked.reviews.items() if key != "weekly"}
    monkeypatch.setattr(policy, "reviews", lambda: asked.model_copy(update={"reviews": left}))
    look_after_reviews(now=MONDAY + 7 * DAY)
    assert "weekly" not in ReviewSchedule.objects.values_list("kind", flat=True)
    assert Review.objects.filter(kind="weekly").count() == 1


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(None, "count", "none"), (3.0, "count", "3"), (0.755, "ratio", "76 %"), (3600.0, "seconds", "1 h")],
)
def test_figures_in_words(value: float | None, unit: str, text: str) -> None:
    assert figure_text(value, unit) == text
