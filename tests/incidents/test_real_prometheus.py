"""What the joining of queries counts on is what a real Prometheus does.

Skipped, and said so, where Debian's package prometheus is not installed (`.ci/run` installs it).
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from core.http import GuardedClient
from incidents.facts import Question, Reading
from incidents.sources import prometheus
from incidents.states import FailureKind, SampleOutcome
from tests.flows.stack import free_ports, wait_for

PROGRAM = shutil.which("prometheus")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="no Prometheus here: apt-get install prometheus")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes itself; its address."""
    assert PROGRAM
    folder = tmp_path_factory.mktemp("prometheus")
    (port,) = free_ports(1)
    scrape = {
        "job_name": "self",
        "scrape_interval": "1s",
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
    }
    (folder / "prometheus.yml").write_text(str({"scrape_configs": [scrape]}))
    argv = [
        PROGRAM, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log) as own,
    ):
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: _has_scraped(address), "Prometheus to have scraped itself", 60)
            yield address
        finally:
            own.terminate()


def _has_scraped(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/v1/query?query=up==1", timeout=5) as answer:
            return b'"value"' in answer.read()
    except OSError:
        return False


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]


def ask(server: str, *queries: str, **more: str) -> tuple[list[Reading], int]:
    """The readings, and how many requests they took."""
    questions = [
        Question({"type": "prometheus", "url": server, "query": query, **more}, "x", 60) for query in queries
    ]
    requests = 0

    class Counting(GuardedClient):
        async def request(self, *args: Any, **named: Any) -> Any:
            nonlocal requests
            requests += 1
            return await super().request(*args, **named)

    async def run() -> list[Reading]:
        async with Counting() as client:
            return await prometheus.read_many(client, questions)

    return asyncio.run(run()), requests


def test_many_are_one_request_and_each_has_the_answer_it_has_alone(server: str) -> None:
    queries = (
        "vector(0.25)", "up", "absent_of_all", "vector(0) / 0", "vector(1) / 0", "vector(7) # a comment",
        "vector(1) or label_replace(vector(2), 'a', 'b', '', '')", "sum(up) by (job)",
    )  # fmt: skip
    together, requests = ask(server, *queries)
    assert requests == 1
    assert together == [ask(server, query)[0][0] for query in queries]
    assert [one.value for one in together[:2]] == [0.25, 1]
    assert {one.outcome for one in together[2:5]} == {SampleOutcome.NO_DATA}
    assert together[5].value == 7
    assert together[6].kind == FailureKind.REJECTED


def test_what_it_refuses_spoils_only_its_own(server: str) -> None:
    (wrong, well, number), requests = ask(server, "up +", "vector(3)", "5")
    assert (wrong.kind, well.value, number.value) == (FailureKind.REJECTED, 3, 5)
    assert requests == 4


def test_of_how_many_requests(server: str) -> None:
    (reading, other), requests = ask(server, "vector(0.5)", "vector(0.6)", volume_query="vector(12)")
    assert [(one.value, one.volume) for one in (reading, other)] == [(0.5, 12), (0.6, 12)]
    assert requests == 1
