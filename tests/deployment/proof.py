"""The guide, followed literally on a clean Debian 12, and then what its reader relies on. See `make deploy-check`.

    python -m tests.deployment.proof [FOLDER]

A FOLDER is kept, with the machine in it and its base for the next time; without one all is removed at the end.
Needs root, debootstrap, systemd-nspawn and Chromium. Nothing here knows Firebreak better than the guide
does: where a line of the guide is wrong, this fails with that line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.deployment import guide
from tests.deployment.machine import Machine
from tests.deployment.stories import Stories
from tests.deployment.visitor import Visitor, password_in

OLD, NEW = "0.1.0", "0.1.1"
NEEDED = ("debootstrap", "systemd-nspawn", "nsenter", "git", "openssl", "chromium")


def main(folder: Path) -> None:
    machine = Machine(folder)
    passed = 0

    def step(name: str, work: Callable[[], object]) -> None:
        nonlocal passed
        began = time.monotonic()
        found = work()
        passed += 1
        print(
            f"ok {passed:2} {name} ({time.monotonic() - began:.1f} s){f': {found}' if found else ''}",
            flush=True,
        )

    try:
        step("a clean Debian 12", machine.install)
        step(
            "two release archives from clean checkouts", lambda: make_archives(folder, machine.root / "root")
        )
        step("it boots, with its own systemd", machine.boot)
        printed: list[str] = []
        step("the guide's installation, block by block", lambda: printed.extend(follow(machine, "install")))
        certificate = folder / "fullchain.pem"
        certificate.write_text(machine.sh("cat /etc/firebreak/tls/fullchain.pem"))
        stories = Stories(machine, Visitor(certificate), password_in("".join(printed)))
        step("every unit runs, as who it should", stories.units)
        step("nobody outside reads what is for the host", stories.closed_doors)
        step("static files by their hash, without Firebreak", stories.static_files)
        step("sign-in, an incident, the live stream through nginx", stories.sign_in_and_declare)
        step("a stop waits for a running command", stories.stop_waits)
        step("a killed runner leaves its command running", stories.crash_leaves_the_command)
        step("systemd and firebreak-manage read the same file", stories.same_environment)
        step("figures", stories.figures)
        step("with everything stopped", stories.everything_stopped)
        step("the guide's backup, restored", lambda: follow(machine, "backup")[-1].strip() + " events")
        step("the guide's upgrade", lambda: stories.switch("upgrade", NEW))
        step("the guide's way back", lambda: stories.switch("rollback", OLD))
        step("the guide's removal leaves nothing", stories.removal)
    finally:
        machine.stop()
    print(f"{passed} passed, 0 failed")


def follow(machine: Machine, part: str) -> list[str]:
    """Paste every block of a part of the guide; returns what each printed."""
    return [machine.paste(block) for block in guide.blocks(part)]


def make_archives(folder: Path, to: Path) -> None:
    """By the guide's own block: the committed state, and a next version whose tables have one column more."""
    checkout = folder / "checkout"
    shutil.rmtree(checkout, ignore_errors=True)
    _run("git", "clone", "--quiet", "--no-hardlinks", str(guide.ROOT), str(checkout), cwd=folder)
    (block,) = guide.blocks("checkout")
    _run("bash", "-euc", block, cwd=checkout)
    _add_a_migration(checkout / "incidents" / "migrations")
    _run("git", "add", "--all", cwd=checkout)
    author = ("-c", "user.name=check", "-c", "user.email=check@localhost")
    _run("git", *author, "commit", "--quiet", "--message", "The next version", cwd=checkout)
    _run("bash", "-euc", block.replace(f"VERSION={OLD}", f"VERSION={NEW}"), cwd=checkout)
    for version in (OLD, NEW):
        archive = checkout / f"firebreak-{version}.tar.gz"
        (to / archive.name).write_bytes(archive.read_bytes())


def _add_a_migration(folder: Path) -> None:
    last = max(path.stem for path in folder.glob("[0-9]*.py"))
    (folder / f"{int(last[:4]) + 1:04}_one_more_column.py").write_text(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        f"    dependencies = [('incidents', '{last}')]\n"
        "    operations = [migrations.RunSQL('ALTER TABLE incidents_incident ADD COLUMN one_more text')]\n"
    )


def _run(*argv: str, cwd: Path) -> None:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"


def refuse_without_means() -> None:
    """Say what is missing before anything is made."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        lack = f"; missing here: {', '.join(missing)}" if missing else ""
        sys.exit(f"deploy-check makes and boots a machine: it needs root and {', '.join(NEEDED)}{lack}")


if __name__ == "__main__":
    refuse_without_means()
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory(prefix="firebreak-deploy.") as scratch:
            main(Path(scratch))
