"""The retrospective of one incident: opened from its report, seen by who may see the incident, and what came of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from rest_framework.test import APIClient

from comms.models import Message
from core.actors import Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import ActionItem, Incident, Report, Review
from incidents.selectors.reviews import is_review_due, list_reviews, read_agenda
from incidents.services import reviews
from incidents.services.action_items import create_action_item
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.reviews import look_after_reviews, open_retrospective
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


def over(commander: Actor, now: dt.datetime, **more: Any) -> Incident:
    """An incident that was resolved an hour ago, with its report drafted."""
    given: dict[str, Any] = {"title": "Checkout fails", "severity": "P1"}
    incident = declare_incident(actor=commander, now=now - 3 * HOUR, **given | more)
    resolve_incident(
        incident_id=incident.pk, resolution="Rolled back", root_cause="A bad release", actor=commander,
        now=now - HOUR,
    )  # fmt: skip
    for _ in range(3):
        deliver_pending(now=now)
    return Incident.objects.get(pk=incident.pk)


def test_its_agenda_is_what_the_report_says(commander: Actor, now: dt.datetime) -> None:
    incident = over(commander, now)
    report = Report.objects.get(incident=incident)
    texts = {"went_well": "- Seen at once\n- Many helped", "could_be_improved": "No alarm on the basket"}
    for section, text in texts.items():
        report.texts.update_or_create(
            section=section,
            defaults={"text": text, "changed_at": now, "changed_by": "ida", "by_machine": False},
        )
    create_action_item(title="Add the alarm", incident_id=incident.pk, owner="ida", actor=commander, now=now)
    review = open_retrospective(incident_id=incident.pk, actor=commander, now=now)
    assert (review.state, review.kind, review.period, review.due_at) == (
        "open", "", "", now - HOUR + 7 * DAY,
    )  # fmt: skip
    assert (review.begins_at, review.ends_at) == (incident.started_at, incident.resolved_at)
    sections = {section.key: section for section in read_agenda(review.agenda)}
    assert list(sections) == [
        "timeline", "causes", "went_well", "could_be_improved", "action_items", "checklists",
    ]  # fmt: skip
    said = {key: [line.text for line in section.lines] for key, section in sections.items()}
    assert said["causes"] == ["A bad release"]
    assert said["went_well"] == ["Seen at once", "Many helped"]
    assert said["could_be_improved"] == ["No alarm on the basket"]
    assert said["action_items"] == ["Add the alarm"]
    assert any("declared" in text for text in said["timeline"])
    assert all(line.incident == incident.ref for section in sections.values() for line in section.lines)
    [told] = Event.objects.filter(kind="review.opened")
    assert (told.stream_id, told.data["to"]) == (incident.stream_id, ["role_holders"])
    assert is_review_due(told)
    deliver_pending(now=now)
    [message] = Message.objects.filter(event=told)
    assert (message.incident, message.audiences) == (incident, ["role_holders"])
    assert f"Retrospective of {incident.ref}" in message.subject + message.body


def test_there_is_one_and_only_of_what_is_over(commander: Actor, now: dt.datetime) -> None:
    by: dict[str, Any] = {"actor": commander, "now": now}
    still = declare_incident(title="Still on", severity="P2", **by)
    with pytest.raises(Conflict, match="is not over"):
        open_retrospective(incident_id=still.pk, **by)
    incident = over(commander, now)
    with pytest.raises(Invalid):
        open_retrospective(incident_id=incident.pk, due_at=now, **by)
    open_retrospective(incident_id=incident.pk, **by)
    with pytest.raises(Conflict, match="already"):
        open_retrospective(incident_id=incident.pk, **by)
    about: dict[str, Any] = {"begins_at": now - DAY, "ends_at": now, "opened_at": now, "due_at": now}
    with pytest.raises(IntegrityError, match="one_retrospective_per_incident"), transaction.atomic():
        Review.objects.create(name="Twice", incident=incident, opened_by="x", **about)
    late = over(commander, now - 30 * DAY)
    assert open_retrospective(incident_id=late.pk, **by).due_at == now + DAY  # the week is long over


def test_it_is_held_signed_off_and_reminded_of_on_the_incident(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = over(commander, now)
    review = open_retrospective(incident_id=incident.pk, actor=commander, now=now)
    look_after_reviews(now=review.due_at)
    at: dict[str, Any] = {"review_id": review.pk, "now": review.due_at + HOUR}
    reviews.hold_review(**at, attendees=["ida"], notes={"causes": "Right"}, actor=commander)
    with pytest.raises(NotAllowed, match="Another person"):
        reviews.sign_off_review(**at, actor=commander)
    reviews.sign_off_review(**at, actor=make_actor("otto", "commander"))
    kinds = Event.objects.filter(kind__startswith="review.", stream=incident.stream).order_by("seq")
    assert list(kinds.values_list("kind", flat=True)) == [
        "review.opened", "review.overdue", "review.held", "review.signed_off",
    ]  # fmt: skip


def test_who_may_not_see_the_incident_sees_no_retrospective(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = over(commander, now, restricted=True)
    review = open_retrospective(incident_id=incident.pk, actor=commander, now=now)
    otto = make_actor("otto", "commander")
    assert list(list_reviews(otto)) == []
    at: dict[str, Any] = {"review_id": review.pk, "now": now}
    for refused in (
        lambda: reviews.edit_review(**at, decisions="x", actor=otto),
        lambda: reviews.hold_review(**at, attendees=["otto"], actor=otto),
        lambda: reviews.sign_off_review(**at, actor=otto),
        lambda: create_action_item(title="x", review_id=review.pk, actor=otto, now=now),
        lambda: open_retrospective(incident_id=incident.pk, actor=otto, now=now),
    ):
        with pytest.raises(NotFound):
            refused()
    client, api = Client(), APIClient()
    for door in (client, api):
        sign_in(door, User.objects.get(username="otto"))
    assert incident.ref not in client.get("/reviews/").content.decode()
    for path in ("", "write/", "hold/", "sign_off/", "action-items/new/"):
        assert client.get(f"/reviews/{review.pk}/{path}").status_code == 404, path
    assert api.get("/api/v1/reviews/").json()["results"] == []
    for method, path in (("get", ""), ("patch", ""), ("post", "hold/"), ("post", "sign_off/")):
        sent = {"attendees": ["otto"]} if path == "hold/" else {}
        answer = getattr(api, method)(f"/api/v1/reviews/{review.pk}/{path}", sent)
        assert answer.status_code == 404, (method, path)
    said = {"title": "x", "review": review.pk}
    assert api.post("/api/v1/action-items/", said).status_code == 404
    assert api.post(f"/api/v1/incidents/{incident.ref}/retrospective/", {}).status_code == 404
    system = Event.objects.exclude(stream=incident.stream).filter(kind__startswith="review.")
    assert not system.exists()


def test_what_was_decided_is_tracked(commander: Actor, make_actor: MakeActor, now: dt.datetime) -> None:
    by: dict[str, Any] = {"actor": commander, "now": now}
    incident = over(commander, now)
    retrospective = open_retrospective(incident_id=incident.pk, **by)
    item = create_action_item(title="Add the alarm", review_id=retrospective.pk, owner="ida", **by)
    assert (item.incident, item.review) == (incident, retrospective)  # in the report as well
    weekly = reviews.open_review(name="Look back", begins_at=now - DAY, ends_at=now, due_at=now + DAY, **by)
    of_none = create_action_item(title="Buy a phone", review_id=weekly.pk, **by)
    assert (of_none.incident, of_none.review) == (None, weekly)
    both = create_action_item(title="Both", review_id=weekly.pk, incident_id=incident.pk, **by)
    assert (both.incident, both.review) == (incident, weekly)
    other = over(commander, now)
    with pytest.raises(Invalid, match="another incident"):
        create_action_item(title="x", review_id=retrospective.pk, incident_id=other.pk, **by)
    told = Event.objects.filter(kind="action_item.created", data__review=weekly.pk)
    assert told.count() == 2


def test_it_is_opened_from_the_report_and_has_its_items(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = over(commander, now)
    client = Client()
    sign_in(client, User.objects.get(username="ida"))
    report, at = f"/incidents/{incident.ref}/report/", f"/incidents/{incident.ref}/retrospective/"
    assert at in client.get(report).content.decode()
    assert client.get(at).status_code == 200
    answer = client.post(at, {"due_at": ""})
    review = Review.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/reviews/{review.pk}/")
    page = client.get(report).content.decode()
    assert f"/reviews/{review.pk}/" in page
    assert at not in page
    assert client.post(at, {}).status_code == 409
    shown = client.get(f"/reviews/{review.pk}/").content.decode()
    assert f"Retrospective of {incident.ref}" in shown
    assert "A bad release" in shown
    new = f"/reviews/{review.pk}/action-items/new/"
    answer = client.post(new, {"title": "Add the alarm", "owner": "ida"})
    assert (answer.status_code, answer["Location"]) == (302, f"/reviews/{review.pk}/")
    assert "Add the alarm" in client.get(f"/reviews/{review.pk}/").content.decode()
    item = ActionItem.objects.get()
    done = client.post(f"/action-items/{item.pk}/done/?back=review", {})
    assert done["Location"] == f"/reviews/{review.pk}/"
    assert f"/reviews/{review.pk}/" in client.get(f"/action-items/{item.pk}/").content.decode()


def test_the_api_opens_it_and_lists_what_came_of_it(commander: Actor, now: dt.datetime) -> None:
    incident = over(commander, now)
    api = APIClient()
    sign_in(api, User.objects.get(username="ida"))
    made = api.post(f"/api/v1/incidents/{incident.ref}/retrospective/", {})
    assert (made.status_code, made.json()["incident"], made.json()["kind"]) == (201, incident.ref, "")
    assert made.json()["agenda"][1]["lines"][0]["text"] == "A bad release"
    pk = made.json()["id"]
    again = api.post(f"/api/v1/incidents/{incident.ref}/retrospective/", {})
    assert (again.status_code, again.json()["state"]) == (409, "open")
    assert [row["id"] for row in api.get(f"/api/v1/reviews/?incident={incident.ref}").json()["results"]] == [
        pk
    ]
    item = api.post("/api/v1/action-items/", {"title": "Add the alarm", "review": pk}).json()
    assert (item["review"], item["incident"]) == (pk, incident.ref)
    listed = api.get(f"/api/v1/action-items/?review={pk}").json()["results"]
    assert [row["id"] for row in listed] == [item["id"]]
    assert api.get("/api/v1/action-items/?review=999999").json()["results"] == []
    assert api.post("/api/v1/action-items/", {"title": "x", "review": "1"}).status_code == 400
    upcoming = api.get("/api/v1/reviews/upcoming/").json()["results"]
    assert {row["kind"] for row in upcoming} == {"weekly", "monthly", "quarterly", "annual"}
    assert upcoming == sorted(upcoming, key=lambda row: row["opens_at"])
    assert upcoming[0].keys() == {"kind", "name", "purpose", "cadence", "period", "opens_at", "asked"}
