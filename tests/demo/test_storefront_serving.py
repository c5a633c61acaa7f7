"""What holds while the storefront runs: its processes, its figures, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest

from demo.storefront import deploy as deploying
from demo.storefront import slots
from demo.storefront.balancer import LoadBalancer
from demo.storefront.releases import install_release
from demo.storefront.site import Site
from demo.storefront.traffic_window import TrafficWindow
from demo.storefront.webhook_receiver import WebhookReceiver
from tests.demo.conftest import Storefront


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_no_child_is_left_and_the_next_start_finds_the_site(
    storefront: Storefront, signal_number: signal.Signals
) -> None:
    storefront.start("--rate", "5")
    storefront.succeed("deploy", "1.5.0", "--bad")
    children = list(storefront.slots().values())
    assert len(children) == 2

    code = storefront.end(signal_number)

    assert code == (-signal.SIGKILL if signal_number == signal.SIGKILL else 0)
    storefront.eventually(lambda: not any(_lives(child) for child in children))
    storefront.start("--rate", "0")
    found = storefront.metrics()
    assert (found["version"], found["slot"]) == ("1.5.0", "green")


def test_who_asks_before_the_first_app_server_is_up_is_no_error_of_it(storefront: Storefront) -> None:
    """Right after a start the slot's file still names the server of the run before."""
    balancer = LoadBalancer(Site(storefront.site), 0, window_seconds=60)
    (storefront.site / "run").mkdir(parents=True, exist_ok=True)
    (storefront.site / "run/blue.json").write_text(json.dumps({"version": "1.4.2", "port": 1, "pid": 1}))
    thread = threading.Thread(target=balancer.serve_forever)
    thread.start()
    try:
        connection = HTTPConnection("127.0.0.1", balancer.server_address[1], timeout=10)
        connection.request("GET", "/products")
        assert connection.getresponse().status == 502
        assert balancer.metrics()["error_rate"] is None
    finally:
        balancer.shutdown()
        balancer.server_close()
        thread.join()


def test_a_site_has_one_server(storefront: Storefront) -> None:
    storefront.start("--rate", "0")
    assert "already being served" in storefront.refuse("serve", "--port", "0")


def test_an_app_server_that_dies_is_started_again(storefront: Storefront) -> None:
    storefront.start("--rate", "0")
    victim = storefront.slots()["blue"]
    os.kill(victim, signal.SIGKILL)
    storefront.eventually(
        lambda: storefront.slots().get("blue", victim) != victim and storefront.get("/health")[0] == 200
    )


def test_an_active_server_that_is_down_counts_as_errors(storefront: Storefront) -> None:
    storefront.start("--rate", "0")
    state = storefront.site / "run/blue.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"port": 1}))
    assert storefront.get("/products")[0] == 502
    metrics = storefront.metrics()
    assert (metrics["error_rate"], metrics["memory_usage"]) == (1.0, None)


def test_without_requests_there_is_no_error_rate(storefront: Storefront) -> None:
    storefront.start("--rate", "0")
    for _ in range(3):
        storefront.get("/health")
        quiet = storefront.metrics()
    assert (quiet["requests"], quiet["error_rate"], quiet["response_time_ms"]) == (0, None, None)
    assert 0 < quiet["memory_usage"] < 1

    storefront.get("/products")
    busy = storefront.metrics()
    assert (busy["requests"], busy["error_rate"]) == (1, 0.0)


def test_a_forged_session_is_refused_and_counted(storefront: Storefront) -> None:
    storefront.start("--rate", "0")
    status, _ = storefront.get("/account", {"Cookie": "session=eyJ1c2VyIjogImFkYSJ9.00ff"})
    assert status == 403
    metrics = storefront.metrics()
    assert (metrics["security_events"], metrics["error_rate"]) == (1, 0.0)


