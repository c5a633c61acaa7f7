"""What the programs have in common: how they end, what they accept as words, how they run others."""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from demo.fencing import REFERENCE
from demo.storefront.site import StorefrontError

COMMIT = re.compile(r"^[0-9a-f]{40}\Z")
SHA256 = re.compile(r"^[0-9a-f]{64}\Z")


class Refused(StorefrontError):
    """It could not be done, or must not be; the text is one line for the person who reads the output."""


def run_main(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], None],
    arguments: Sequence[str] | None,
) -> int:
    """Do what the arguments ask for; returns the exit code. Nobody else may read what it writes."""
    os.umask(0o077)
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        work(options)
    except (StorefrontError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def run_program(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    show: bool = False,
) -> str:
    """What a program printed; raises Refused with its last line when it does not end well.

    With `show`, each line is printed as it comes, so that people can watch it in the step's output.
    """
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise Refused(f"{argv[0]} is not installed") from None
    assert process.stdout is not None
    lines = []
    with process:
        for line in process.stdout:
            lines.append(line)
            if show:
                print(line, end="")
    if process.returncode != 0:
        if not show:
            print("".join(lines)[-4000:], end="")
        last = lines[-1].strip() if lines else "it said nothing"
        raise Refused(f"{Path(argv[0]).name} ended with {process.returncode}: {last[:300]}")
    return "".join(lines)


def commit(text: str) -> str:
    """An argument that is a whole commit: never a branch, an option or a path."""
    if not COMMIT.match(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the 40 hexadecimal digits of a commit")
    return text


def reference(text: str) -> str:
    """An argument that is a rollback's reference."""
    if not REFERENCE.match(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a reference like RB-2026-11-28-0001")
    return text
