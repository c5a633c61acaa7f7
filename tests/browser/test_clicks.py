"""How many clicks each action of the commander's loop takes from the incident's page: two at most."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.actors import actor_for_user
from core.clock import utcnow
from core.models import Event, User
from incidents.models import Incident
from incidents.services.incidents import declare_incident
from rollbacks.executor import run_due
from rollbacks.models import Rollback
from tests.browser.chromium import needs_chromium
from tests.browser.conftest import Visitors
from tests.browser.test_commander import (
    CAUSE,
    INSIDE,
    MOST_CLICKS,
    OUTSIDE,
    TICK,
    Way,
    deliver,
    enter,
    people,
    visitors,
)
from tests.browser.test_evidence_story import PASTE
from tests.rollbacks.conftest import own_folders
from tests.rollbacks.workshop import Workshop

__all__ = ["own_folders", "people", "visitors"]  # fixtures
pytestmark = [
    pytest.mark.faults,
    pytest.mark.browser,
    needs_chromium,
    pytest.mark.django_db(transaction=True),
]
QUESTION = "Is the site calm?"


@dataclass(frozen=True)
class Act:
    """One action: by whom, what they press, and in how many clicks, those on fields that they write into aside.

    `send` is the button of the form that opens, `fields` what is written into it; `typed` what is written into the
    page itself before, by the field's id. `kind` is the event that the action leaves.
    """

    name: str
    clicks: int
    by: str
    opener: str
    kind: str
    send: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    typed: Mapping[str, str] = field(default_factory=dict)
    then: Callable[[], object] = lambda: None


def work() -> None:
    """What a worker does, until the rollback waits for a person or has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        run_due(now=utcnow())
        rollback = Rollback.objects.get()
        if rollback.due_at is None or rollback.steps.filter(kind="confirm", state="waiting").exists():
            return
        time.sleep(0.1)
    raise AssertionError("the rollback does not come to rest")


LOOP = (
    Act("acknowledge", 1, "ida", "action-acknowledge", "incident.acknowledged"),
    Act("take a role", 1, "tom", "take-technical_lead", "role.assigned"),
    Act("page a role", 2, "ida", "action-page-communications_lead", "role.paged", "Page them", {"reason": "Users ask"}),
    Act("assess the criteria", 2, "ida", "check-criteria", "decision.criteria_checked", "Check the criteria", {"criteria": "data_corruption"}),
    Act("escalate", 2, "ida", "action-escalate", "incident.escalated", "Escalate", {"reason": "It grows"}),
    Act("roll back", 2, "tom", "action-roll_back", "rollback.requested", "Request rollback", {"reason": "2.0.0 broke it"}),
    Act("approve", 2, "ida", "action-approve", "rollback.approved", "Approve", {"reason": "go"}, then=work),
    Act("answer what a step asks", 2, "ida", "confirm-step", "rollback.step_confirmed", "Yes, go on", then=work),
    Act("decide where it stopped", 2, "ida", "choose-retry", "rollback.step_retried", "Try again", {"reason": "the mount is back"}, then=work),
    Act("judge the rollback", 2, "ida", "action-judge", "rollback.judged", "Judge", {"false_positive": "no", "reason": "it was the release"}),
    Act("tick an item", 1, "ida", TICK, "checklist.ticked"),
    Act("write a note", 1, "tom", "note-add", "note.added", typed={"note-summary": "The queue is empty"}),
    Act("add a task", 1, "ida", "task-add", "task.created", typed={"task-title": "Call the vendor"}),
    Act("update", 2, "ida", "action-update", "incident.updated", "Post an update", {"message": INSIDE, "users_update_text": OUTSIDE, "users_approve": "on"}),
    Act("resolve", 2, "ida", "action-resolve", "incident.resolved", "Resolve", {"resolution": "Rolled back", "users_root_cause": CAUSE, "users_approve": "on"}),
)  # fmt: skip
# Forms that stand on the page: their button has no id.
INLINE = {"note-add": ".timeline .note-form button", "task-add": ".task-form > button"}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A procedure that asks a person, then fails once, then succeeds."""
    made = Workshop(tmp_path)
    once = f"import pathlib; p = pathlib.Path({str(made.folder)!r}, 'tried')\nif not p.exists(): p.touch(); sys.exit(3)"
    made.command("update_configuration", once)
    made.command("yes_back", "")
    made.only(
        {"key": "first", "command": "switch_version", "mutating": True, "verify_after": "yes_back"},
        {"key": "sure", "kind": "confirm", "question": QUESTION, "within": "10m"},
        {"key": "config", "command": "update_configuration"},
    )
    return made


@pytest.fixture
def incident(people: dict[str, User], workshop: Workshop, now: dt.datetime) -> Incident:
    with workshop.open():
        made = declare_incident(
            actor=actor_for_user(people["tom"]),
            now=now,
            title="Checkout fails",
            severity="P1",
            services=["shop"],
        )
        deliver()
    return made


class Counting(Way):
    """Presses buttons that have no id of their own as well."""

    def act(self, one: Act) -> int:
        before = self._clicks()
        for name, text in one.typed.items():
            self.page.locator(f"#{name}").fill(text)
        if one.opener in INLINE:
            self.press(self.page.locator(INLINE[one.opener]))
        else:
            self.do(one.opener, one.send, **one.fields)
        return self._clicks() - before


def wait_for_event(incident: Incident, kind: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not Event.objects.filter(stream_id=incident.stream_id, kind=kind).exists():
        assert time.monotonic() < deadline, f"{kind} never came"
        time.sleep(0.05)


def test_each_action_of_the_loop_takes_so_many_clicks(
    visitors: Visitors, people: dict[str, User], incident: Incident
) -> None:
    pages: dict[str, Page] = {name: visitors.somebody(people[name]) for name in ("ida", "tom")}
    for page in pages.values():
        enter(page, incident)
    here = pages["ida"].url
    ways = {name: Counting(page) for name, page in pages.items()}
    counted = {}
    for one in LOOP:
        counted[one.name] = ways[one.by].act(one)
        wait_for_event(incident, one.kind)
        one.then()
        if one.name == "approve":  # the steps are followed, and what one asks is read, without a click
            panel = pages["tom"].locator("section[aria-label=Rollback]")
            expect(panel).to_contain_text(QUESTION)
            expect(panel.locator("progress")).to_have_attribute("value", "2")
    assert counted == {one.name: one.clicks for one in LOOP}
    assert max(counted.values()) <= MOST_CLICKS
    assert {page.url for page in pages.values()} == {here}


def test_evidence_is_pasted_without_a_click_or_chosen_with_two(
    visitors: Visitors, people: dict[str, User], incident: Incident
) -> None:
    page = visitors.somebody(people["ida"])
    enter(page, incident)
    way = Way(page)
    page.evaluate(PASTE, ["image.png", "image/png", 0])
    expect(page.locator("#panel-evidence img")).to_have_count(1)
    assert way._clicks() == 0
    with page.expect_file_chooser() as asked:
        page.locator("#evidence-file").click()
    asked.value.set_files({"name": "a.log", "mimeType": "text/plain", "buffer": b"a line of a log\n"})
    page.locator(".evidence-form button").click()
    expect(page.locator("#panel-evidence")).to_contain_text("a.log")
    assert way._clicks() == MOST_CLICKS
