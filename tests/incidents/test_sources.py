"""Each kind of source against a real server that answers, refuses, drips, lies or is not there."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from core.http import Failure, GuardedClient
from incidents import policy
from incidents.facts import Question, Reading
from incidents.sources import SOURCES, http_probe
from incidents.states import FailureKind, SampleOutcome
from tests.certificates import make_server_context

F, O = FailureKind, SampleOutcome  # noqa: E741


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]


def measure(source: dict[str, str], metric: str = "error_rate") -> Reading:
    kind = SOURCES[source["type"]]
    assert kind.check(source) == {}

    async def ask() -> Reading:
        async with GuardedClient() as client:
            reading = await kind.read(client, Question(source, metric, 60))
            assert reading is not None
            return reading

    return asyncio.run(ask())


def vector(*values: str) -> dict[str, Any]:
    result = [{"metric": {"n": str(n)}, "value": [1764200000.1, value]} for n, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_whatever_happens_to_a_request_has_a_word_for_people() -> None:
    assert {failure.value for failure in Failure} <= set(FailureKind.values)


class TestPrometheus:
    def ask(self, server: HTTPServer) -> Reading:
        return measure({"type": "prometheus", "url": server.url_for("/prom/"), "query": "sum(rate(x[1m]))"})

    def answers(self, server: HTTPServer, document: Any, status: int = 200) -> Reading:
        server.expect_request(
            "/prom/api/v1/query", method="POST", data="query=sum%28rate%28x%5B1m%5D%29%29&timeout=8s"
        ).respond_with_json(document, status=status)
        return self.ask(server)

    @pytest.mark.parametrize(
        ("document", "reading"),
        [
            (vector("0.25"), Reading(O.OK, 0.25)),
            (vector("1e-3"), Reading(O.OK, 0.001)),
            ({"status": "success", "data": {"resultType": "scalar", "result": [1, "3"]}}, Reading(O.OK, 3.0)),
            (vector(), Reading(O.NO_DATA)),  # nothing scraped: the target is down, or has no traffic
            (vector("NaN"), Reading(O.NO_DATA)),
            (vector("+Inf"), Reading(O.NO_DATA)),
        ],
    )
    def test_one_number_or_none(self, httpserver: HTTPServer, document: Any, reading: Reading) -> None:
        assert self.answers(httpserver, document) == reading

    @pytest.mark.parametrize(
        ("document", "status", "kind", "said"),
        [
            (vector("1", "2"), 200, F.REJECTED, "2 series"),
            ({"status": "success", "data": {"resultType": "matrix", "result": []}}, 200, F.REJECTED, "matrix"),
            ({"status": "error", "errorType": "bad_data", "error": "parse"}, 400, F.REJECTED, "bad_data: parse"),
            ({"status": "error", "errorType": "timeout", "error": "x"}, 503, F.TIMED_OUT, "timeout: x"),
            ({"status": "error", "errorType": "unavailable", "error": "x"}, 503, F.SOURCE_FAILED, "unavailable: x"),
            ({"status": "error", "errorType": "execution", "error": "x"}, 422, F.REJECTED, "execution"),
            ("bad gateway", 502, F.SOURCE_FAILED, "502"),
            ("sign in first", 200, F.BAD_ANSWER, "200"),
            ({"status": "success", "data": None}, 200, F.BAD_ANSWER, "no number"),
            ({"status": "success", "data": {"resultType": "vector", "result": [7]}}, 200, F.BAD_ANSWER, "no num"),
            ({"status": "success", "data": {"resultType": "vector", "result": "x"}}, 200, F.BAD_ANSWER, "no num"),
            (vector("twelve"), 200, F.BAD_ANSWER, "no number"),
        ],
    )  # fmt: skip
    def test_its_own_errors_are_told_apart(
        self, httpserver: HTTPServer, document: Any, status: int, kind: FailureKind, said: str
    ) -> None:
        reading = self.answers(httpserver, document, status)
        assert (reading.outcome, reading.kind, reading.value) == (O.ERROR, kind, None)
        assert said in reading.error

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("url", "http://p:9090/?x=1"),
            ("url", "p:9090"),
            ("query", " "),
            ("query", "x" * 2001),
            ("path", "x"),
        ],
    )
    def test_a_wrong_field_is_named(self, field: str, value: str) -> None:
        source = {"type": "prometheus", "url": "http://p:9090", "query": "up", field: value}
        assert set(SOURCES["prometheus"][0](source)) == {f"source/{field}"}


class TestProbe:
    def ask(self, url: str, metric: str = "error_rate", **more: str) -> Reading:
        return measure({"type": "http_probe", "url": url, **more}, metric)

    @pytest.mark.parametrize(
        ("status", "value"), [(200, 0.0), (204, 0.0), (302, 0.0), (404, 1.0), (503, 1.0)]
    )
    def test_a_status_of_400_and_more_is_a_failure(
        self, httpserver: HTTPServer, status: int, value: float
    ) -> None:
        httpserver.expect_request("/").respond_with_data("", status=status)
        assert self.ask(httpserver.url_for("/")) == Reading(O.OK, value)

    def test_how_long_it_took(self, httpserver: HTTPServer) -> None:
        def slow(_request: Request) -> Response:
            time.sleep(0.2)
            return Response("ok")

        httpserver.expect_request("/").respond_with_handler(slow)
        for reading in (
            self.ask(httpserver.url_for("/"), "response_time"),
            self.ask(httpserver.url_for("/"), "checkout_ms", measure="latency"),
        ):
            assert reading.value is not None
            assert 200 <= reading.value < 10_000

    def test_who_answers_too_late_takes_at_least_so_long(
        self, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_probe, "DEADLINE_SECONDS", 0.2)

        def late(_request: Request) -> Response:
            time.sleep(0.6)
            return Response("ok")

        httpserver.expect_request("/").respond_with_handler(late)
        reading = self.ask(httpserver.url_for("/"), "response_time")
        assert reading.value is not None
        assert reading.value >= 200
        assert self.ask(httpserver.url_for("/")) == Reading(O.OK, 1.0)

    def test_the_policys_slowest_response_can_be_seen(self) -> None:
        limits = policy.limits_for("response_time", "rollback_triggers", None)
        assert limits is not None
        assert limits.critical is not None
        assert limits.critical < http_probe.DEADLINE_SECONDS * 1000

    def test_a_long_page_is_as_well_as_a_short_one(self, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/").respond_with_data(b"x" * 3_000_000)
        assert self.ask(httpserver.url_for("/")) == Reading(O.OK, 0.0)

    def test_who_refuses_has_no_latency(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            reading = self.ask(f"http://127.0.0.1:{closed.getsockname()[1]}/", "response_time")
        assert (reading.outcome, reading.kind) == (O.ERROR, F.UNREACHABLE)

    @pytest.mark.parametrize(
        ("url", "kind"),
        [("http://169.254.169.254/", F.BLOCKED), ("http://no-such-host.invalid/", F.UNRESOLVED)],
    )
    def test_what_is_our_own_trouble_says_nothing_about_the_target(self, url: str, kind: FailureKind) -> None:
        reading = self.ask(url)
        assert (reading.outcome, reading.value, reading.kind) == (O.ERROR, None, kind)

    def test_a_wrong_measure_is_named(self) -> None:
        check = SOURCES["http_probe"][0]
        assert "source/measure" in check({"type": "http_probe", "url": "https://x/", "measure": "mood"})
        assert "source/measure" in check({"type": "http_probe", "url": "http://x/", "measure": "certificate"})


@pytest.fixture
def secured(tmp_path: Path, settings: Any) -> Iterator[HTTPServer]:
    """A server with nine days left on the certificate of an authority of its own."""
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=9, minutes=5)
    context, authority = make_server_context(tmp_path, host="localhost", ends=ends)
    server = HTTPServer(host="localhost", ssl_context=context)
    server.expect_request("/").respond_with_json({"x": 1})
    server.start()
    settings.OUTBOUND_CA_FILE = str(authority)
    yield server
    server.stop()


def test_the_days_that_a_certificate_has_left(secured: HTTPServer) -> None:
    url = secured.url_for("/")
    assert measure({"type": "http_json", "url": url, "path": "x"}) == Reading(O.OK, 1.0)
    reading = measure({"type": "http_probe", "url": url, "measure": "certificate"}, "certificate_days")
    assert reading.value == pytest.approx(9, abs=0.01)


def test_requests_know_nothing_of_one_another_and_say_a_header_once(httpserver: HTTPServer) -> None:
    heard: list[Request] = []

    def answer(request: Request) -> Response:
        heard.append(request)
        return Response("{}", headers={"Set-Cookie": "session=of-the-first; Path=/"})

    httpserver.expect_request("/").respond_with_handler(answer)

    async def ask() -> None:
        async with GuardedClient() as client:
            for said in ({}, {"accept": "text/plain", "USER-AGENT": "Probe"}):
                await client.request("GET", httpserver.url_for("/"), deadline_seconds=5, headers=said)

    asyncio.run(ask())
    assert [request.headers.get("Cookie") for request in heard] == [None, None]
    assert [request.headers.getlist("Accept") for request in heard] == [["*/*"], ["text/plain"]]
    assert [request.headers.getlist("User-Agent") for request in heard] == [["Firebreak"], ["Probe"]]
