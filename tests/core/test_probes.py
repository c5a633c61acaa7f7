"""Probes: answered by anybody's question, never slow, never a 500; metrics not for everybody."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from core.models import User
from core.operation import broker, metrics, readiness
from core.operation.bounded import Bounded
from core.ratelimits import BUDGETS
from core.views import probes
from tests.api.conftest import issue

FAR = {"REMOTE_ADDR": "203.0.113.9"}


def _hang() -> Any:
    time.sleep(20)


@pytest.fixture(autouse=True)
def _fresh_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test asks anew: a question that hangs in one must not be waited for in the next."""
    monkeypatch.setattr(readiness, "_database", Bounded("database", readiness._ask_database))
    monkeypatch.setattr(broker, "queues", Bounded("broker", broker.ask_queue_lengths))


@pytest.fixture
def browser(settings: Any) -> Client:
    """Behind TLS, signed out, by an address that is no allowed host: as a load balancer asks."""
    settings.SECURE_SSL_REDIRECT = True
    return Client(headers={"host": "10.1.2.3:8000"})


def test_alive_needs_no_host_no_tls_no_database(browser: Client) -> None:
    answer = browser.get("/healthz")  # pytest-django forbids the database here
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert browser.post("/healthz").status_code == 405


@pytest.mark.django_db(transaction=True)
def test_ready_says_what_was_asked(browser: Client) -> None:
    answer = browser.get("/readyz")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "ok"
    assert {name: check["state"] for name, check in body["checks"].items()} == {
        "database": "ok",
        "migrations": "ok",
        "due_work": "ok",
        "broker": "ok",
    }
    assert list(body["checks"]["due_work"]["kinds"]) == [key for key, *_ in django_settings.DUE_WORK]
    assert set(body["checks"]["broker"]["queues"]) == {"checks", "comms", "runner.default"}


