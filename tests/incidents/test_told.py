"""Who hears what waits for them after an incident, from the service to the deliveries; and who does not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils.module_loading import import_string

from comms.models import Contact, Delivery, Message
from config.settings.wiring import REMINDERS
from core.actors import Actor, actor_for_user
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Incident, Report, Review
from incidents.services import action_items, reports, reviews
from incidents.services.checklists import assign_item
from incidents.services.incidents import resolve_incident
from incidents.services.people import add_responder
from incidents.states import ReportSection

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
TEXTS = {str(section): f"{section.label} of it" for section in ReportSection}


def everybody_has_a_contact() -> None:
    for user in User.objects.all():
        name = user.get_username()
        Contact.objects.get_or_create(
            user=user,
            defaults={"name": name, "email": f"{name}@example.test", "audiences": ["technical_team"]},
        )


def told(kind: str, now: dt.datetime) -> set[str]:
    """Whom the newest event of the kind reaches; nobody where there is no message of it."""
    everybody_has_a_contact()
    deliver_pending(now=now)
    event = Event.objects.filter(kind=kind).latest("pk")
    rows = Delivery.objects.filter(message__event=event, message__template="reminder")
    if not rows:
        assert not Message.objects.filter(event=event).exists()
    return {row.recipient.removesuffix("@example.test") for row in rows}


def is_true(kind: str) -> bool:
    return bool(import_string(REMINDERS[kind])(Event.objects.filter(kind=kind).latest("pk")))


@pytest.fixture
def over(incident: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime) -> Incident:
    """A P0 that Ida led and resolved; Lena and Otto helped, Rosa may be commander and had nothing to do with it."""
    everybody_has_a_contact()
    for name in ("lena", "otto"):
        make_actor(name)
        add_responder(incident_id=incident.pk, username=name, actor=commander, now=now)
    make_actor("rosa", "commander", "incident_commander")
    everybody_has_a_contact()
    resolve_incident(incident_id=incident.pk, resolution="Back", root_cause="Key", actor=commander, now=now)
    deliver_pending(now=now)
    incident.refresh_from_db()
    return incident


@pytest.fixture
def lena(over: Incident) -> Actor:
    return _as("lena")


def _as(name: str) -> Actor:
    return actor_for_user(User.objects.get(username=name))


def test_the_owner_hears_of_the_draft_at_once(over: Incident, now: dt.datetime) -> None:
    event = Event.objects.get(kind="report.drafted")
    report = Report.objects.get()
    assert event.summary == f"Report drafted, to be published until {report.due_at:%Y-%m-%d %H:%M} UTC"
    assert told("report.drafted", now) == {"ida"}
    assert is_true("report.drafted")


def test_the_second_person_hears_that_a_report_was_handed_in(
    over: Incident, commander: Actor, lena: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "now": now}
    reports.edit_report(texts=TEXTS, actor=commander, **by)
    reports.submit_report(actor=lena, **by)
    assert told("report.submitted", now) == {"otto"}  # neither who wrote it nor who handed it in
    assert is_true("report.submitted")
    reports.return_report(reason="Say more", actor=_as("otto"), **by)
    assert not is_true("report.submitted")
    assert told("report.returned", now) == {"ida", "lena"}
    assert is_true("report.returned")
    reports.edit_report(texts={"impact": "More"}, actor=_as("otto"), **by)
    reports.submit_report(actor=commander, **by)
    assert told("report.submitted", now) == {"lena", "otto"}  # of two who wrote, each read the other's words
    over.responders.filter(user__username__in=("lena", "otto")).update(until=now)
    reports.return_report(reason="Say more", actor=_as("rosa"), **by)
    reports.submit_report(actor=commander, **by)
    assert told("report.submitted", now) == {"rosa"}  # nobody of its people is left: who may command


def test_who_wrote_may_publish_where_one_person_is_enough(
    over: Incident, commander: Actor, lena: Actor, now: dt.datetime
) -> None:
    Incident.objects.filter(pk=over.pk).update(severity="P3")
    by: dict[str, Any] = {"incident_id": over.pk, "now": now}
    reports.edit_report(texts=TEXTS, actor=commander, **by)
    reports.submit_report(actor=lena, **by)
    assert told("report.submitted", now) == {"ida"}  # she leads


def test_a_restricted_report_is_told_to_nobody_who_may_not_see_it(
    over: Incident, commander: Actor, lena: Actor, now: dt.datetime
) -> None:
    Incident.objects.filter(pk=over.pk).update(restricted=True)
    by: dict[str, Any] = {"incident_id": over.pk, "now": now}
    reports.edit_report(texts=TEXTS, actor=commander, **by)
    over.responders.filter(user__username__in=["otto"]).update(until=now)
    reports.submit_report(actor=lena, **by)
    event = Event.objects.filter(kind="report.submitted").latest("pk")
    assert event.data["to"] == ["technical_team"]  # who reads there no more than the code name


def test_whoever_is_given_a_report_hears_it_unless_they_took_it(
    over: Incident, commander: Actor, lena: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"incident_id": over.pk, "now": now}
    reports.give_report(owner="lena", actor=commander, **by)
    assert told("report.given", now) == {"lena"}
    assert is_true("report.given")
    reports.give_report(owner=None, actor=commander, **by)
    assert told("report.given", now) == set()
    reports.give_report(owner="lena", actor=lena, **by)
    assert told("report.given", now) == set()


def test_whoever_is_given_an_action_item_hears_it_unless_they_took_it(
    over: Incident, commander: Actor, lena: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {"actor": commander, "now": now}
    action_items.create_action_item(incident_id=over.pk, title="Nobody's", **by)
    assert told("action_item.created", now) == set()
    item = action_items.create_action_item(incident_id=over.pk, title="Look", owner="lena", **by)
    assert told("action_item.created", now) == {"lena"}
    assert is_true("action_item.created")
    action_items.edit_action_item(item_id=item.pk, due_on=now.date(), **by)
    assert told("action_item.changed", now) == set()
    action_items.edit_action_item(item_id=item.pk, owner="otto", **by)
    assert told("action_item.changed", now) == {"otto"}
    assert not is_true("action_item.created")
    action_items.edit_action_item(item_id=item.pk, owner="lena", actor=lena, now=now)
    assert told("action_item.changed", now) == set()
    action_items.complete_action_item(item_id=item.pk, **by)
    assert not is_true("action_item.changed")


def test_whoever_is_given_an_item_of_a_checklist_hears_it(
    over: Incident, commander: Actor, now: dt.datetime
) -> None:
    by: dict[str, Any] = {
        "incident_id": over.pk, "checklist": "analysis", "item": "root_cause", "actor": commander, "now": now,
    }  # fmt: skip
    assign_item(user="lena", **by)
    assert told("checklist.assigned", now) == {"lena"}
    assert is_true("checklist.assigned")
    assign_item(user="ida", **by)
    assert told("checklist.assigned", now) == set()
    assign_item(user=None, **by)
    assert told("checklist.assigned", now) == set()
    assert not is_true("checklist.assigned")


@pytest.mark.parametrize(("kind", "sees"), [("quarterly", {"rosa"}), ("weekly", {"rosa", "carl"})])
def test_who_may_sign_off_hears_that_a_review_was_held(
    over: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime, kind: str, sees: set[str]
) -> None:
    make_actor("carl", "commander")
    reviews.open_due_review(kind=kind, now=now - 200 * DAY)
    review = reviews.open_due_review(kind=kind, now=now)
    assert review is not None
    reviews.hold_review(review_id=review.pk, attendees=["ida", "rosa"], actor=commander, now=now)
    assert told("review.held", now) == sees
    assert is_true("review.held")
    reviews.sign_off_review(review_id=review.pk, actor=_as("rosa"), now=now)
    assert not is_true("review.held")
    assert Review.objects.get(pk=review.pk).state == "signed_off"
