"""Every hostile input has the answer that the document gives, and what is refused stores nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.test.client import Client

from incidents.models import Incident
from tests.hostile.corpus import CASES, ZERO_WIDTH, Case, table
from tests.hostile.doors import Doors, row_counts
from tests.web import ROOT


def test_every_answer_is_the_documented_one(doors: Doors) -> None:
    """Each case in a savepoint of its own; all that differ are shown at once."""
    wrong = []
    for case in CASES:
        point = transaction.savepoint()
        try:
            _try(doors, case)
        except AssertionError as error:
            wrong.append(f"{case.where}: {case.what}: {str(error)[:600]}")
        transaction.savepoint_rollback(point)
    assert not wrong, "\n".join(wrong)


def _try(doors: Doors, case: Case) -> None:
    before = row_counts()
    answer = case.ask(doors)
    assert answer.status_code == case.status, answer.content[:500]
    if case.status >= 400 or (case.where == "admin" and case.status == 200):
        assert row_counts() == before
        _names_the_field(answer, case)


def _names_the_field(answer: Any, case: Case) -> None:
    if case.where == "API":
        problem = answer.json()
        assert answer["Content-Type"] == "application/problem+json"
        assert problem["status"] == case.status and problem["detail"] and problem["code"]
        assert case.code in ("", problem["code"])
        assert not case.field or case.field in [error["pointer"] for error in problem["errors"]]
    elif case.field and case.where == "page":
        assert case.field in answer.context["form"].errors, answer.context["form"].errors
    elif case.field:
        assert case.field in answer.context["adminform"].form.errors, answer.context["adminform"].form.errors


def test_the_document_shows_exactly_this_table() -> None:
    shown = (ROOT / "docs" / "hostile-input.md").read_text()
    assert table() in shown, f"the document's table must be:\n{table()}"


def test_texts_are_stored_as_the_document_says(doors: Doors) -> None:
    doors.declare(title=" one\r\ntwo\u2028three ", description="a\r\n\tb", impact=ZERO_WIDTH)
    stored = Incident.objects.latest("pk")
    assert (stored.title, stored.description, stored.impact) == ("one two three", "a\n\tb", "")
    doors.declare(title="תקלה بحث 👩‍🚒 é̂")
    assert Incident.objects.latest("pk").title == "תקלה بحث 👩‍🚒 é̂"


@pytest.mark.parametrize("path", ["/accounts/login/", "/admin/login/"])
@pytest.mark.parametrize("login", ["\0", "\ud7ff\x00x", "x" * 100_000, "\u202e", "' OR 1=1 --", "\x1b"])
def test_signing_in_with_anything_is_no_500(db: None, path: str, login: str) -> None:
    browser = Client(raise_request_exception=False)
    answer = browser.post(path, {"login": login, "username": login, "password": login, "next": "//evil.test"})
    assert answer.status_code in (200, 302, 429), answer.content[:500]
    assert "evil.test" not in answer.get("Location", "").split("?")[0]
