"""The import contracts hold, and each of them bites when it is violated."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("core", "incidents", "rollbacks", "comms", "demo", "config")

# One line that breaks each contract: (contract id, file, what is added to it).
VIOLATIONS = (
    ("layers", "incidents/policy.py", "import rollbacks.models"),
    ("pure-rules", "incidents/rules/levels.py", "import time"),
    ("services-room", "rollbacks/services/requests.py", "import subprocess"),
    ("transitions-protected", "comms/panels.py", "import incidents.transitions"),
    ("doors-room", "rollbacks/consumers.py", "import rollbacks.steps.command"),
    ("adapters-independent", "comms/channels/email.py", "import incidents.models"),
    ("adapters-strangers", "comms/channels/email.py", "import comms.channels.slack"),
)


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    lint_imports = Path(sys.executable).parent / "lint-imports"
    argv = [str(lint_imports), "--no-cache", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_all_contracts_hold(copy: Path) -> None:
    result = _lint(copy)
    assert result.returncode == 0, result.stdout


def test_every_contract_has_a_seeded_violation() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["id"] for contract in contracts} == {name for name, _file, _line in VIOLATIONS}


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_a_seeded_violation_is_caught(copy: Path, contract: str, file: str, line: str) -> None:
    target = copy / file
    target.write_text(f"{target.read_text()}\n\n{line}\n")
    result = _lint(copy)
    name = next(
        c["name"]
        for c in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if c["id"] == contract
    )
    assert result.returncode == 1, result.stdout
    assert f"{name} BROKEN" in result.stdout