def test_a_damaged_target_is_refused(storefront: Storefront) -> None:
    storefront.start("--rate", "0")
    storefront.succeed("deploy", "1.5.0")
    target = storefront.site / "releases/1.4.2"
    storefront.succeed("verify-target", "1.4.2")

    (target / "extra.html").write_text("new")
    assert "extra.html is not in its manifest" in storefront.refuse("verify-target", "1.4.2")
    (target / "extra.html").unlink()

    page = (target / "page.html").read_text()
    (target / "page.html").write_text(page + " ")
    assert "page.html was changed" in storefront.refuse("verify-target", "1.4.2")
    (target / "page.html").unlink()
    assert "page.html is missing" in storefront.refuse("verify-target", "1.4.2")
    (target / "page.html").write_text(page)

    (storefront.site / "config/versions/1.4.2.json").write_text("{")
    assert "is not JSON" in storefront.refuse("verify-target", "1.4.2")


def test_unknown_current_and_misspelt_versions_are_refused(storefront: Storefront) -> None:
    storefront.start("--rate", "0")
    assert "there are: 1.4.2" in storefront.refuse("switch-version", "9.9.9")
    assert "already the current" in storefront.refuse("verify-target", "1.4.2")
    assert "already installed" in storefront.refuse("deploy", "1.4.2")
    for misspelt in ("../1.4.2", "1.4", "1.4.2\n", "--bad", ""):
        assert storefront.verb("switch-version", misspelt).returncode == 2
    assert storefront.succeed("status").count("1.4.2") == 2


def test_a_release_that_does_not_come_up_leaves_the_one_before_live(
    storefront: Storefront, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install_without_catalogue(site: Site, version: str, *, bad: bool) -> None:
        (install_release(site, version, bad=bad) / "catalogue.json").unlink()

    monkeypatch.setattr(deploying, "install_release", install_without_catalogue)
    monkeypatch.setattr(slots, "START_SECONDS", 1.0)
    storefront.start("--rate", "0")

    with pytest.raises(slots.SlotUnhealthy, match="green did not become healthy"):
        deploying.deploy(Site(storefront.site), "1.5.0", bad=False)

    assert storefront.metrics()["version"] == "1.4.2"
    assert json.loads((storefront.site / "config/current.json").read_text())["release"] == "1.4.2"
    storefront.succeed("restart")
    assert "green: answers, release 1.4.2" in storefront.succeed("health-check")
    storefront.succeed("smoke-test", "1.4.2")


def test_the_window_forgets_the_server_before() -> None:
    window = TrafficWindow(seconds=60)
    window.begin(("green", 1))
    window.record(("green", 1), failed=True, duration_ms=5)
    assert window.measure().error_rate == 1

    window.begin(("blue", 2))
    window.record(("green", 1), failed=True, duration_ms=5)
    assert window.measure().error_rate is None
    window.record(("blue", 2), failed=False, duration_ms=5)
    assert window.measure().error_rate == 0


def test_received_webhooks_are_kept_as_lines(storefront: Storefront, tmp_path: Path) -> None:
    with WebhookReceiver(0, tmp_path / "unused") as free:
        port = free.server_port
    storefront.start("--rate", "0", "--webhook-port", str(port))

    headers = {"webhook-id": "msg_1", "webhook-timestamp": "5", "webhook-signature": "v1,x"}
    assert _post(port, b'{"type": "incident.declared"}', headers) == 204
    assert _post(port, b"{", headers) == 400

    (line,) = (storefront.site / "log/webhooks.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert kept["headers"] == headers
    assert kept["body"] == '{"type": "incident.declared"}'


def _post(port: int, body: bytes, headers: dict[str, str]) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=15)
    connection.request("POST", "/hook", body=body, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # A child whose new parent has not collected it yet has ended all the same.
    return state != "Z"


def test_a_client_that_leaves_before_its_answer_is_nothing_to_complain_about(storefront: Storefront) -> None:
    storefront.start("--rate", "0")
    port = json.loads((storefront.site / "run/serve.json").read_text())["port"]
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(b"GET /products HTTP/1.1\r\nHost: shop\r\n\r\n")
    assert storefront.get("/health")[0] == 200
    assert storefront.complaints.read_text() == ""
