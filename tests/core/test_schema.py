"""Code that is newer than its database refuses calmly, and goes on by itself once it is migrated."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import InterfaceError, connection
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
    monkeypatch.setattr(schema, "known_migrations", lambda: {**known, TOMORROW: frozenset()})
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


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_what_watches_firebreak_itself_is_let_through(behind: None, path: str) -> None:
    assert Client().get(path).status_code == 200


def test_readiness_says_itself_what_is_missing(behind: None) -> None:
    assert Client().get("/readyz").json()["checks"]["migrations"]["unapplied"] == 1


def test_no_sweep_runs_and_none_says_that_it_works(behind: None) -> None:
    assert run_sweep("core.sweep_outbox") == 0
    assert not Heartbeat.objects.exists()
    watchdog = Watchdog()
    watchdog._started_at -= 10_000
    assert watchdog._overdue() == []


def test_it_goes_on_once_it_is_migrated(behind: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().get("/accounts/login/").status_code == 503
    known = {key: replaced for key, replaced in schema.known_migrations().items() if key != TOMORROW}
    monkeypatch.setattr(schema, "known_migrations", lambda: known)
    assert Client().get("/accounts/login/").status_code == 200
    run_sweep("core.sweep_outbox")
    assert Heartbeat.objects.filter(component="sweep:core.sweep_outbox").exists()


def test_it_asks_the_database_no_more_once_it_is_current(db: None, django_assert_num_queries: object) -> None:
    assert schema.is_current()
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert schema.is_current()


def test_a_squash_of_applied_migrations_is_not_missing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(schema.known_migrations())
    known[TOMORROW] = frozenset({("core", "0001_initial"), ("core", "0000_of_yesterday")})
    monkeypatch.setattr(schema, "known_migrations", lambda: known)
    assert schema.missing_migrations() == ("core.9999_of_tomorrow",)
    known[TOMORROW] = frozenset({("core", "0001_initial")})
    assert schema.missing_migrations() == ()
    assert schema.unknown_in(["core.0001_initial", "core.0000_of_yesterday"]) == ("core.0000_of_yesterday",)
    known[TOMORROW] = frozenset({("core", "0000_of_yesterday")})
    assert schema.unknown_in(["core.0001_initial", "core.0000_of_yesterday"]) == ()


def test_an_empty_database_lacks_every_migration(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path = pg_catalog")
    assert len(schema.missing_migrations()) == len(schema.known_migrations())


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Event]]:
    """Each look at the database that is away waits for its event, up to a second."""
    begun: list[threading.Event] = []

    def away() -> tuple[str, ...]:
        begun.append(threading.Event())
        begun[-1].wait(1)
        raise InterfaceError("connection timeout")

    monkeypatch.setattr(schema, "missing_migrations", away)
    schema.forget()
    yield begun
    monkeypatch.undo()
    schema.forget()


def test_a_database_that_is_away_is_asked_by_one_thread_for_all(looks: list[threading.Event]) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: schema.is_current(), range(8)))
    assert (answers, len(looks)) == ([True] * 8, 1)
    assert time.monotonic() - began < 6, "one second each, one after the other, would be eight"


def test_nobody_waits_for_a_later_look(looks: list[threading.Event], monkeypatch: pytest.MonkeyPatch) -> None:
    assert schema.is_current()
    monkeypatch.setattr(schema, "LOOK_AGAIN_SECONDS", 0.0)
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(schema.is_current)
        while len(looks) < 2:
            time.sleep(0.01)
        began = time.monotonic()
        assert schema.is_current()
        assert time.monotonic() - began < 0.5
        looks[-1].set()
        assert looking.result()
