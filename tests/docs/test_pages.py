"""What the pages name exists: links, headings, make targets, commands, variables."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.docs.pages import ROOT, markdown_files

PAGES = markdown_files()
FOREIGN_VARIABLES = {
    "AUTH",
    "CHAT_URL",
    "FAULTS_REAL_LEASES",
    "FIREBREAK_FAILPOINT",
    "GRANIAN_WORKERS",
    "ID",
    "JSON",
    "NAME",
    "PWD",
    "TOKEN",
    "URL",
    "WEBHOOK_SECRET",
    "WEBHOOK_URL",
}  # of the pages' own examples, of the fault tests, and what the changelog says is gone


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _anchor(heading: str) -> str:
    """A heading's anchor as GitHub makes it."""
    text = re.sub(r"[`*]", "", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    return {_anchor(found[1]) for found in re.finditer(r"^#+ (.+)$", page.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_resolves(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^\s*)make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_exists(page: Path) -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", page.read_text()))
    assert named <= set(get_commands())


@functools.cache
def _known_variables() -> set[str]:
    """Every variable that settings, servers, demo, playbook or Makefile read."""
    files = [*ROOT.glob("config/**/*.py"), *ROOT.glob("core/**/*.py"), *ROOT.glob("demo/**/*.py")]
    files += [
        *ROOT.glob("comms/**/*.py"),
        *ROOT.glob("rollbacks/executor/*.py"),
        *ROOT.glob("tests/plugins/*.py"),
    ]
    read = r"""(?:env(?:\.\w+)?\(|environ(?:\.get\(|\[)|getenv\()\s*f?["']([A-Z][A-Z0-9_]+)["']"""
    known = {name for file in files for name in re.findall(read, file.read_text())}
    known |= set(re.findall(r'"(FIREBREAK_[A-Z]+)":', (ROOT / "rollbacks/executor/commands.py").read_text()))
    known |= set(re.findall(r"_variable: (\w+)", (ROOT / "playbook/channels.yaml").read_text()))
    known |= set(re.findall(r"\b([A-Z][A-Z_]+) \?=", (ROOT / "Makefile").read_text()))
    return known | set(re.findall(r"\$\(([A-Z]+)\)", (ROOT / "Makefile").read_text()))


@functools.cache
def _constants() -> set[str]:
    """Names in capitals of the code, which pages name as well."""
    return {
        name
        for app in ("core", "incidents", "rollbacks", "comms", "config")
        for file in ROOT.glob(f"{app}/**/*.py")
        for name in re.findall(r"^([A-Z][A-Z0-9_]+)\b(?:: [^=]+)? =", file.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_variable_exists(page: Path) -> None:
    """Names in capitals that stand as code alone, are set or are read on a page."""
    text = re.sub(r"^```(?:python|json|http|diff|yaml).*?^```", "", page.read_text(), flags=re.M | re.S)
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|PORT|HOST)(?:=[^`]*)?`", text))
    named |= set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", text))
    named |= set(re.findall(r"(?:^|[ `])([A-Z][A-Z0-9_]{3,})=", text, re.MULTILINE))
    shell = "\n".join(re.findall(r"^```sh.*?^```", text, flags=re.M | re.S))
    own = set(re.findall(r"(?:^|\s)([A-Z][A-Z0-9_]+)=\S", shell))  # what the page's own blocks set
    assert named - own - FOREIGN_VARIABLES <= _known_variables() | _constants()


def test_the_words_of_the_concepts_are_those_of_the_pages() -> None:
    """What is set in bold with a capital letter, and every state in italics, is on a page."""
    page = (ROOT / "docs" / "concepts.md").read_text()
    files = [file for app in ("incidents", "rollbacks", "comms") for file in ROOT.glob(f"{app}/**/*.py")]
    shown = "\n".join(file.read_text() for file in [*files, *ROOT.glob("templates/**/*.html")])
    words = set(re.findall(r"\*\*([A-Z][^*]+)\*\*", page)) | set(re.findall(r"\*([A-Z][a-z]+)\*(?!\*)", page))
    assert len(words) > 12
    assert {word for word in words if not re.search(rf"\b{re.escape(word)}\b", shown)} == set()
