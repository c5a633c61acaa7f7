"""Rate limits: held over all processes by PostgreSQL alone, without a write for every request."""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from core import ratelimits
from core.api import authentication
from core.client_address import sender_of
from core.models import RateBudget, User
from core.ratelimits import BUDGETS, Budgets, forget_old_budgets, seconds_until_room
from incidents.models import Incident
from tests.api.conftest import issue

INCIDENTS = "/api/v1/incidents/"
WRONG = "fb_000000000000_" + "a" * 43
Limit = Callable[..., None]


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has counted nothing and seen no token yet."""
    monkeypatch.setattr(authentication, "_KNOWN", authentication.KnownTokens())
    BUDGETS.forget()
    yield
    BUDGETS.forget()


@pytest.fixture
def limit(settings: Any) -> Limit:
    """`limit(read=5)`: so many a minute, everything else without a limit."""

    def set_limits(**rates: int) -> None:
        settings.API_RATES = dict.fromkeys(settings.API_RATES, 0) | rates

    return set_limits


def bearer(text: str, **more: Any) -> APIClient:
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {text}", **more)


def statuses(client: APIClient, count: int, path: str = INCIDENTS) -> Counter[int]:
    return Counter(client.get(path).status_code for _ in range(count))


def spent(budgets: Budgets, key: str, limit: int, tries: int) -> int:
    """How many of the tries were allowed."""
    return sum(budgets.spend(key, limit) == 0 for _ in range(tries))


def part_of_the_minute() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8 / 60")
        return float(cursor.fetchone()[0] % 1)


# --- the budget ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_total_of_two_processes_is_held() -> None:
    """Each has its own memory and its own connection, as two processes have."""
    limit, began = 100, time.monotonic()
    start = threading.Barrier(2)

    def flood() -> int:
        try:
            start.wait(30)
            return spent(Budgets(), "token:x:read", limit, 400)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        allowed = [future.result() for future in [pool.submit(flood) for _ in range(2)]]
    elapsed = time.monotonic() - began
    assert sum(allowed) <= limit + math.ceil(elapsed * limit / 60), "what fades at the edge of a minute"
    assert sum(allowed) >= limit * 0.8, "what is left over in a process's hand is little"


@pytest.mark.django_db(transaction=True)
def test_threads_of_one_process_share_its_blocks() -> None:
    limit, budgets, began = 200, Budgets(), time.monotonic()

    def flood() -> int:
        try:
            return spent(budgets, "token:x:read", limit, 100)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        allowed = sum(future.result() for future in [pool.submit(flood) for _ in range(8)])
    assert allowed <= limit + math.ceil((time.monotonic() - began) * limit / 60)
    assert allowed >= limit * 0.8


def test_a_process_that_dies_takes_its_block_with_it_and_no_more(db: None) -> None:
    died = Budgets()
    assert died.spend("k", 100) == 0
    block = RateBudget.objects.get().taken
    assert 1 <= block <= 5
    assert spent(Budgets(), "k", 100, 300) == 100 - block


def test_the_minute_before_counts_as_far_as_it_overlaps(db: None) -> None:
    spent(Budgets(), "k", 600, 1)
    RateBudget.objects.update(minute=RateBudget.objects.get().minute - 1, taken=600, before=0)
    part = part_of_the_minute()
    allowed = spent(Budgets(), "k", 600, 700)
    after = part_of_the_minute()
    if after >= part:  # else the minute ended meanwhile
        assert allowed <= 600 * after + 1
    RateBudget.objects.update(minute=RateBudget.objects.get().minute - 2, taken=600, before=600)
    assert spent(Budgets(), "k", 600, 700) == 600, "two minutes ago is long ago"


def test_counting_writes_once_in_many_requests_and_refusing_never(db: None) -> None:
    budgets = Budgets()
    with CaptureQueriesContext(connection) as captured:
        assert spent(budgets, "k", 12_000, 500) == 500
    assert len(captured) == 10
    spent(budgets, "small", 20, 50)
    with CaptureQueriesContext(connection) as captured:
        assert spent(budgets, "small", 20, 1_000) == 0
    assert len(captured) == 0


def test_no_limit_costs_nothing(db: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert spent(Budgets(), "k", 0, 100) == 100
    assert len(captured) == 0


def test_the_table_is_not_logged(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'core_ratebudget'")
        assert cursor.fetchone() == ("u",)


def test_old_budgets_are_swept_and_used_ones_stay(db: None, now: dt.datetime) -> None:
    for key in ("old", "used"):
        Budgets().spend(key, 100)
    RateBudget.objects.filter(key="old").update(minute=1)
    assert forget_old_budgets(now=now) == 1
    assert [row.key for row in RateBudget.objects.all()] == ["used"]


def test_a_process_remembers_a_bounded_number_of_senders(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimits, "REMEMBERED", 10)
    monkeypatch.setattr(ratelimits, "_take", lambda key, limit: (1, 1, 0, 1.0))  # over at once
    budgets = Budgets()
    for number in range(100):
        budgets.spend(f"address:{number}", 100)
    assert len(budgets._held) <= 10


@settings(max_examples=50)
@given(
    limit=st.integers(1, 20_000),
    taken=st.integers(0, 20_000),
    before=st.integers(0, 20_000),
    part=st.floats(0, 1, exclude_max=True),
)
def test_after_the_wait_there_is_room(limit: int, taken: int, before: int, part: float) -> None:
    taken = min(taken, limit)
    before = min(before, limit)

    def room_at(later: float) -> float:
        if later < 1:
            return limit - taken - before * (1 - later)
        return limit - taken * (2 - later)

    waits = seconds_until_room(limit=limit, taken=taken, before=before, part=part)
    assert 1 <= waits <= 121
    if room_at(part) < 1:
        assert room_at(part + waits / 60) >= 1 - 1e-6
        assert waits == 1 or room_at(part + (waits - 1) / 60) < 1 + 1e-6, "no longer than needed"


# --- at the door --------------------------------------------------------------------------------


def test_a_token_has_its_rate_and_is_told_when_to_come_again(ida: User, limit: Limit) -> None:
    limit(read=6)
    client = bearer(issue(ida, "read", "write"))
    assert statuses(client, 6) == {200: 6}
    refused = client.get(INCIDENTS)
    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    assert 1 <= int(refused["Retry-After"]) <= 120
    assert refused.json()["code"] == "throttled"
    assert client.post(INCIDENTS, {"title": "Down", "severity": "P3"}).status_code == 201, "writing is apart"
    assert statuses(bearer(issue(ida, "read")), 2) == {200: 2}, "another token has its own"


def test_writing_has_its_rate(ida: User, limit: Limit) -> None:
    limit(write=3)
    client = bearer(issue(ida, "read", "write"))
    body = {"title": "Down", "severity": "P3"}
    assert [client.post(INCIDENTS, body).status_code for _ in range(4)] == [201, 201, 201, 429]
    assert Incident.objects.count() == 3
    assert client.get(INCIDENTS).status_code == 200


def test_refusals_count_too(ida: User, make_user: Callable[..., User], limit: Limit) -> None:
    limit(read=3, write=3)
    assert statuses(bearer(issue(ida, "ingest")), 5) == {403: 3, 429: 2}
    assert statuses(bearer(issue(make_user("nick", ""), "read")), 5) == {403: 3, 429: 2}
    viewer = bearer(issue(make_user("vera", "viewer"), "write"))
    body = {"title": "Down", "severity": "P3"}
    assert Counter(viewer.post(INCIDENTS, body).status_code for _ in range(5)) == {403: 3, 429: 2}


def test_an_account_in_the_browser_has_its_rate_too(
    ida: User, person: Callable[[User], APIClient], limit: Limit
) -> None:
    limit(read=4)
    assert statuses(person(ida), 6) == {200: 4, 429: 2}
    assert statuses(person(ida), 1) == {429: 1}, "another browser is the same account"


@pytest.mark.parametrize("path", [INCIDENTS, "/api/v1/schema/", "/api/v1/nothing/"])
def test_who_says_nothing_about_themselves_is_slowed_by_address(db: None, limit: Limit, path: str) -> None:
    limit(anonymous=5)
    counted = statuses(APIClient(), 8, path)
    assert counted[429] == 3
    assert statuses(APIClient(REMOTE_ADDR="192.0.2.7"), 1, path)[429] == 0


def test_a_token_guessed_a_hundred_times_is_slowed(ida: User, limit: Limit) -> None:
    limit(refused=10)
    assert statuses(bearer(WRONG), 100) == {401: 10, 429: 90}
    with CaptureQueriesContext(connection) as captured:
        refused = bearer("fb_000000000001_" + "b" * 43).get(INCIDENTS)
    assert (refused.status_code, len(captured)) == (429, 0), "no guess is even looked up"
    assert int(refused["Retry-After"]) >= 1
    elsewhere = bearer(issue(ida, "read"), REMOTE_ADDR="192.0.2.7")
    assert elsewhere.get(INCIDENTS).status_code == 200


def test_a_guesser_in_the_same_office_stops_no_token_that_works(ida: User, limit: Limit) -> None:
    limit(refused=3)
    working, fresh = bearer(issue(ida, "read")), bearer(issue(ida, "read"))
    assert working.get(INCIDENTS).status_code == 200
    statuses(bearer(WRONG), 10)
    assert working.get(INCIDENTS).status_code == 200
    assert fresh.get(INCIDENTS).status_code == 429, "one that this process has not seen waits"


def test_few_known_tokens_are_remembered() -> None:
    known = authentication.KnownTokens(most=3)
    for number in range(5):
        known.add(str(number))
    assert [known.has(str(number)) for number in range(5)] == [False, False, True, True, True]


def test_redis_and_the_cache_play_no_part(ida: User, limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*args: object, **kwargs: object) -> None:
        raise AssertionError("asked for")

    monkeypatch.setattr("redis.connection.AbstractConnection.connect", dead)
    for verb in ("get", "get_many", "set", "add", "incr", "touch"):
        monkeypatch.setattr(f"django.core.cache.backends.db.DatabaseCache.{verb}", dead)
    limit(read=5, refused=2)
    assert statuses(bearer(issue(ida, "read")), 7) == {200: 5, 429: 2}
    assert statuses(bearer(WRONG), 4) == {401: 2, 429: 2}


def test_a_database_that_cannot_count_lets_everybody_pass(
    ida: User, limit: Limit, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(read=1)

    def broken(key: str, limit: int) -> None:
        raise OperationalError("lock timeout")

    monkeypatch.setattr(ratelimits, "_take", broken)
    assert statuses(bearer(issue(ida, "read")), 3) == {200: 3}


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        (2, "1.2.3.4, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (1, "2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (3, "1.2.3.4, 203.0.113.9", "127.0.0.1"),  # it came around one of the proxies
        (1, "x" * 500, "127.0.0.1"),
        (1, "", "127.0.0.1"),
    ],
)
def test_the_address_is_the_one_before_the_proxies_of_ones_own(
    rf: Any, settings: Any, proxies: int, forwarded: str, expected: str
) -> None:
    settings.NUM_PROXIES = proxies
    assert sender_of(rf.get("/", HTTP_X_FORWARDED_FOR=forwarded)) == expected


def test_a_forged_address_gains_nothing(db: None, limit: Limit) -> None:
    limit(anonymous=5)
    counted = Counter(
        APIClient().get(INCIDENTS, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}").status_code
        for number in range(10)
    )
    assert counted == {401: 5, 429: 5}
