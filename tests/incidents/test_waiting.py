"""What waits for a person: on Now, Reports and Reviews, and as the rules of the commands say it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from core.actors import Actor, ActorKind
from core.models import User
from core.outbox import deliver_pending
from incidents.models import AwaitedTraining, Incident, Report, Review
from incidents.selectors.reports import why_not_publish
from incidents.selectors.waiting import REPORTS, REVIEWS, waits_for
from incidents.services import reports, reviews
from incidents.services.action_items import create_action_item
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.tasks import create_task
from incidents.services.training import record_training
from incidents.states import ReportSection
from tests import signing_in

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
DAY = dt.timedelta(days=1)
TEXTS = {str(section): f"{section.label} of it" for section in ReportSection}


def waits(actor: Actor, now: dt.datetime, **more: Any) -> dict[str, tuple[str, str]]:
    return {wait.kind: (wait.text, wait.url) for wait in waits_for(actor, now=now, **more)}


def over(commander: Actor, now: dt.datetime, severity: str = "P0", **more: Any) -> Incident:
    incident = declare_incident(actor=commander, now=now, title="Down", severity=severity, **more)
    resolve_incident(incident_id=incident.pk, resolution="Back", root_cause="Key", actor=commander, now=now)
    deliver_pending(now=now)
    incident.refresh_from_db()
    return incident


def test_a_report_waits_for_its_owner_then_for_who_may_publish_it(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    lena, otto, vic = make_actor("lena"), make_actor("otto"), make_actor("vic", "viewer")
    incident = over(commander, now)
    by: dict[str, Any] = {"incident_id": incident.pk, "now": now}
    assert "write" not in waits(commander, now)
    reports.give_report(owner="lena", actor=commander, **by)
    here = f"/incidents/{incident.ref}/report/"
    assert waits(lena, now, only=REPORTS) == {"write": ("1 report to write", here)}
    reports.edit_report(texts=TEXTS, actor=lena, **by)
    reports.submit_report(actor=commander, **by)
    assert waits(otto, now, only=REPORTS) == {"publish": ("1 report to publish", here)}
    for nobody in (
        lena,
        commander,
        vic,
        Actor(ActorKind.TOKEN, "bot", otto.level, otto.user_id, token_id="1"),
    ):
        assert waits(nobody, now, only=REPORTS) == {}  # who wrote it, who handed it in, who may not
    assert why_not_publish(incident, Report.objects.get(), otto) == ""
    second = over(commander, now, "P3")  # where one person is enough
    reports.edit_report(texts=TEXTS, actor=lena, incident_id=second.pk, now=now)
    reports.submit_report(actor=lena, incident_id=second.pk, now=now)
    assert waits(lena, now, only=REPORTS)["publish"][0] == "1 report to publish"
    assert waits(otto, now, only=REPORTS)["publish"] == ("2 reports to publish", "/reports/?state=in_review")
    Incident.objects.update(restricted=True)
    assert waits(otto, now, only=REPORTS) == {}


@pytest.mark.parametrize("kind", ["weekly", "quarterly"])
def test_a_review_waits_for_who_may_sign_it_off(
    commander: Actor, make_actor: MakeActor, now: dt.datetime, kind: str
) -> None:
    people = [
        make_actor("rosa", "commander", "incident_commander"),
        make_actor("carl", "commander"),
        make_actor("lena"),
    ]
    reviews.open_due_review(kind=kind, now=now - 200 * DAY)
    review = reviews.open_due_review(kind=kind, now=now)
    assert review is not None
    assert waits(people[0], now, only=REVIEWS) == {}
    reviews.hold_review(review_id=review.pk, attendees=["ida"], actor=commander, now=now)
    held = Review.objects.get(pk=review.pk)
    able = [actor for actor in (commander, *people) if waits(actor, now, only=REVIEWS)]
    assert able == [actor for actor in (commander, *people) if not reviews.why_not_sign_off(held, actor)]
    assert able and waits(able[0], now)["sign_off"] == ("1 review to sign off", f"/reviews/{review.pk}/")


def test_what_is_overdue_and_training_wait_for_their_owner(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    lena = make_actor("lena")
    incident = declare_incident(actor=commander, now=now, title="Down", severity="P0")
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "owner": "lena"}
    item = create_action_item(title="Look", due_on=(now - 2 * DAY).date(), now=now, **by)
    create_action_item(title="Later", due_on=(now + 2 * DAY).date(), now=now, **by)
    create_task(title="Call", due_at=now - DAY, now=now, **by)
    create_task(title="Call again", due_at=now - DAY, now=now, **by)
    record_training(course="procedures", people=["lena"], actor=commander, now=now, done_at=now - 100 * DAY)
    record_training(
        course="rollback_drill", people=["lena"], actor=commander, now=now, done_at=now - 100 * DAY
    )
    AwaitedTraining.objects.create(
        user=User.objects.get(username="lena"), course="emergency_response", due_at=now + DAY
    )
    assert waits(lena, now) == {
        "item": ("1 action item overdue", f"/action-items/{item.pk}/"),
        "task": ("2 tasks overdue", f"/incidents/{incident.ref}/"),
        "training": ("2 trainings due", "/training/"),  # the drill is not asked of her
    }
    assert waits(commander, now) == {}


def test_it_stands_on_the_pages_and_costs_one_query_however_much_waits(
    commander: Actor,
    make_actor: MakeActor,
    now: dt.datetime,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    otto = make_actor("otto")
    with django_assert_num_queries(1):
        assert waits_for(otto, now=now) == ()
    for _ in range(3):
        incident = over(commander, now)
        reports.edit_report(texts=TEXTS, actor=commander, incident_id=incident.pk, now=now)
        reports.submit_report(actor=commander, incident_id=incident.pk, now=now)
        create_action_item(
            title="Look", owner="otto", due_on=(now - 2 * DAY).date(), actor=commander, now=now
        )
    with django_assert_num_queries(1):
        assert len(waits_for(otto, now=now)) == 2
    browser = Client()
    signing_in.sign_in(browser, User.objects.get(username="otto"))
    for page, shown, hidden in (
        ("/", "3 action items overdue", "x-x"),
        ("/reports/", "", "action items overdue"),
    ):
        text = browser.get(page).content.decode()
        assert 'aria-label="Waits for you"' in text and "3 reports to publish" in text
        assert shown in text and hidden not in text
    assert 'aria-label="Waits for you"' not in browser.get("/reviews/").content.decode()
