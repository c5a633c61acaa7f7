"""What every message says in every form: the files of golden/ are read before they are changed.

`UPDATE_GOLDEN=1 make test ARGS=tests/comms/test_wording.py` writes them anew.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from comms.overrides import sample_facts, sample_public_facts
from comms.rules.forms import as_blocks, as_html, as_sms, septets
from comms.states import EXTERNAL_TEMPLATES, Template
from comms.wording import Wording, render, render_public
from core.playbook import PlaybookError, load, use_playbook

GOLDEN = Path(__file__).parent / "golden"
ACTION = ("Acknowledge", "https://firebreak.example.test/a/MTIz")
FORMS = ("text", "html", "slack", "sms")


INSIDE = [template for template in Template if template not in EXTERNAL_TEMPLATES]


def in_form(template: Template, form: str, **changed: Any) -> str:
    if template in EXTERNAL_TEMPLATES:
        return formed(render_public(template, sample_public_facts(**changed)), form, None)
    return formed(render(template, sample_facts(**changed)), form, ACTION)


def formed(wording: Wording, form: str, action: tuple[str, str] | None) -> str:
    match form:
        case "html":
            return wording.forms.get("html") or as_html(wording.body, action=action)
        case "slack":
            blocks = wording.forms.get("blocks") or as_blocks(wording.body, action=action)
            return json.dumps(blocks, indent=1, ensure_ascii=False) + "\n"
        case "sms":
            return as_sms(wording.forms["short"], link=action[1] if action else "") + "\n"
    return f"Subject: {wording.subject}\n\n{wording.body}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("template", Template)
def test_every_message_in_every_form(template: Template, form: str) -> None:
    said = in_form(template, form)
    file = GOLDEN / f"{template}.{form}"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(said)
    assert said == file.read_text()


def test_there_is_no_golden_file_of_nothing() -> None:
    expected = {f"{template}.{form}" for template in Template for form in FORMS}
    assert {file.name for file in GOLDEN.iterdir()} == expected


@pytest.mark.parametrize("template", INSIDE)
def test_a_drill_says_so_first_in_every_form(template: Template) -> None:
    text = in_form(template, "text", drill=True)
    assert text.startswith("Subject: DRILL · ")
    assert text.split("\n\n", 1)[1].startswith("*** DRILL - this is an exercise ***\n\n")
    assert in_form(template, "sms", drill=True).startswith("DRILL: ")
    assert "DRILL" in json.loads(in_form(template, "slack", drill=True))[0]["text"]["text"]
    assert "<h1" in in_form(template, "html", drill=True).split("DRILL")[0]


# Source: seed, Incident Notification Template and Rollback Notification Template.
INCIDENT_ALERT = [
    "INCIDENT ALERT - ", "", "Incident ID: INC-", "Time: ", "Severity: P", "Status: ", "", "Description:", "*", "",
    "Impact:", "*", "", "Actions Taken:", "- ", "- ", "", "Next Steps:", "- ", "", "Incident Commander: ",
    "Technical Lead: ", "", "Updates will be provided every ",
]  # fmt: skip
ROLLBACK_INITIATED = [
    "ROLLBACK INITIATED - ", "", "Rollback ID: RB-", "Time: ", "Trigger: ", "Target Version: ", "", "Reason:", "*", "",
    "Expected Duration:", "*", "", "Impact During Rollback:", "*", "", "Status Updates:", "*", "", "Contact: ",
]  # fmt: skip

# And External Communication: Service Maintenance Notice, Resolution Notice.
MAINTENANCE = [
    "🔧 Scheduled Maintenance", "", "We're performing emergency maintenance to resolve a critical issue.", "",
    "Start Time: 20", "Expected Duration: 3", "Impact: One", "",
    "We apologize for any inconvenience and will provide updates as work progresses.", "", "Status Page: https://",
]  # fmt: skip
ISSUE_RESOLVED = [
    "✅ Issue Resolved", "", "The technical issue affecting our service has been resolved.", "", "Issue: P",
    "Resolution Time: 20", "Root Cause: A", "", "All services are now operating normally. Thank you for your patience.", "",
    "If you continue to experience issues, please contact support.",
]  # fmt: skip


@pytest.mark.parametrize(
    ("template", "lines"),
    [
        (Template.INCIDENT_ALERT, INCIDENT_ALERT),
        (Template.ROLLBACK_NOTICE, ROLLBACK_INITIATED),
        (Template.MAINTENANCE, MAINTENANCE),
        (Template.ISSUE_RESOLVED, ISSUE_RESOLVED),
    ],
)
def test_the_policys_templates_line_by_line(template: Template, lines: list[str]) -> None:
    said = in_form(template, "text").split("\n\n", 1)[1].split("\n")
    for line, begins in zip(said, lines, strict=False):
        assert line if begins == "*" else (line.startswith(begins) if begins else line == ""), (line, begins)
    assert len(said) >= len(lines)


HOSTILE = "<!channel> <https://evil.test|Log in>\r\nBcc: all@evil.test {{ facts.ref }} {% debug %} =cmd|'/C calc'!A0"


@pytest.mark.parametrize("template", Template)
def test_nothing_that_somebody_typed_is_more_than_words(template: Template) -> None:
    outside = template in EXTERNAL_TEMPLATES
    names = (
        ("title", "impact", "update")
        if outside
        else ("title", "description", "impact", "event_summary", "text")
    )
    facts = dict.fromkeys(names, HOSTILE)
    wording = (
        render_public(template, sample_public_facts(**facts))
        if outside
        else render(template, sample_facts(**facts))
    )
    assert "\n" not in wording.subject
    assert "\r" not in wording.subject
    assert "{{ facts.ref }}" in wording.body or HOSTILE.split("\r\n")[0] not in wording.body
    made = in_form(template, "html", **facts)
    assert "<!channel>" not in made
    assert 'href="https://evil.test|' not in made
    blocks = json.loads(in_form(template, "slack", **facts))
    texts = [block["text"] for block in blocks if "text" in block]
    texts += [text for block in blocks for text in block.get("fields", [])]
    assert {text["type"] for text in texts} == {"plain_text"}
    assert septets(in_form(template, "sms", **facts).rstrip("\n")) <= 160


class TestThePlaybooksOwn:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        shutil.copytree(settings.PLAYBOOK_DIR, tmp_path / "playbook")
        (tmp_path / "playbook" / "templates").mkdir(exist_ok=True)
        return tmp_path / "playbook"

    def write(self, folder: Path, name: str, text: str) -> None:
        (folder / "templates" / name).write_text(text)

    def test_it_stands_for_the_shipped_one_in_its_form(self, folder: Path) -> None:
        self.write(folder, "incident_alert.subject.txt", "{{ facts.ref }} needs you")
        self.write(folder, "incident_alert.html", "<h1>{{ facts.title }}</h1>")
        self.write(folder, "incident_alert.slack.txt", "Own words\n\n{{ facts.impact }}")
        with use_playbook(load(folder)):
            wording = render(Template.INCIDENT_ALERT, sample_facts(title="<script>"))
        assert wording.subject == "INC-2026-11-20-0001 needs you"
        assert wording.body.startswith("INCIDENT ALERT - P1")
        assert wording.forms["html"] == "<h1>&lt;script&gt;</h1>"
        assert wording.forms["blocks"][0]["text"]["text"] == "Own words"

    def test_it_is_part_of_the_playbooks_digest(self, folder: Path) -> None:
        before = load(folder).digest
        self.write(folder, "alarm.short.txt", "{{ facts.event_summary }}")
        assert load(folder).digest != before

    @pytest.mark.parametrize(
        ("name", "text", "problem"),
        [
            (
                "alarm.subject.txt",
                "ok\n{{ facts.sumary }}",
                "templates/alarm.subject.txt:2: there is no fact facts.sumary",
            ),
            ("alarm.txt", "one\n\n{% if facts.ref %}", "templates/alarm.txt:3: Unclosed tag on line 3: 'if'"),
            (
                "alarm.txt",
                "{% load static %}",
                "templates/alarm.txt:1: 'static' is not a registered tag library",
            ),
            ("alarm.txt", "{% include 'secret' %}", "templates/alarm.txt:1: "),
            ("alarms.txt", "x", "templates/alarms.txt:1: there is no such template"),
            ("README", "x", "templates/README:1: there is no such template"),
        ],
    )
    def test_a_mistake_names_file_and_line(self, folder: Path, name: str, text: str, problem: str) -> None:
        self.write(folder, name, text)
        with pytest.raises(PlaybookError) as refused:
            load(folder)
        (said,) = refused.value.problems
        assert said.startswith(problem)
