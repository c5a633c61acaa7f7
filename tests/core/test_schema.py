"""Code that is newer than its database refuses calmly, and goes on by itself once it is migrated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from core import schema
from core.models import Heartbeat
from core.sweeps import run_sweep
from core.watchdog import Watchdog

TOMORROW = ("core", "9999_of_tomorrow")


@pytest.fixture
def behind(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database lacks a migration that this code has."""
    known = schema.known_migrations()
    monkeypatch.setattr(schema, "known_migrations", lambda: known | {TOMORROW})
    monkeypatch.setattr(schema, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("core.sweeps.close_old_connections", lambda: None)  # the test's own transaction
    schema.forget()
    yield
    monkeypatch.undo()
    schema.forget()
    assert schema.is_current()


def test_the_test_database_is_current(db: None) -> None:
    assert schema.missing_migrations() == ()


@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/admin/", "/no/such/page"])
def test_pages_say_that_it_is_being_upgraded(behind: None, path: str) -> None:
    answer = Client().get(path)
    assert (answer.status_code, answer["Retry-After"], answer["Cache-Control"]) == (503, "5", "no-store")
    assert "being upgraded" in answer.content.decode()


@pytest.mark.parametrize("path", ["/api/v1/incidents/", "/v2/enqueue"])
def test_the_api_answers_with_a_problem(behind: None, path: str) -> None:
    answer = Client().post(path, "{}", content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert answer.json()["status"] == 503


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_watches_firebreak_itself_is_let_through(behind: None, path: str) -> None:
    assert Client().get(path).status_code != 503


def test_no_sweep_runs_and_none_says_that_it_works(behind: None) -> None:
    assert run_sweep("core.sweep_outbox") == 0
    assert not Heartbeat.objects.exists()
    watchdog = Watchdog()
    watchdog._started_at -= 10_000
    assert watchdog._overdue() == []


def test_it_goes_on_once_it_is_migrated(behind: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().get("/accounts/login/").status_code == 503
    known = schema.known_migrations()
    monkeypatch.setattr(schema, "known_migrations", lambda: known - {TOMORROW})
    assert Client().get("/accounts/login/").status_code == 200
    run_sweep("core.sweep_outbox")
    assert Heartbeat.objects.filter(component="sweep:core.sweep_outbox").exists()


def test_it_asks_the_database_no_more_once_it_is_current(db: None, django_assert_num_queries: object) -> None:
    assert schema.is_current()
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert schema.is_current()
