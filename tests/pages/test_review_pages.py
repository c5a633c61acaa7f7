"""The pages of reviews, documents and training, and their API: what people see and do there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from core.actors import Actor
from core.clock import utcnow
from core.models import User
from incidents.models import Document, Incident, Review, TrainingRecord
from incidents.services.documents import look_after_documents
from incidents.services.incidents import declare_incident
from incidents.services.reviews import open_review
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture
def browser(commander: Actor) -> Client:
    client = Client()
    sign_in(client, User.objects.get(username="ida"))
    return client


@pytest.fixture
def review(incident: Incident, commander: Actor) -> Review:
    now = utcnow()
    return open_review(
        name="Look back", begins_at=now - DAY, ends_at=now, due_at=now + DAY, actor=commander, now=now
    )


def test_a_review_is_written_up_and_held_on_its_pages(browser: Client, review: Review) -> None:
    at = f"/reviews/{review.pk}/"
    page = browser.get(at).content.decode()
    assert "Checkout fails" in page
    assert "Trends" in page
    answer = browser.post(f"{at}write/", {"note-incidents": "One too many", "attendees": ["ida"]})
    assert answer.status_code == 302
    assert browser.post(f"{at}hold/", {"decisions": "Go on"}).status_code == 422  # who took part?
    answer = browser.post(f"{at}hold/", {"attendees": ["ida"], "decisions": "Go on"})
    assert answer.status_code == 302
    page = browser.get(at).content.decode()
    assert "Go on" in page
    assert "Another person signs it off" in page
    assert "Sign off…" not in page


def test_two_people_write_at_once_and_neither_is_lost(browser: Client, review: Review) -> None:
    at = f"/reviews/{review.pk}/write/"
    form = browser.get(at).context["form"]
    seen = form["seen"].value()
    assert browser.post(at, {"seen": seen, "note-incidents": "Mine"}).status_code == 302
    other = browser.post(at, {"seen": seen, "note-rollbacks": "Theirs"})  # another section
    assert other.status_code == 302
    same = browser.post(at, {"seen": seen, "note-incidents": "Theirs"})
    assert same.status_code == 409
    review.refresh_from_db()
    assert review.notes == {"incidents": "Mine", "rollbacks": "Theirs"}


def test_the_lists_have_what_is_open_and_what_comes_next(browser: Client, review: Review) -> None:
    page = browser.get("/reviews/").content.decode()
    assert f"/reviews/{review.pk}/" in page
    assert "Weekly review" in page
    look_after_documents(now=utcnow())
    page = browser.get("/reviews/documents/").content.decode()
    assert "Emergency contacts" in page
    document = Document.objects.get(key="document:contacts")
    answer = browser.post(f"/reviews/documents/{document.pk}/review/", {"outcome": "changed"})
    assert answer.status_code == 422
    sent = {"outcome": "changed", "note": "Two left"}
    assert browser.post(f"/reviews/documents/{document.pk}/review/", sent).status_code == 302
    assert "Two left" in browser.get("/reviews/documents/").content.decode()


def test_training_is_recorded_and_lapses_in_words(browser: Client) -> None:
    sent = {"course": "procedures", "people": ["ida"], "done_at": "2020-01-01T10:00"}
    assert browser.post("/training/record/", sent).status_code == 302
    page = browser.get("/training/").content.decode()
    assert "1 lapsed" in page
    assert "Lapsed" in page


def test_pages_cost_the_same_with_more(
    browser: Client, review: Review, commander: Actor, make_user: Callable[..., User],
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    now = utcnow()
    for number in range(12):
        user = make_user(f"p{number}", "responder")
        TrainingRecord.objects.create(
            user=user, course="procedures", done_at=now, due_at=now + DAY, recorded_at=now, recorded_by="x"
        )
        Review.objects.create(
            name=f"R{number}", state="missed", begins_at=now - DAY, ends_at=now, opened_at=now, opened_by="x",
            due_at=now,
        )  # fmt: skip
        declare_incident(actor=commander, now=now, title=f"T{number}", severity="P3")
    more = open_review(
        name="More",
        begins_at=now - DAY,
        ends_at=utcnow(),
        due_at=now + DAY,
        actor=commander,
        now=utcnow(),
    )
    for path in ("/reviews/", "/training/", f"/reviews/{more.pk}/", "/reviews/documents/"):
        with django_assert_max_num_queries(14):
            assert browser.get(path).status_code == 200


def test_the_api_says_and_does_the_same(review: Review, commander: Actor) -> None:
    api = APIClient()
    sign_in(api, User.objects.get(username="ida"))
    one = f"/api/v1/reviews/{review.pk}/"
    listed = api.get("/api/v1/reviews/?state=open").json()["results"]
    assert [row["id"] for row in listed] == [review.pk]
    assert "agenda" not in listed[0]
    got = api.get(one)
    assert (got["ETag"], [s["key"] for s in got.json()["agenda"]][:2]) == ('"v1"', ["incidents", "figures"])
    changed = api.patch(one, {"notes": {"figures": "Up"}}, headers={"If-Match": '"v1"'})
    assert (changed.status_code, changed.json()["notes"], changed["ETag"]) == (200, {"figures": "Up"}, '"v2"')
    assert api.patch(one, {"decisions": "x"}, headers={"If-Match": '"v1"'}).status_code == 412
    assert api.patch(one, {"notes": {"figures": None}}).status_code == 400
    held = api.post(f"{one}hold/", {"attendees": ["ida"]})
    assert (held.status_code, held.json()["state"], held.json()["attendees"]) == (200, "held", ["ida"])
    assert api.post(f"{one}hold/", {"attendees": ["ida"]}).json()["state"] == "held"  # 409 says the state
    assert api.post(f"{one}sign_off/").status_code == 403
    bad = {"name": "x", "begins_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}
    assert api.post("/api/v1/reviews/", {**bad, "due_at": "2030-01-01T00:00:00Z"}).status_code == 400
    made = api.post("/api/v1/training/", {"course": "procedures", "people": ["ida"]})
    assert (made.status_code, [row["user"] for row in made.json()]) == (201, ["ida"])
    assert api.get("/api/v1/training/?course=procedures&current=true").json()["results"][0]["lapsed"] is False
    look_after_documents(now=utcnow())
    document = api.get("/api/v1/documents/?due=false").json()["results"][0]
    assert document["state"] == "never"
    reviewed = api.post(f"/api/v1/documents/{document['id']}/review/", {"outcome": "unchanged"})
    assert (reviewed.json()["state"], reviewed.json()["reviewed_by"]) == ("current", "ida")
