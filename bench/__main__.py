"""`python -m bench`: measure, print the page, and write it to a file; exits 1 when a request failed."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import tempfile
from pathlib import Path

from bench import comms, monitoring
from bench.report import write
from bench.run import run
from bench.scale import SCALES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--short", dest="scale", action="store_const", const="short", help="nine minutes")
    chosen.add_argument(
        "--smoke", dest="scale", action="store_const", const="smoke", help="seconds: does it work?"
    )
    parser.add_argument(
        "--var-dir", type=Path, help="an empty folder for the servers' data; removed at the end"
    )
    parser.add_argument("--core", action="store_true", help="list, detail and create alone: eight minutes")
    parser.add_argument("--minutes", type=float, help="begin no further measurement after so long")
    parser.add_argument("--out", type=Path, help="where the page is written")
    options = parser.parse_args()
    var_dir = options.var_dir or Path(tempfile.mkdtemp(prefix="firebreak-bench-"))
    scale = SCALES[options.scale or "whole"]
    scale = dataclasses.replace(scale, core_only=options.core)
    if options.minutes:
        scale = dataclasses.replace(scale, at_most_minutes=options.minutes)
    try:
        var_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = run(scale, var_dir, _say)
        watched = told = None
        if not scale.core_only and scale.name in monitoring.SCALES:
            watched = monitoring.run(monitoring.SCALES[scale.name], var_dir / "monitoring", _say)
            told = comms.run(comms.SCALES[scale.name], var_dir / "comms", _say)
        sections = [monitoring.write(watched)] if watched else []
        sections += [comms.write(told)] if told else []
        page = write(found, sections)
        if options.out:
            options.out.write_text(page)
        sys.stdout.write(f"\n{page}")
    finally:
        shutil.rmtree(var_dir, ignore_errors=True)
    unfilled = found.left_out or not all(cell.is_filled for cell in found.cells)
    failed = found.failed + sum(part.failed for part in (watched, told) if part)
    return 1 if failed or unfilled else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
