"""`make bench-live` at its smallest: every page has every change, and nothing is left running."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_smallest_bench_of_open_pages_misses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.live", "--smoke"],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (
        f"a change is missing, or a page was refused\n{done.stdout}{done.stderr[-4000:]}"
    )
    rows = [
        line.split(" | ") for line in done.stdout.splitlines() if line.startswith(("| Firebreak", "| bare"))
    ]
    assert [(row[1], row[2], row[7]) for row in rows] == [("4", "2", "0")] * 2
