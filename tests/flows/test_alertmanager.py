"""A real Prometheus scrapes the storefront, a real Alertmanager tells Firebreak: nothing is imitated.

Skipped, and said so, where Debian's packages prometheus and prometheus-alertmanager are not installed
(`.ci/run` installs them). Everything listens on the loopback address alone.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.stack import Firebreak, fetch_json, free_ports, wait_for

PROMETHEUS, ALERTMANAGER = shutil.which("prometheus"), shutil.which("prometheus-alertmanager")
pytestmark = [
    pytest.mark.story,
    pytest.mark.skipif(
        not (PROMETHEUS and ALERTMANAGER),
        reason="no Prometheus here: apt-get install prometheus prometheus-alertmanager",
    ),
]

RULES = """
groups:
  - name: storefront
    rules:
      - alert: HighErrorRate
        expr: storefront_error_rate > 0.05
        labels: {severity: critical, service: storefront}
        annotations: {summary: "The storefront fails {{ $value | humanizePercentage }} of its requests"}
"""


class Monitoring:
    """Prometheus and Alertmanager in a folder and on ports of their own."""

    def __init__(self, folder: Path, storefront_port: int, receiver: dict[str, Any]) -> None:
        self.folder = folder
        self.prometheus_port, self.alertmanager_port = free_ports(2)
        self.processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir()
        (folder / "rules.yml").write_text(RULES)
        prometheus = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{self.alertmanager_port}"]}]}]
            },
            "scrape_configs": [
                {"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{storefront_port}"]}]}
            ],
        }
        alertmanager = {
            "route": {
                "receiver": "firebreak",
                "group_by": ["alertname"],
                "group_wait": "1s",
                "group_interval": "1s",
                "repeat_interval": "5s",
            },
            "receivers": [{"name": "firebreak", **receiver}],
        }
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps(prometheus))
        (folder / "alertmanager.yml").write_text(json.dumps(alertmanager))

    @property
    def prometheus(self) -> str:
        return f"http://127.0.0.1:{self.prometheus_port}"

    def start(self) -> None:
        self._start(
            PROMETHEUS,
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
        )
        self._start(
            ALERTMANAGER,
            f"--config.file={self.folder}/alertmanager.yml",
            f"--storage.path={self.folder}/alertmanager",
            f"--web.listen-address=127.0.0.1:{self.alertmanager_port}",
            "--cluster.listen-address=",
        )
        for name, port in (("Prometheus", self.prometheus_port), ("Alertmanager", self.alertmanager_port)):
            wait_for(lambda port=port: _is_ready(port), f"{name} to be ready", 60)  # type: ignore[misc]

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, program: str | None, *options: str) -> None:
        assert program
        with (self.folder / f"{Path(program).name}.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen([program, *options], cwd=self.folder, stdout=log, stderr=log)
            )


def _is_ready(port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as found,
    ):
        return bool(found.status == 200)
    return False


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Callable[..., Monitoring]]:
    """`monitor(firebreak, receiver)` starts both; they are stopped at the end."""
    started: list[Monitoring] = []

    def start(firebreak: Firebreak, **receiver: Any) -> Monitoring:
        made = Monitoring(tmp_path / f"monitoring{len(started)}", firebreak.storefront_port, receiver)
        started.append(made)
        made.start()
        return made

    yield start
    for made in started:
        made.stop()


def ingest_token(firebreak: Firebreak) -> str:
    words = ("token", "create", "--user", "admin", "--name", "alertmanager", "--scope", "ingest")
    return firebreak.manage(*words).strip()


def without_own_monitors(firebreak: Firebreak) -> None:
    """So that the alert alone is what opens the incident."""
    firebreak.shell("from incidents.models import Monitor; Monitor.objects.update(enabled=False)")


def alerts(firebreak: Firebreak, status: str) -> list[Any]:
    found: list[Any] = firebreak.get(f"/alerts/?status={status}")["results"]
    return found


def test_a_rule_of_prometheus_opens_the_incident_and_its_end_resolves_it(
    launch: Callable[..., Firebreak], monitor: Callable[..., Monitoring]
) -> None:
    firebreak = launch()
    without_own_monitors(firebreak)
    webhook = {
        "url": f"{firebreak.url}/api/v1/ingest/alertmanager/",
        "http_config": {"authorization": {"type": "Bearer", "credentials": ingest_token(firebreak)}},
    }
    monitoring = monitor(firebreak, webhook_configs=[webhook])
    # The same Prometheus is asked by a monitor of Firebreak's own, judged by thresholds of its own.
    made = firebreak.post(
        "/monitors/",
        {
            "service": "storefront", "metric": "shop_requests", "interval_seconds": 1,
            "thresholds": {"critical": 1e9},
            "source": {"type": "prometheus", "url": monitoring.prometheus, "query": "storefront_requests"},
        },
    )  # fmt: skip
    assert made[0] == 201, made

    firebreak.break_demo()
    [alert] = wait_for(lambda: alerts(firebreak, "firing"), "the alert", 60)
    assert (alert["service"], alert["severity"], alert["source"]) == ("storefront", "P1", "alertmanager")
    assert alert["title"].startswith("The storefront fails ")
    assert alert["notes"] == []
    incident = firebreak.incident("investigating")
    assert (alert["incident"], incident["source"]) == (incident["ref"], "alert")
    measured = wait_for(lambda: firebreak.get(f"/monitors/{made[1]['id']}/")["value"], "a measurement", 30)
    assert measured > 0

    # Repeated every five seconds, it stays one alert; mended, it ends, and so does what nobody touched.
    wait_for(lambda: alerts(firebreak, "firing")[0]["repeats"] >= 1, "a repeat", 30)
    storefront(firebreak, "deploy", "1.5.1")
    [ended] = wait_for(lambda: alerts(firebreak, "resolved"), "its end", 60)
    assert (ended["id"], ended["ends_at"] is not None) == (alert["id"], True)
    assert firebreak.incident("resolved")["ref"] == incident["ref"]
    kinds = [event["kind"] for event in firebreak.all(f"/incidents/{incident['ref']}/timeline/")]
    assert [kind for kind in kinds if "alert" in kind] == ["incident.alert_fired", "incident.alert_resolved"]


@pytest.mark.faults
def test_pagerduty_by_its_address_alone(
    launch: Callable[..., Firebreak], monitor: Callable[..., Monitoring]
) -> None:
    """`pagerduty_configs` with another url and a token as its key; nothing else is changed."""
    firebreak = launch()
    without_own_monitors(firebreak)
    pagerduty = {
        "url": f"{firebreak.url}/v2/enqueue",
        "routing_key": ingest_token(firebreak),
        "component": "{{ .CommonLabels.service }}",
    }
    monitor(firebreak, pagerduty_configs=[pagerduty])
    firebreak.break_demo()
    [alert] = wait_for(lambda: alerts(firebreak, "firing"), "the alert", 60)
    assert (alert["service"], alert["source"]) == ("storefront", "pagerduty")
    assert "HighErrorRate" in alert["title"]
    assert alert["labels"]["num_firing"] == "1"
    storefront(firebreak, "deploy", "1.5.1")
    wait_for(lambda: alerts(firebreak, "resolved"), "its end", 60)
    assert firebreak.incident("resolved")["ref"] == alert["incident"]


@pytest.mark.faults
def test_an_alert_that_fires_while_firebreak_is_down_comes_through(
    launch: Callable[..., Firebreak], monitor: Callable[..., Monitoring]
) -> None:
    firebreak = launch()
    without_own_monitors(firebreak)
    url = f"{firebreak.url}/api/v1/ingest/alertmanager/"
    authorization = {"type": "Bearer", "credentials": ingest_token(firebreak)}
    monitoring = monitor(
        firebreak, webhook_configs=[{"url": url, "http_config": {"authorization": authorization}}]
    )
    for child in firebreak.children("config.asgi"):
        child.suspend()  # it takes connections and never answers
    firebreak.break_demo()
    wait_for(
        lambda: fetch_json(f"http://127.0.0.1:{monitoring.alertmanager_port}/api/v2/alerts"),
        "Alertmanager to know of it",
        60,
    )
    for child in firebreak.children("config.asgi"):
        child.resume()
    [alert] = wait_for(lambda: alerts(firebreak, "firing"), "the alert", 90)
    assert alert["incident"]


def storefront(firebreak: Firebreak, *words: str) -> None:
    """What an operator of the shop does at its own command line."""
    program = firebreak.root / "demo" / "bin" / "storefront"
    site = firebreak.var_dir / "storefront"
    subprocess.run(
        [program, *words, "--site", site], env=firebreak.environment, check=True, capture_output=True
    )
