"""Drills that the calendar plans: how many a day, what a real incident does to them, and what nobody is told before."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from core.actors import Actor
from core.models import Event, User
from core.outbox import deliver_pending
from core.playbook import get_playbook, use_playbook
from incidents.models import Service
from incidents.services.incidents import declare_incident
from rollbacks.models import Drill
from rollbacks.policy import scenarios
from rollbacks.rules.drills import Monthly, occasions, services_each_time, weeks_later
from rollbacks.services.drill_planning import cancel_planned, plan_by_calendar, plan_drill, tell_of_lapses
from rollbacks.services.drill_running import finish_drill, start_drill
from rollbacks.services.drill_sweep import look_after_drills
from tests import signing_in
from tests.conftest import make_service

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
DAY = dt.timedelta(days=1)
NEAR = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
TUESDAY = dt.datetime(2026, 12, 8, 10, tzinfo=dt.UTC)
SECOND_TUESDAY = Monthly(months=range(1, 13), at=dt.time(10), zone="Europe/Berlin", weekday=1, week=2)


def rehearsed(now: dt.datetime, *names: str) -> None:
    for name in names:
        make_service(name, now)
    Service.objects.update(procedure="storefront_rollback")


def plan_the_day(now: dt.datetime = NEAR) -> list[Drill]:
    for _ in range(20):
        if not plan_by_calendar(now=now):
            break
    return list(Drill.objects.order_by("pk"))


# --- how many -----------------------------------------------------------------------------------------


@given(
    services=st.integers(1, 40),
    days=st.integers(20, 366),
    start=st.integers(0, 7000).map(lambda days: dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + days * DAY),
)
def test_whoever_takes_turns_has_the_next_one_in_time(services: int, days: int, start: dt.datetime) -> None:
    within = dt.timedelta(days=days)
    queue = list(range(services))
    last: dict[int, dt.datetime] = {}
    for at in itertools.islice(occasions(SECOND_TUESDAY, after=start), 30):
        quota = services_each_time(SECOND_TUESDAY, begins=at, within=within, services=services)
        assert 1 <= quota <= services
        for service in queue[:quota]:
            if within >= 35 * DAY + dt.timedelta(hours=1):  # no month's day is farther from the next
                assert at - last.get(service, at) <= within
            last[service] = at
        queue = queue[quota:] + queue[:quota]
        if within < 28 * DAY - dt.timedelta(hours=1):
            assert quota == services, "all of them each time, and even that is too seldom"


def test_a_week_later_is_the_same_hour_by_the_clocks() -> None:
    before = dt.datetime(2026, 10, 20, 8, tzinfo=dt.UTC)  # ten o'clock in Berlin, in summer
    assert weeks_later(before, 1, "Europe/Berlin") == dt.datetime(2026, 10, 27, 9, tzinfo=dt.UTC)


def test_a_day_has_as_many_drills_as_its_services_need_one_after_the_other(
    make_actor: MakeActor, now: dt.datetime
) -> None:
    make_actor("rob", "responder", "technical_lead")
    rehearsed(now, "a", "b", "c", "d")
    planned = plan_the_day()
    assert [(one.slot, one.service.slug, one.starts_at) for one in planned] == [
        ("2026-12-08T10:00", "a", TUESDAY),
        ("2026-12-08T10:00/2", "b", TUESDAY + dt.timedelta(hours=2)),
    ]
    assert len({one.scenario for one in planned}) == 2, "the next in turn"
    cora = make_actor("cora", "commander")
    cancel_planned(drill_id=planned[0].pk, reason="holidays", actor=cora, now=NEAR)
    assert len(plan_the_day()) == 2, "what somebody cancelled is not planned again"
    later = plan_the_day(dt.datetime(2027, 1, 5, tzinfo=dt.UTC))[2:]
    assert [one.service.slug for one in later] == ["a", "c"], "b is still to come"


def test_what_the_calendar_does_not_manage_is_said(make_actor: MakeActor, now: dt.datetime) -> None:
    make_actor("rob", "responder", "technical_lead")
    rehearsed(now, *(f"s{number}" for number in range(8)))
    assert len(plan_the_day()) == 3
    Service.objects.update(created_at=now - 400 * DAY)
    assert tell_of_lapses(now=NEAR)
    said = Event.objects.get(kind="drill.overdue").summary
    assert said.startswith(
        "The calendar rehearses 3 services a day, and 4 would be needed. Rollbacks were not"
    )


# --- what is real goes first --------------------------------------------------------------------------


def test_a_drill_of_the_calendar_that_gives_way_is_a_week_later(
    make_actor: MakeActor, commander: Actor, now: dt.datetime
) -> None:
    make_actor("rob", "responder", "technical_lead")
    rehearsed(now, "shop")
    (drill,) = plan_the_day()
    declare_incident(actor=commander, now=NEAR, title="Down", severity="P1", services=["shop"])
    for week in range(6):
        look_after_drills(now=TUESDAY + week * 7 * DAY)
    mine = list(Drill.objects.filter(slot__startswith=drill.slot).order_by("pk"))
    assert [one.slot.removeprefix(drill.slot) for one in mine] == ["", "+1", "+2", "+3", "+4"]
    assert [one.starts_at - TUESDAY for one in mine] == [week * 7 * DAY for week in range(5)]
    assert {one.state for one in mine} == {"cancelled"}  # then comes January's own, on the 12th
    assert {one.scenario for one in mine} == {drill.scenario}
    assert {tuple(one.participants.values_list("username", flat=True)) for one in mine} == {("ida", "rob")}


def test_a_drill_of_the_calendar_that_was_broken_off_is_a_week_later_and_one_of_a_person_is_not(
    make_actor: MakeActor, commander: Actor, now: dt.datetime
) -> None:
    rehearsed(now, "shop", "mail")
    (drill,) = plan_the_day()
    begins = now - dt.timedelta(minutes=5)
    Drill.objects.filter(pk=drill.pk).update(starts_at=begins, due_at=begins)
    by_hand = plan_drill(service="shop", scenario="bad_release", starts_at=now, actor=commander, now=now)
    slug = drill.service.slug
    start_drill(drill_id=drill.pk, actor=commander, now=now)
    if slug != "shop":
        start_drill(drill_id=by_hand.pk, actor=commander, now=now)
    declare_incident(actor=commander, now=now, title="Down", severity="P1", services=["shop", "mail"])
    deliver_pending(now=now)
    again = Drill.objects.exclude(pk__in=[drill.pk, by_hand.pk]).get()
    assert (again.service.slug, again.slot, again.state) == (slug, f"{drill.slot}+1", "planned")
    assert again.starts_at == weeks_later(begins, 1, "UTC")


# --- nothing is given away ----------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["bad_release", "database_restore", "security_breach"])
def test_a_drill_does_not_give_itself_away(
    key: str, make_user: Callable[..., User], commander: Actor, now: dt.datetime
) -> None:
    scenario = scenarios()[key]
    rehearsed(now, "shop")
    browser = Client()
    signing_in.sign_in(browser, make_user("lena", "responder"))
    drill = plan_drill(
        service="shop", scenario=key, starts_at=now + DAY, participants=["lena"], actor=commander, now=now
    )
    telling = {scenario.name, scenario.practises, *scenario.debrief} | ({scenario.procedure} - {None})
    invited = Event.objects.get(kind="drill.planned").summary
    assert invited.startswith(f"Drill planned: {scenario.invitation} on Shop")

    def seen(words: set[Any]) -> set[Any]:
        pages = "".join(
            browser.get(address).content.decode()
            for address in ("/drills/", f"/drills/{drill.pk}/", f"/api/v1/drills/{drill.pk}/")
        )
        texts = pages.replace("&#x27;", "'").replace("&quot;", '"') + invited
        return {word for word in words if word in texts}

    assert not seen({*telling, scenario.description, scenario.title})
    start_drill(drill_id=drill.pk, actor=commander, now=now)
    assert seen({*telling, scenario.description, scenario.title}) == {scenario.description, scenario.title}
    finish_drill(drill_id=drill.pk, actor=commander, now=now)
    assert seen(telling) == telling


def test_a_scenario_of_ones_own_need_not_think_of_an_invitation(commander: Actor, now: dt.datetime) -> None:
    rehearsed(now, "shop")
    playbook = get_playbook()
    own = scenarios()["bad_release"].model_copy(update={"invitation": "An emergency"})
    changed = {**playbook.sections, "scenarios": {"bad_release": own}}
    with use_playbook(replace(playbook, sections=changed)):
        drill = plan_drill(service="shop", scenario="bad_release", starts_at=None, actor=commander, now=now)
        assert drill.name == "An emergency"
    drill.plan.pop("invitation")  # planned by the version before
    assert drill.name == "An emergency"


def test_the_shipped_invitations_differ_from_what_is_to_be_found_out() -> None:
    for scenario in scenarios().values():
        assert scenario.invitation not in (scenario.name, scenario.title, "An emergency")
