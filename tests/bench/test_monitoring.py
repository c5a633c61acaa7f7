"""The bench of monitoring: its source is one that Firebreak understands, and at its smallest nothing fails."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from bench import asking
from bench.alerts import Accepted, Drained
from bench.checks import Checked
from bench.detection import STEPS, Detected
from bench.load import Window
from bench.monitoring import Findings, write
from bench.source import BAD, WELL, Source
from core.http import GuardedClient
from incidents.facts import Question, Reading
from incidents.sources import http_json, prometheus

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]


def ask(story: Callable[[GuardedClient, str], Awaitable[T]]) -> T:
    """With the bench's source, and the client that checks use."""

    async def whole() -> T:
        server = await asyncio.get_running_loop().create_server(Source, "127.0.0.1", 0)
        async with server, GuardedClient() as client:
            return await story(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("from_", "until", "value"),
    [(-5, 5, BAD), (5, 10, WELL), (-10, -5, WELL)],
    ids=["now", "not yet", "over"],
)
def test_its_address_says_when_the_source_is_bad(from_: float, until: float, value: float) -> None:
    query = f"n=7&from={time.time() + from_}&until={time.time() + until}"

    async def story(client: GuardedClient, url: str) -> Reading:
        source = {"type": "http_json", "url": f"{url}/m.json?{query}", "path": "value"}
        return await http_json.read(client, Question(source, "error_rate", 60))

    assert ask(story) == Reading.of(value)


@pytest.mark.parametrize("number", [1, 50, 120])
def test_each_of_many_queries_has_an_answer_of_its_own(number: int) -> None:
    async def story(client: GuardedClient, url: str) -> list[Reading]:
        sources = [{"type": "prometheus", "url": url, "query": asking.query(n)} for n in range(number)]
        return await prometheus.read_many(client, [Question(source, "error_rate", 60) for source in sources])

    assert ask(story) == [Reading.of(WELL)] * number


def test_the_ceiling_is_asked_and_counted() -> None:
    async def story(_client: GuardedClient, url: str) -> tuple[int, float]:
        return await asking.ask(int(url.rpartition(":")[2]), "both", 0.3)

    count, seconds = ask(story)
    assert count > 0 and seconds >= 0.3


def test_the_page_says_what_was_met_and_what_was_missed() -> None:
    window = Window(seconds=2.0, latencies=[0.01, 0.02], failures=["503"])
    late = dict.fromkeys(STEPS, 9.0) | {"decided": 12.5}
    page = write(
        Findings(
            checked=[Checked("http_json", 100, [25_000.0], [50_000.0], [0.001]), Checked("both", 100, [9.0], [9.0], [1.0])],
            detected=[Detected(100, 10, [late, {}], ["no target"])],
            accepted=[Accepted(50, 8, [window], [Window(seconds=1.0, latencies=[0.01])])],
            drained=[Drained(50, 400, 123.4)],
            growing=["100 samples"],
        )
    )  # fmt: skip
    assert "http_json: 25,000 at least, aim 20,000: **met**" in page
    assert "both: 9 at least, aim 40,000: **missed**" in page
    assert "p99 of 2: 12.5 s, aim 12 s (an interval of 10 s and 2 s): **missed**" in page
    assert "failed checks, missed breaches and failed deliveries: **2**" in page
    assert "| 100 | 2 | 1 | 10 | 9.0 / 9.0 | 9.0 / 9.0 | 12.5 / 12.5 | 9.0 / 9.0 | 3.5 / 3.5 |" in page
    assert "| 50 | 8 | 1 | 20.0 | 20.0 | 1 | 1 | 100% |" in page


@pytest.mark.faults
def test_the_smallest_bench_of_monitoring_finds_everything(tmp_path: Path) -> None:
    var_dir = Path(tempfile.mkdtemp(prefix="fb-bench-test-"))
    done = subprocess.run(
        [sys.executable, "-m", "bench.monitoring", "--smoke", "--var-dir", str(var_dir)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout
    assert "failed deliveries: **0**" in done.stdout
    assert "nan" not in done.stdout
    assert not var_dir.exists()
    assert not [p.pid for p in psutil.process_iter() if str(var_dir) in " ".join(_words(p))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return [str(word) for word in process.cmdline()]
    except psutil.Error:
        return []
