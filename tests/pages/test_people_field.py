"""The field in which people name accounts, and the page of training with many of them."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.clock import utcnow
from core.models import User
from incidents.models import Review, TrainingRecord
from incidents.selectors.training import PAGE
from incidents.services.training import MOST_PEOPLE
from tests.pages.conftest import SignIn

DAY = dt.timedelta(days=1)


def recorded(browser: Client, people: Any) -> Any:
    return browser.post("/training/record/", {"course": "procedures", "people": people})


@pytest.fixture
def several(make_user: Any) -> None:
    for name, level in (("otto", "responder"), ("Rosa.May", "viewer"), ("gone", "responder")):
        make_user(name, level)
    User.objects.filter(username="gone").update(is_active=False)
    User.objects.filter(username="otto").update(first_name="Otto", last_name="Maier")


@pytest.mark.parametrize("people", [["otto", "ida"], "otto, ida", "ida otto", ["OTTO", "ida,otto"]])
def test_names_are_taken_as_chips_or_as_a_text(ida: Client, several: None, people: Any) -> None:
    assert recorded(ida, people).status_code == 302
    assert set(TrainingRecord.objects.values_list("user__username", flat=True)) == {"ida", "otto"}


@pytest.mark.parametrize(
    ("people", "said"),
    [
        ("", "This field is required."),
        ("otto, zebra", "There is no account “zebra”."),
        ("gone", "There is no account “gone”."),
        ("ott", "There is no account “ott”. Did you mean otto?"),
        ("<b>x</b>", "There is no account “<b>x</b>”."),
        ("a\0b", "There is no account “a\0b”."),
        ("x" * 5_000, f"There is no account “{'x' * 60}”."),
        (" ".join(f"p{n}" for n in range(MOST_PEOPLE + 1)), f"Name {MOST_PEOPLE} people at most."),
    ],
)
def test_who_is_unknown_is_named(ida: Client, several: None, people: str, said: str) -> None:
    answer = recorded(ida, people)
    assert answer.status_code == 422
    assert said in answer.context["form"].errors["people"]
    assert not TrainingRecord.objects.exists()
    assert "<b>x</b>" not in answer.content.decode()


def test_what_is_offered_fits_what_is_typed(ida: Client, several: None, sign_in: SignIn) -> None:
    def offered(browser: Client = ida, **asked: str) -> list[str]:
        return [offer["slug"] for offer in browser.get("/search/people/", asked).json()["people"]]

    assert set(offered()) == {"Rosa.May", "ida", "otto"}
    assert offered(q="OT") == ["otto"]
    assert offered(q="mai") == ["otto"]
    assert offered(q="may") == ["Rosa.May"]
    assert offered(q="gone") == offered(q="%") == offered(q="ida zebra") == []
    [one] = ida.get("/search/people/?q=otto").json()["people"]
    assert one == {"slug": "otto", "name": "Otto Maier", "detail": "responder"}


def test_the_form_is_as_small_with_many(ida: Client, make_user: Any) -> None:
    """It was a checkbox for each of them."""

    def price() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            page = html.unescape(ida.get("/training/record/").content.decode())
        return len(queries), page.count("<option")

    few, _ = price()
    for number in range(70):
        make_user(f"p{number:03}", "responder")
    many, offered = price()
    assert many <= few
    assert offered < 60


def test_who_has_left_since_may_stay_in_the_minutes(ida: Client, several: None) -> None:
    now = utcnow()
    review = Review.objects.create(
        name="Look back", begins_at=now - DAY, ends_at=now, opened_at=now, opened_by="x", due_at=now + DAY
    )
    review.attendees.set(User.objects.filter(username__in=["gone", "ida"]))
    form = ida.get(f"/reviews/{review.pk}/write/").context["form"]
    sent = {"seen": form["seen"].value(), "attendees": ["gone", "ida"], "decisions": "Go on"}
    assert ida.post(f"/reviews/{review.pk}/write/", sent).status_code == 302
    review.refresh_from_db()
    assert review.decisions == "Go on"
    assert {user.get_username() for user in review.attendees.all()} == {"gone", "ida"}


def test_training_has_pages_and_counts_all_of_them(ida: Client, make_user: Any) -> None:
    for number in range(PAGE + 5):
        make_user(f"p{number:03}", "responder")
    lapsed = User.objects.get(username="p090")
    now = utcnow()
    TrainingRecord.objects.create(
        user=lapsed, course="procedures", done_at=now - 2 * DAY, due_at=now - DAY, recorded_at=now,
        recorded_by="x",
    )  # fmt: skip
    first = ida.get("/training/").content.decode()
    second = ida.get("/training/?page=2").content.decode()
    assert "1 lapsed" in first
    # Two courses are for every responder, the drill for ida alone, who holds a role.
    assert f"{2 * (PAGE + 6) - 1 + 1} never" in first
    assert first.index("<bdi>p090</bdi>") < first.index("<bdi>p000</bdi>")
    names = [f"<bdi>p{number:03}</bdi>" for number in range(PAGE + 5)]
    assert all((name in first) != (name in second) for name in names)
    assert "?page=2" in first
    assert "?page=1" in second
    for page in ("0", "-1", "x", "99999", "9999999"):
        assert ida.get("/training/", {"page": page}).status_code == 200
    matrix = ida.get("/api/v1/training/matrix/").json()
    assert (len(matrix["people"]), matrix["has_more"], matrix["counts"]["lapsed"]) == (PAGE, True, 1)
    assert matrix["people"][0]["user"] == "p090"
    assert matrix["people"][0]["courses"][0].keys() == {"course", "state", "done_at", "due_at"}
    assert [course["key"] for course in matrix["courses"]] == [
        "procedures", "emergency_response", "rollback_drill",
    ]  # fmt: skip
    rest = ida.get("/api/v1/training/matrix/?page=2").json()
    assert (len(rest["people"]), rest["has_more"]) == (6, False)
    assert ida.get("/api/v1/training/matrix/?page=0").status_code == 400
    assert ida.get("/api/v1/training/matrix/?pages=1").status_code == 400
