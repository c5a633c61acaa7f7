"""docs/api.md is executed: every curl through the whole application, every shown answer compared."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client, override_settings

from core.clock import utcnow
from core.management.commands.first_administrator import Command as FirstAdministrator
from core.outbox import deliver_pending
from tests.docs.curl import differences, send, shown_answer
from tests.docs.pages import ROOT, Block, blocks

PAGE = ROOT / "docs" / "api.md"
URL = "http://127.0.0.1:8000"
SHOWN_DAY = "2026-11-24"


def _examples() -> Iterator[tuple[Block, Block]]:
    """Each curl with the answer that stands below it."""
    found = blocks(PAGE)
    for block, after in itertools.pairwise(found):
        if block.language == "sh" and block.text.startswith("curl "):
            assert after.language == "http", f"{PAGE.name}:{block.line} shows no answer"
            yield block, after


@pytest.fixture
def seeded(db: None, settings: Any) -> str:
    """What `make run` leaves on its first start; returns a token, made as the page makes one."""
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    FirstAdministrator().handle()
    call_command("seed_demo")
    made = re.search(r"TOKEN=\$\(\.venv/bin/python manage\.py (token create .*)\)", PAGE.read_text())
    assert made
    out = StringIO()
    call_command(*shlex.split(made[1]), stdout=out)
    return out.getvalue().strip()


@pytest.mark.django_db(transaction=True)
def test_every_example_works_and_answers_as_shown(seeded: str) -> None:
    client = Client()
    variables = {
        "URL": URL,
        "AUTH": f"Authorization: Bearer {seeded}",
        "JSON": "Content-Type: application/json",
    }
    today = f"{utcnow():%Y-%m-%d}"
    wrong = []
    with override_settings(PUBLIC_URL=URL):
        for block, after in _examples():
            answer = send(client, block.text.replace(SHOWN_DAY, today), variables)
            deliver_pending(now=utcnow())  # what the worker does meanwhile
            shown = shown_answer(after.text)
            place = f"{PAGE.name}:{block.line}"
            if answer.status_code != shown.status:
                wrong.append(f"{place} answered {answer.status_code}: {answer.content.decode()[:300]}")
                continue
            for name, value in shown.headers.items():
                if answer.headers.get(name) is None or (name != "ETag" and answer.headers[name] != value):
                    wrong.append(f"{place} has {name}: {answer.headers.get(name)}")
            wrong += [f"{place} {line}" for line in differences(shown.body, answer.json())]
            if "id" in shown.body and answer.status_code == 201:
                variables["ID"] = str(answer.json()["id"])  # as the page says
    assert not wrong, "\n".join(wrong)


def test_every_address_on_the_page_is_in_the_schema(client: Client, seeded: str) -> None:
    """Also those that stand in a sentence."""
    answer = client.get("/api/v1/schema/?format=json", headers={"Authorization": f"Bearer {seeded}"})
    known = [re.sub(r"\{\w+\}", "[^/]+", path) for path in answer.json()["paths"]]
    known += ["/api/v1/schema/", "/api/v1/docs/"]
    page = re.sub(r"\{\w+\}|\$[A-Z]+", "1", PAGE.read_text())  # what a reader puts there
    named = set(re.findall(r"/api/v1/[\w/.-]*", page))
    assert len(named) > 10
    assert [path for path in named if not any(re.fullmatch(one, path) for one in known)] == []


def test_a_wrong_answer_on_the_page_would_be_seen() -> None:
    shown = {"ref": "INC-2026-11-24-0001", "n": 1, "list": [{"a": "x"}]}
    assert differences(shown, {"ref": "INC-2031-01-02-0001", "n": 1, "list": [{"a": "x"}]}) == []
    assert differences(shown, {"ref": "INC-2031-01-02-0002", "n": 1, "list": [{"a": "x"}]})
    assert differences(shown, {"ref": None, "n": 1, "list": [{"a": "x"}]})
    assert differences(shown, shown | {"more": 1})
    assert differences(shown, {"n": 1, "list": [{"a": "x"}]})
    assert differences({"…": "…"}, {"more": 1}) == []
    assert differences(shown, shown | {"list": []})
