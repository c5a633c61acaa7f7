"""deploy/ as the programs that will read it judge it: `python -m tests.deployment.checks`.

Prints what is wrong on the standard error and ends with 1. nginx and systemd are asked where they exist.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PATH = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def image(deploy: Path, scratch: Path) -> str:
    """What hadolint says of the Dockerfile; empty when nothing."""
    return _told([str(BIN / "hadolint"), str(deploy / "Dockerfile")])


def compose(deploy: Path, scratch: Path) -> str:
    """What the compose specification's schema says."""
    argv = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    told = _told([*argv, str(deploy / "compose.yaml")])
    return "" if told == "ok -- validation done" else told


def nginx(deploy: Path, scratch: Path) -> str:
    """What `nginx -t` says: the file in the smallest frame, with a certificate of its own."""
    certificate = [
        "-subj",
        "/CN=x",
        "-keyout",
        str(scratch / "privkey.pem"),
        "-out",
        str(scratch / "fullchain.pem"),
    ]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", *key, *certificate], capture_output=True, check=True)
    text = (deploy / "nginx" / "firebreak.conf").read_text().replace("/etc/firebreak/tls", str(scratch))
    # It opens what it listens on: sockets here, since ports may be taken or forbidden.
    text = re.sub(r"listen (?:\[::\]:(\d+)|(\d+))", rf"listen unix:{scratch}/v6-\1-v4-\2", text)
    (scratch / "firebreak.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {scratch}/{kind};" for kind in kinds)
    frame = f"http {{ access_log off; {places} include firebreak.conf; }}"
    (scratch / "nginx.conf").write_text(f"pid {scratch}/pid; error_log stderr; events {{}} {frame}")
    return _told(["nginx", "-t", "-q", "-e", "stderr", "-p", str(scratch), "-c", "nginx.conf"])


def systemd(deploy: Path, scratch: Path) -> str:
    """What `systemd-analyze verify` says; it ends with 0 whatever that is. The program is a stand-in here."""
    units = scratch / "units"
    shutil.copytree(deploy / "systemd", units)
    for unit in units.glob("*.service"):
        unit.write_text(unit.read_text().replace("/opt/firebreak/current/.venv/bin/python", "/bin/true"))
    names = sorted(str(path) for path in units.iterdir() if path.is_file())
    return _told(["systemd-analyze", "verify", "--man=no", *names])


Check = Callable[[Path, Path], str]
# Which file, by whom, and the program that must be there for it.
CHECKS: dict[str, tuple[Check, str]] = {
    "Dockerfile": (image, "hadolint"),
    "compose.yaml": (compose, "check-jsonschema"),
    "nginx/firebreak.conf": (nginx, "nginx"),
    "systemd": (systemd, "systemd-analyze"),
}


def faults(name: str, deploy: Path = ROOT / "deploy") -> str | None:
    """What is wrong with one of CHECKS, empty when nothing; None when its program is not installed."""
    check, program = CHECKS[name]
    if shutil.which(program, path=PATH) is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        return check(deploy, Path(scratch))


def _told(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": PATH})
    told = (done.stdout + done.stderr).strip()
    return told or (f"{argv[0]} ended with {done.returncode}" if done.returncode else "")


if __name__ == "__main__":
    found = {name: faults(name) for name in CHECKS}
    for name, told in found.items():
        print(
            f"deploy/{name}: {'not checked, its program is not installed' if told is None else told or 'well'}"
        )
    sys.exit(any(found.values()))
