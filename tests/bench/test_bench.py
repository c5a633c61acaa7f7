"""`make bench` at its smallest: every cell is filled, nothing fails, nothing is left running. No speed is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from django.db import connection

from bench.load import run_window
from bench.run import NotDurable, checked_settings
from bench.servers import free_ports

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.faults  # a minute and more
def test_the_smallest_bench_fills_every_cell(tmp_path: Path) -> None:
    var_dir = Path(tempfile.mkdtemp(prefix="fb-bench-test-"))
    page = tmp_path / "page.md"
    environment = {**os.environ, "BENCH_COMMIT": "abc1234"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--smoke", "--var-dir", str(var_dir), "--out", str(page)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    text = page.read_text()
    assert "failed requests altogether, the ceiling's included: **0**" in text
    assert "nan" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for name in (
        "list",
        "list ?service",
        "search, rare word",
        "detail",
        "create",
        "page Now",
        "page of an incident",
    ):
        assert any(row.startswith(f"| {name} | 60 |") for row in rows), name
    assert "commit abc1234" in text
    assert "fsync on, synchronous_commit on" in text
    assert not var_dir.exists()
    assert not [p.pid for p in psutil.process_iter() if str(var_dir) in " ".join(_words(p))]


@pytest.mark.faults
def test_the_smallest_history_is_measured(tmp_path: Path) -> None:
    words = ["--services", "2", "--minutes", "20", "--sweep-monitors", "8", "--listed", "30"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.history", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ") and " ms (" in line]
    assert [row.split("|")[1].strip() for row in rows] == ["160", "1,600", "16,000", "30"]
    assert rows[0].split("|")[2].strip() == "0"  # the last two hours are samples alone
    assert "a second." in done.stdout


def _words(process: psutil.Process) -> list[str]:
    try:
        return [str(word) for word in process.cmdline()]
    except psutil.Error:
        return []


def test_a_database_that_forgets_is_not_measured(db: None) -> None:
    """The tests' own PostgreSQL runs without fsync."""
    connection.ensure_connection()
    with pytest.raises(NotDurable, match="fsync"):
        checked_settings(connection.connection)


def test_a_refused_request_counts_as_failed() -> None:
    """Against a server that answers 503 to everything and closes."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Refusing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(503)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"busy")

        def log_message(self, *_: object) -> None:
            pass

    (port,) = free_ports(1)
    server = HTTPServer(("127.0.0.1", port), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        window = run_window(
            port, lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", connections=1, seconds=0.1, expected=200
        )
    finally:
        server.shutdown()
        server.server_close()
    assert window.failures and set(window.failures) == {"503"}
    assert window.latencies == []
