"""The runbooks: six parts each, words that stand on the screen, code that runs."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from core.models import User
from tests.docs.pages import ROOT, blocks

FOLDER = ROOT / "docs" / "runbooks"
RUNBOOKS = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
PARTS = ["What you see", "What still works meanwhile", "Check", "Do", "Over when", "Why"]


def _name(page: Path) -> str:
    return page.stem


@functools.cache
def _spoken() -> str:
    """Every text that the code and the templates may show."""
    files = [
        file for app in ("core", "incidents", "rollbacks", "comms") for file in ROOT.glob(f"{app}/**/*.py")
    ]
    return "\n".join(file.read_text() for file in [*files, *ROOT.glob("templates/**/*.html")])


def _stands_in(words: str, spoken: str) -> bool:
    """`…` stands for what differs: a name, a number, a placeholder."""
    return re.search(r"[^\n]*".join(map(re.escape, words.split("…"))), spoken) is not None


@pytest.mark.parametrize("page", RUNBOOKS, ids=_name)
def test_every_runbook_has_its_six_parts(page: Path) -> None:
    assert re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE) == PARTS


def test_the_index_names_every_runbook() -> None:
    named = set(re.findall(r"\]\(([\w-]+\.md)\)", (FOLDER / "README.md").read_text()))
    assert named == {page.name for page in RUNBOOKS}


@pytest.mark.parametrize("page", RUNBOOKS, ids=_name)
def test_quoted_words_stand_on_the_screen(page: Path) -> None:
    spoken = _spoken()
    quoted = {line[2:].strip() for line in page.read_text().splitlines() if line.startswith("> ")}
    assert {words for words in quoted if not _stands_in(words, spoken)} == set()


@pytest.mark.parametrize("page", RUNBOOKS, ids=_name)
def test_named_metrics_exist(page: Path) -> None:
    named = set(re.findall(r"`(firebreak_\w*[a-z])", page.read_text()))
    assert {name for name in named if f'"{name}"' not in _spoken()} == set()


def test_metrics_and_log_lines_are_quoted_as_they_are() -> None:
    """Lines of logs that a runbook tells people to look for."""
    spoken = _spoken()
    for words in (
        "did overdue work: ",
        "no broker, the sweeps will find the work",
        "the database is away",
        "consumer failed on pending event",
        "recipient refused (",
        "the playbook has no channel",
        "see OUTBOUND_ALLOWED_NETWORKS",
    ):
        assert words in spoken, words


@pytest.mark.parametrize("page", RUNBOOKS, ids=_name)
@pytest.mark.django_db
def test_code_for_the_shell_runs(page: Path) -> None:
    """Each `manage.py shell -c "…"` against a real database; the others are commands that exist."""
    User.objects.create(username="NAME")  # what the reader puts there
    for block in blocks(page):
        needs = block.labels.get("needs")
        if block.language != "sh" or (needs and needs not in settings.INSTALLED_APPS):
            continue
        for code in re.findall(r'manage\.py shell -v 0 -c "\n(.*?)"$', block.text, re.MULTILINE | re.DOTALL):
            call_command("shell", "-v", "0", command=code)
