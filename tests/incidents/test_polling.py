"""Asking real sources: concurrently, joined where one request can ask for many, and none holds up the others."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from core.actors import SYSTEM
from core.clock import utcnow
from core.http import GuardedClient
from incidents import polling
from incidents.facts import Question, Reading
from incidents.models import Monitor, Sample, Service
from incidents.services.monitors import create_monitor
from incidents.sources import SOURCES, prometheus
from incidents.states import FailureKind, SampleOutcome

O, F = SampleOutcome, FailureKind  # noqa: E741


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def httpserver() -> Iterator[HTTPServer]:
    """One that answers several at once."""
    with HTTPServer(threaded=True) as server:
        yield server


def ask(server: HTTPServer, *queries: str, **volume: str) -> list[Reading]:
    source = {"type": "prometheus", "url": server.url_for("").rstrip("/")}
    questions = [Question({**source, "query": query, **volume}, "error_rate", 60) for query in queries]

    async def run() -> list[Reading]:
        async with GuardedClient() as client:
            return await prometheus.read_many(client, questions)

    return asyncio.run(run())


class FakePrometheus:
    """Understands as much PromQL as the joining writes; `answers` maps a query to its values.

    The real one is asked the same in tests/flows.
    """

    def __init__(
        self, server: HTTPServer, answers: dict[str, list[str]], refused: str = "", too_slow: str = ""
    ) -> None:
        self.answers, self.refused, self.too_slow = answers, refused, too_slow
        self.asked: list[str] = []
        server.expect_request("/api/v1/query", method="POST").respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        query = parse_qs(request.get_data(as_text=True))["query"][0]
        self.asked.append(query)
        if self.refused and self.refused in query:
            return _json({"status": "error", "errorType": "bad_data", "error": "parse error"}, 400)
        if self.too_slow and self.too_slow in query:
            return _json({"status": "error", "errorType": "timeout", "error": "query timed out"}, 503)
        result = []
        if "label_replace" not in query:
            result = [{"metric": {}, "value": [1, value]} for value in self.answers[query]]
        for n, part in enumerate(query.split(" or ")) if "label_replace" in query else ():
            asked = part.split("\n")[1]
            assert part.endswith(f'"{prometheus.MARK}", "{n}", "", "")')
            result += [
                {"metric": {prometheus.MARK: str(n)}, "value": [1, value]} for value in self.answers[asked]
            ]
        return _json({"status": "success", "data": {"resultType": "vector", "result": result}})


def _json(document: Any, status: int = 200) -> Response:
    return Response(json.dumps(document), status, content_type="application/json")


class TestJoinedQueries:
    def test_many_queries_are_one_request_and_each_has_its_own_answer(self, httpserver: HTTPServer) -> None:
        fake = FakePrometheus(httpserver, {"a": ["0.1"], "b": [], "c": ["NaN"], "d": ["1", "2"]})
        a, b, c, d, again = ask(httpserver, "a", "b", "c", "d", "a")
        assert len(fake.asked) == 1
        assert (a, again) == (Reading(O.OK, 0.1), a)
        assert b == c == Reading(O.NO_DATA)
        assert (d.kind, "2 series" in d.error) == (F.REJECTED, True)

    def test_a_refused_query_spoils_only_its_own_monitor(self, httpserver: HTTPServer) -> None:
        fake = FakePrometheus(httpserver, {"a": ["0.1"], "b": ["0.2"]}, refused="wrong(")
        a, wrong, b = ask(httpserver, "a", "wrong(", "b")
        assert (a.value, wrong.kind, b.value) == (0.1, F.REJECTED, 0.2)
        assert len(fake.asked) == 4

    def test_a_query_that_takes_too_long_spoils_only_its_own_monitor(self, httpserver: HTTPServer) -> None:
        FakePrometheus(httpserver, {"a": ["0.1"], "b": ["0.2"]}, too_slow="heavy")
        a, heavy, b = ask(httpserver, "a", "heavy", "b")
        assert (a.value, heavy.kind, b.value) == (0.1, F.TIMED_OUT, 0.2)

    def test_no_request_has_more_than_fifty(self, httpserver: HTTPServer) -> None:
        fake = FakePrometheus(httpserver, {f"q{n}": [str(n)] for n in range(120)})
        readings = ask(httpserver, *(f"q{n}" for n in range(120)))
        assert [reading.value for reading in readings] == list(range(120))
        assert len(fake.asked) == 3

    def test_a_server_that_is_away_is_asked_once(self, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/api/v1/query").respond_with_data("bad gateway", status=502)
        assert {one.kind for one in ask(httpserver, "a", "b", "c")} == {F.SOURCE_FAILED}
        assert len(httpserver.log) == 1

    def test_how_many_requests_a_value_is_made_of(self, httpserver: HTTPServer) -> None:
        FakePrometheus(httpserver, {"a": ["0.5"], "b": ["0.1"], "v": ["12"]})
        assert [one.volume for one in ask(httpserver, "a", "b", volume_query="v")] == [12, 12]


def watch(service: Service, url: str, now: dt.datetime, **more: Any) -> Monitor:
    source = {"type": "http_json", "url": url, "path": "x"}
    return create_monitor(
        actor=SYSTEM, now=now, service=service.slug, metric="error_rate", source=source, **more
    )


@pytest.mark.django_db
def test_a_slow_source_holds_up_nobody(shop: Service, now: dt.datetime, httpserver: HTTPServer) -> None:
    """While one drips, what becomes due meanwhile is measured, and the slow one is not asked twice."""
    released = threading.Event()
    httpserver.expect_request("/slow").respond_with_handler(
        lambda _request: Response("{}" if released.wait(3) else "")
    )
    httpserver.expect_request("/quick").respond_with_json({"x": 0.001})
    slow = watch(shop, httpserver.url_for("/slow"), now, interval_seconds=1)
    quick = watch(shop, httpserver.url_for("/quick"), now, interval_seconds=1)
    threading.Timer(2.5, released.set).start()
    checked = polling.run_due_checks(now=utcnow())
    assert Sample.objects.filter(monitor=quick).count() >= 2
    assert Sample.objects.filter(monitor=slow).count() == 1
    assert checked == Sample.objects.count()


@pytest.mark.django_db
@pytest.mark.usefixtures("shop")
def test_a_second_run_in_the_same_process_leaves_its_thread_alone() -> None:
    with polling._one_at_a_time:
        assert polling.run_due_checks(now=utcnow()) == 0


@pytest.mark.django_db
def test_a_surprise_in_one_source_spoils_only_its_own(
    shop: Service, now: dt.datetime, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/x").respond_with_json({"x": 0.001})

    async def explode(*_details: Any) -> Reading:
        raise RuntimeError("nobody thought of this")

    broken = SOURCES["http_probe"]._replace(read=explode)
    monkeypatch.setattr("incidents.polling.SOURCES", {**SOURCES, "http_probe": broken})
    good = watch(shop, httpserver.url_for("/x"), now)
    bad = create_monitor(
        actor=SYSTEM, now=now, service="shop", metric="error_rate",
        source={"type": "http_probe", "url": httpserver.url_for("/x")},
    )  # fmt: skip
    polling.run_due_checks(now=utcnow())
    assert {s.monitor_id: (s.outcome, s.failure) for s in Sample.objects.all()} == {
        good.pk: ("ok", ""),
        bad.pk: ("error", "internal"),
    }
