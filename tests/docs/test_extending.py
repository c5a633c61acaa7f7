"""docs/extending.md is followed word for word in a copy of the tree: copy, edit, check, test."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, blocks

PAGE = ROOT / "docs" / "extending.md"
ADAPTERS = ("incidents/sources/http_text.py", "comms/channels/chat.py", "rollbacks/steps/wait_for_port.py")
SKIPPED = shutil.ignore_patterns(
    ".git", ".venv", "var", "__pycache__", ".mypy_cache", ".ruff_cache", "images"
)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which everything that the page says was done."""
    tree = tmp_path_factory.mktemp("extending") / "tree"
    shutil.copytree(ROOT, tree, ignore=SKIPPED)
    for block in blocks(PAGE):
        if block.language == "sh" and block.text.startswith("cp "):
            _copy_neighbour(tree, shlex.split(block.text)[1:])
        elif block.language == "diff":
            _apply(tree, block)
        elif block.language == "python":
            (tree / block.labels["file"]).write_text(block.text)
    return tree


def _copy_neighbour(tree: Path, words: list[str]) -> None:
    source, target = words
    assert not (tree / target).exists(), target
    shutil.copy(tree / source, tree / target)


def _apply(tree: Path, block: Block) -> None:
    """Replace the lines of a diff (context and minus) by the others (context and plus)."""
    lines = block.text.splitlines()
    before = "\n".join(line[1:] for line in lines if line[0] in " -")
    after = "\n".join(line[1:] for line in lines if line[0] in " +")
    file = tree / block.labels["file"]
    text = file.read_text()
    assert text.count(before) == 1, f"{PAGE.name}:{block.line}: {block.labels['file']} has other lines"
    file.write_text(text.replace(before, after))


def _run(tree: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    dropped = ("PYTEST_", "DATABASE_", "REDIS_URL", "CELERY_", "VAR_DIR", "COV_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    environment["VAR_DIR"] = str(tree.parent / "var")
    return subprocess.run(argv, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_each_adapter_is_one_file_and_one_registry_entry(followed: Path) -> None:
    """Nothing but the adapters, their registries and their tests had to change."""
    changed = {
        str(path.relative_to(followed))
        for path in followed.rglob("*")
        if path.is_file()
        and (
            not (ROOT / path.relative_to(followed)).exists()
            or path.read_bytes() != (ROOT / path.relative_to(followed)).read_bytes()
        )
    }
    registries = {f"{Path(adapter).parent}/__init__.py" for adapter in ADAPTERS}
    tests = {f"tests/{a.split('/')[0]}/test_{Path(a).name}" for a in ADAPTERS}
    assert {path for path in changed if "__pycache__" not in path} == {*ADAPTERS, *registries, *tests}


@pytest.mark.faults
def test_style_contracts_and_migrations_stay_clean(followed: Path) -> None:
    tools = Path(sys.executable).parent
    for argv in (
        (str(tools / "lint-imports"), "--no-cache"),
        (str(tools / "ruff"), "check", "--no-cache", *ADAPTERS),
        (sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"),
    ):
        result = _run(followed, *argv)
        assert result.returncode == 0, result.stdout + result.stderr


def test_the_contracts_cover_a_new_adapter_without_naming_it(followed: Path) -> None:
    lint = str(Path(sys.executable).parent / "lint-imports")
    for adapter, forbidden in zip(
        ADAPTERS, ("incidents.sources.http_json", "comms.models", "rollbacks.services.requests"), strict=True
    ):
        file = followed / adapter
        text = file.read_text()
        try:
            file.write_text(f"{text}\n\nimport {forbidden}\n")
            said = _run(followed, lint, "--no-cache").stdout
            assert re.search(r"^Adapters .* BROKEN$", said, re.MULTILINE), (
                f"{adapter} may import {forbidden}: {said}"
            )
        finally:
            file.write_text(text)


@pytest.mark.faults
def test_the_new_ones_measure_deliver_and_run(followed: Path) -> None:
    """The page's own tests, on servers of their own."""
    tests = [block.labels["file"] for block in blocks(PAGE) if "/test_" in block.labels.get("file", "")]
    assert len(tests) == len(ADAPTERS)
    result = _run(followed, sys.executable, "-m", "pytest", *tests)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "5 passed" in result.stdout
