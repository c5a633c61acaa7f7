"""The command line of a part of the bench that also runs alone."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol, TypeVar


class Findings(Protocol):
    """What a part found out."""

    @property
    def failed(self) -> int: ...


F = TypeVar("F", bound=Findings)


def alone(
    program: str,
    about: str | None,
    scales: tuple[Any, Any, Any],
    parts: Collection[str],
    run: Callable[[Any, Path, Callable[[str], None]], F],
    write: Callable[[F], str],
) -> int:
    """Measure and print the tables; 1 when something failed. `scales` are the whole, the short and the smoke."""
    whole, short, smoke = scales
    parser = argparse.ArgumentParser(prog=program, description=about)
    parser.set_defaults(scale=whole)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--short", dest="scale", action="store_const", const=short, help="four minutes")
    chosen.add_argument("--smoke", dest="scale", action="store_const", const=smoke, help="does it work?")
    parser.add_argument(
        "--var-dir", type=Path, help="an empty folder for the servers' data; removed at the end"
    )
    parser.add_argument("--only", choices=sorted(parts), help="one of the three")
    options = parser.parse_args()
    scale = options.scale
    if options.only:
        scale = dataclasses.replace(scale, parts=frozenset((options.only,)))
    var_dir = options.var_dir or Path(tempfile.mkdtemp(prefix="firebreak-bench-"))
    try:
        found = run(scale, var_dir, _say)
    finally:
        shutil.rmtree(var_dir, ignore_errors=True)
    sys.stdout.write(f"\n{write(found)}")
    return 1 if found.failed else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