@pytest.mark.django_db(transaction=True)
def test_an_unapplied_migration_is_not_ready_and_a_newer_one_is(
    browser: Client, as_owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(sql: str) -> None:
        def run() -> None:
            with connection.cursor() as cursor:
                cursor.execute(sql)

        as_owner(run)

    change(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('core', '9999_from_the_future', now())"
    )
    change("DELETE FROM django_migrations WHERE app = 'comms' AND name LIKE '0003%'")
    try:
        answer = browser.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["migrations"]["unapplied"] == 1
    finally:
        change("INSERT INTO django_migrations (app, name, applied)"
               " VALUES ('comms', '0003_deliveries_given_up', now())")  # fmt: skip
    try:
        assert browser.get("/readyz").status_code == 200
    finally:
        change("DELETE FROM django_migrations WHERE name = '9999_from_the_future'")


def _pending(*rows: tuple[str, int, int]) -> None:
    """Two events, and (consumer, seq, seconds until due) of them pending."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_stream (kind, name, head_seq, head_hash) VALUES ('system', 'x', 2, '')"
        )
        for seq in (1, 2):
            cursor.execute(
                "INSERT INTO core_event (stream_id, seq, kind, occurred_at, recorded_at, actor_kind, actor,"
                " source, summary, data, canonical, hash)"
                " VALUES (1, %s, 'x', now(), now(), 'system', '', '', '', '{}', '', '')",
                [seq],
            )
        for consumer, seq, due in rows:
            cursor.execute(
                "INSERT INTO core_pendingevent (event_id, consumer, stream_id, seq, attempts, due_at, last_error)"
                " VALUES (%s, %s, 1, %s, 0, now() + make_interval(secs => %s), '')",
                [seq, consumer, seq, due],
            )


@pytest.mark.django_db(transaction=True)
def test_overdue_work_is_degraded_and_still_served(browser: Client) -> None:
    _pending(("comms.routing", 1, -180))
    answer = browser.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"]["due_work"]["detail"] == "overdue: events"


@pytest.mark.django_db(transaction=True)
def test_what_waits_behind_a_retry_is_not_overdue(browser: Client) -> None:
    _pending(("comms.routing", 1, 60), ("comms.routing", 2, -300))
    answer = browser.get("/readyz").json()
    assert (answer["status"], answer["checks"]["due_work"]["kinds"]["events"]["count"]) == ("ok", 0)


def test_a_database_that_hangs_is_503_within_two_seconds(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_database", Bounded("database", _hang))
    started = time.monotonic()
    answer = browser.get("/readyz")
    assert time.monotonic() - started < 2.2
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"]["detail"] == "no answer within 1 s"


def test_a_database_that_is_gone_tells_no_secret(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> float:
        raise OSError("connection to postgres://firebreak:hunter2@db/ failed")

    monkeypatch.setattr(readiness, "_database", Bounded("database", gone))
    answer = browser.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"]["detail"] == "cannot be reached"
    assert b"hunter2" not in answer.content


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_or_hangs_is_degraded(browser: Client, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis+socket:///tmp/nobody-listens-here.sock?virtual_host=0"
    answer = browser.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert broker.queue_lengths() == ({}, "It cannot be reached")


# --- metrics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "asked", "expected"),
    [
        (0, {}, 200),  # from this machine
        (0, FAR, 401),
        (0, {"REMOTE_ADDR": ""}, 401),  # a Unix socket: nobody knows who
        (0, {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}, 401),  # a proxy on this machine that nobody declared
        (0, {"HTTP_X_REAL_IP": "127.0.0.1"}, 401),
        (0, {"HTTP_VIA": "1.1 proxy"}, 401),
        (1, {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}, 401),
        (1, {"HTTP_X_FORWARDED_FOR": "127.0.0.1, 203.0.113.9"}, 401),  # forged by who asks
        (1, {"HTTP_X_FORWARDED_FOR": "203.0.113.9, 127.0.0.1"}, 200),  # the proxy's own word
        (2, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 401),  # shorter than it must be
        (1, {"HTTP_X_FORWARDED_FOR": "nonsense"}, 401),
        (0, {"HTTP_HOST": "rebound.example"}, 401),  # a browser led here by its attacker's name
        (0, {"HTTP_HOST": "10.0.0.5:8000"}, 200),
        (0, {"REMOTE_ADDR": "::ffff:127.0.0.1"}, 200),
        (0, {"REMOTE_ADDR": "::1"}, 200),
    ],
)  # fmt: skip
def test_who_reads_metrics_without_a_token(
    settings: Any, monkeypatch: pytest.MonkeyPatch, proxies: int, asked: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr(probes, "render_metrics", lambda: b"")
    settings.NUM_PROXIES = proxies
    assert Client().get("/metrics", **asked).status_code == expected  # type: ignore[arg-type]


@pytest.mark.django_db(transaction=True)
def test_a_token_needs_the_scope_read_and_an_owner_who_may_read(make_user: Any) -> None:
    def ask(text: str) -> int:
        return Client().get("/metrics", headers={"authorization": text}, **FAR).status_code  # type: ignore[arg-type]

    user: User = make_user("prometheus", "viewer")
    assert ask(f"Bearer {issue(user, 'read')}") == 200
    assert ask(f"Bearer {issue(user, 'write')}") == 401
    assert ask(f"Bearer {issue(user, 'read', days=-1)}") == 401
    assert ask("Bearer nonsense") == 401
    assert ask("Basic YTpi") == 401
    lost = make_user("lost", "")
    assert ask(f"Bearer {issue(lost, 'read')}") == 401


@pytest.mark.django_db(transaction=True)
def test_whoever_guesses_tokens_at_metrics_is_slowed_down(settings: Any) -> None:
    settings.API_RATES = {**django_settings.API_RATES, "refused": 2}
    BUDGETS.forget()
    try:
        answers = [Client().get("/metrics", headers={"authorization": "Bearer x"}, **FAR) for _ in range(4)]  # type: ignore[arg-type]
    finally:
        BUDGETS.forget()
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert 1 <= int(answers[-1]["Retry-After"]) <= 120


@pytest.mark.django_db(transaction=True)
def test_metrics_parse_and_have_few_labels() -> None:
    for path in ("/accounts/login/", "/nowhere/1/", "/nowhere/2/", "/incidents/INC-2026-01-01-0001/"):
        Client().get(path)
    Client().generic("BREW", "/nowhere/3/")
    text = Client().get("/metrics").content.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    documented = (django_settings.BASE_DIR / "docs" / "operation.md").read_text()
    for name, family in families.items():
        assert family.documentation, name
        assert f"`{name}" in documented, f"{name} is missing in docs/operation.md"
    (due,) = (line for line in documented.splitlines() if line.startswith("| `firebreak_due_work`"))
    kinds = {sample.labels["kind"] for sample in families["firebreak_due_work"].samples}
    assert [kind for kind in kinds if f"`{kind}`" not in due] == []
    requests = families["firebreak_http_requests"].samples
    labels = {(s.labels["route"], s.labels["method"]) for s in requests if s.name.endswith("_total")}
    assert ("unmatched", "other") in labels
    assert ("incidents/<slug:ref>/", "GET") in labels
    assert not [route for route, _method in labels if re.search(r"nowhere|/\d+(/|$)|INC-", route)]
    assert {s.labels["process"] for s in families["firebreak_process_running"].samples} == set(
        django_settings.EXPECTED_PROCESSES
    )


@pytest.mark.django_db
def test_a_scrape_costs_the_same_however_much_there_is(
    incident: Any, django_assert_num_queries: Any, shop: Any, commander: Any, now: Any
) -> None:
    from tests.pages.conftest import declare, watch

    metrics._collect_all()
    with django_assert_num_queries(22):
        metrics._collect_all()
    for number in range(5):
        declare(commander, now, number, "shop")
        watch("shop", now)
    with django_assert_num_queries(22):
        metrics._collect_all()


def test_metrics_of_a_hanging_database_are_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(metrics, "_families", Bounded("metrics", _hang))
    assert Client().get("/metrics").status_code == 503


def test_one_question_at_a_time() -> None:
    asked: list[int] = []

    def slow() -> int:
        asked.append(1)
        time.sleep(0.3)
        return len(asked)

    question = Bounded("slow", slow)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            question.answer(0.01)
    assert question.answer(2) == 1
    assert question.answer(2) == 2


def test_checks_pass_with_the_settings_of_operation() -> None:
    call_command("check")
