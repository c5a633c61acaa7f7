"""`make bench-pages` at its smallest: every page answers, and nothing is left running."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.pages import PAGES, SEARCHES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.faults  # a minute
def test_the_smallest_bench_of_pages_fills_every_row() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.pages", "--smoke"],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in done.stdout.splitlines() if " ms | " in line]
    assert rows == [*PAGES, *SEARCHES]
