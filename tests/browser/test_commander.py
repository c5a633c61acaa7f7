"""The commander's loop in a real Chromium, without leaving the incident's page: with a mouse by two people,
by keyboard alone, with a thumb on a phone, and without JavaScript."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from comms.models import Contact, Message
from comms.services.components import ensure_components
from core.actors import actor_for_user
from core.clock import utcnow
from core.models import Event, User
from core.outbox import deliver_pending
from incidents.models import Incident, Service
from incidents.states import IncidentStatus
from rollbacks.models import Rollback
from rollbacks.services.requests import cancel_rollback, request_rollback
from tests.browser.chromium import chromium, needs_chromium
from tests.browser.conftest import Visitors
from tests.rollbacks.conftest import own_folders, workshop
from tests.rollbacks.workshop import Workshop, run
from tests.web import WebProcess

__all__ = ["own_folders", "workshop"]  # fixtures
pytestmark = [pytest.mark.browser, needs_chromium, pytest.mark.django_db(transaction=True)]

INSIDE, OUTSIDE, CAUSE = "Tenant 4711 melts the database", "Some payments fail.", "A faulty release."
# Clicks and taps of a person on what acts, opens or asks for a file; those in a form's own fields are writing.
COUNT = """
window.clicks = 0;
addEventListener("click", (event) => {
  if (event.isTrusted && event.target.closest("a, button, summary, [type=file]")) window.clicks += 1;
}, true);
"""
MOST_CLICKS = 2
TICK = "tick-next-emergency-preserve_evidence"


class Way:
    """How somebody works: by mouse. `do` is one action from the incident's page, and counts its clicks."""

    scripted = True
    counted: dict[str, int]

    def __init__(self, page: Page) -> None:
        self.page, self.counted = page, {}

    def do(self, opener: str, send: str = "", **fields: str) -> None:
        """Press what has the id `opener`; where that opens a form, write into it and press `send`."""
        before = self._clicks()
        self.press(self.page.locator(f"#{opener}").first)
        if send:
            form = self._form()
            for name, value in fields.items():
                self.write(form.locator(f"[name='{name.replace('users_', 'users-')}']"), value)
            self.submit(form.get_by_role("button", name=send))
            expect(self.page.locator("dialog#dialog[open]")).to_have_count(0)
        self.counted[opener] = self._clicks() - before

    def press(self, what: Any) -> None:
        what.click()

    def submit(self, button: Any) -> None:
        button.click()

    def write(self, field: Any, value: str) -> None:
        kind = field.first.evaluate("(field) => field.type")
        if kind in ("checkbox", "radio"):
            box = field.and_(self.page.locator(f"[value='{value}']")) if value != "on" else field
            box.check(force=True)
        elif kind == "select-one":
            field.select_option(value)
        else:
            field.fill(value)

    def _form(self) -> Any:
        form = self.page.locator("dialog#dialog[open] form")
        expect(form).to_be_visible()
        return form

    def _clicks(self) -> int:
        return int(self.page.evaluate("window.clicks"))


class ByKeyboard(Way):
    """No click at all: letters for what has one, else Enter on what has the focus; a form is sent by Ctrl+Enter."""

    LETTERS: Mapping[str, str] = {"action-acknowledge": "a", "action-update": "u", "action-roll_back": "r"}

    def do(self, opener: str, send: str = "", **fields: str) -> None:
        super().do(opener, send, **fields)
        assert self.counted[opener] == 0

    def press(self, what: Any) -> None:
        key = self.LETTERS.get(what.get_attribute("id"))
        if key:
            expect(what).to_be_visible()
            self.page.keyboard.press(key)
        else:
            what.focus()
            self.page.keyboard.press("Enter")

    def submit(self, button: Any) -> None:
        expect(button).to_be_visible()
        self.page.keyboard.press("Control+Enter")

    def write(self, field: Any, value: str) -> None:
        kind = field.first.evaluate("(field) => field.type")
        if kind in ("checkbox", "radio"):
            field = field.and_(self.page.locator(f"[value='{value}']")) if value != "on" else field
            field.focus()
            if not field.is_checked():
                self.page.keyboard.press("Space")
        elif kind == "select-one":
            field.select_option(value)
        else:
            field.focus()
            self.page.keyboard.insert_text(value)

    def _clicks(self) -> int:
        return int(
            self.page.evaluate("window.pressed ?? 0")
        )  # a key on a button is a click of the browser's own


class ByThumb(Way):
    """Taps."""

    def press(self, what: Any) -> None:
        what.tap()

    def submit(self, button: Any) -> None:
        self.press(button)


class WithoutScripts(Way):
    """Every form is a page of its own and leads back to the incident."""

    scripted = False

    def do(self, opener: str, send: str = "", **fields: str) -> None:
        here = self.page.url
        super().do(opener, send, **fields)
        self.page.wait_for_url(here)

    def write(self, field: Any, value: str) -> None:
        folded = field.first.locator("xpath=ancestor::details[not(@open)]")
        if folded.count():
            folded.locator("summary").click()
        super().write(field, value)

    def _form(self) -> Any:
        return self.page.locator("main .form-page form")

    def _clicks(self) -> int:
        return 0


def deliver() -> None:
    """What the workers do with events: checklists open, messages are drafted."""
    deliver_pending(now=utcnow())


@pytest.fixture
def people(shop: Service, make_user: Callable[..., User], now: dt.datetime) -> dict[str, User]:
    """Ida commands, Tom leads the technical work, Cleo may lead communications and can be paged."""
    Service.objects.filter(pk=shop.pk).update(public_name="Checkout")
    ensure_components(now=now)
    found = {
        "ida": make_user("ida", "commander", "incident_commander", "technical_lead"),
        "tom": make_user("tom", "responder", "technical_lead"),
        "cleo": make_user("cleo", "responder", "communications_lead"),
    }
    Contact.objects.create(name="Cleo", email="cleo@example.test", user=found["cleo"])
    return found


@pytest.fixture
def visitors(workshop: Workshop, tmp_path: Path, transactional_db: None) -> Iterator[Visitors]:
    """Before a web process whose playbook has commands that can run here."""
    folder = workshop.write()
    web = WebProcess(tmp_path, PLAYBOOK_DIR=str(folder))
    web.start()
    try:
        with chromium() as browser, workshop.open():
            opened = Visitors(browser, web.url)
            yield opened
    finally:
        web.stop()
    assert opened.complaints == []


def enter(page: Page, incident: Incident, *, live: bool = True) -> None:
    page.add_init_script(COUNT)
    page.goto(f"/incidents/{incident.ref}/")
    if live:
        expect(page.locator("#live-state")).to_have_text("Live")


def declare(page: Page, *, keys: bool) -> Incident:
    """From the page Now, by four fields."""
    page.goto("/")
    if keys:
        page.keyboard.press("d")
    else:
        page.goto("/incidents/declare/")
    page.get_by_label("What is wrong?").fill("Checkout fails")
    page.locator("input[name=severity][value=P1]").check(force=True)
    page.locator("services-field input[type=text]").fill("shop")
    page.locator("form:has([name=severity]) [type=submit]").click()
    page.wait_for_url("**/incidents/INC-*/")
    return Incident.objects.get()


def test_two_people_from_the_declaration_to_the_end(
    visitors: Visitors, people: dict[str, User], now: dt.datetime
) -> None:
    ida_page, tom_page = visitors.somebody(people["ida"]), visitors.somebody(people["tom"])
    incident = declare(ida_page, keys=True)
    enter(ida_page, incident)
    enter(tom_page, incident)
    ida, tom = Way(ida_page), Way(tom_page)
    deliver()

    ida.do("action-acknowledge")
    expect(tom_page.locator(".clock.person")).to_contain_text("ida")  # she may be commander, so she is
    tom.do("take-technical_lead")
    expect(ida_page.locator("section[aria-label=People]")).to_contain_text("tom")
    ida.do("action-page-communications_lead", "Page them", reason="Users ask")
    expect(tom_page.locator(".timeline")).to_contain_text("Communications Lead is needed: Cleo paged")
    ida.do("check-criteria", "Check the criteria", criteria="data_corruption")
    expect(tom_page.locator(".criteria-line")).to_contain_text("Immediate rollback")

    tom.do("action-roll_back", "Request rollback", reason="2.0.0 broke it")
    expect(tom_page.locator("#action-approve")).to_have_attribute("aria-disabled", "true")
    ida.do("action-approve", "Approve", reason="go")
    rollback = Rollback.objects.get()
    expect(tom_page.locator("section[aria-label=Rollback]")).to_contain_text("Approved")
    assert run(rollback).state == "succeeded"
    expect(ida_page.locator("section[aria-label=Rollback]")).to_contain_text("Succeeded")
    expect(tom_page.locator("section[aria-label=Rollback] progress")).to_have_attribute(
        "value", str(rollback.steps.count())
    )
    expect(tom_page.locator(".stepper [aria-current]")).to_have_text("Monitoring")

    ida.do(TICK)
    expect(tom_page.locator(".timeline")).to_contain_text("Done: Preserve evidence")

    ida.do("action-update", "Post an update", message=INSIDE, users_update_text=OUTSIDE, users_approve="on")
    expect(tom_page.locator(".timeline")).to_contain_text(INSIDE)
    update = Message.objects.get(template="external_update")
    assert (update.state, INSIDE in update.body) == ("queued", False)
    ida.do("action-judge", "Judge", false_positive="no", reason="it was the release")
    ida.do("action-resolve", "Resolve", resolution="Rolled back", users_root_cause=CAUSE, users_approve="on")
    expect(tom_page.locator(".stepper [aria-current]")).to_have_text("Resolved")
    incident.refresh_from_db()
    assert incident.status == IncidentStatus.RESOLVED
    assert CAUSE in Message.objects.get(template="issue_resolved").body
    assert {**ida.counted, **tom.counted} == {
        name: clicks for name, clicks in {**ida.counted, **tom.counted}.items() if 1 <= clicks <= MOST_CLICKS
    }


@pytest.mark.faults
@pytest.mark.parametrize("kind", [ByKeyboard, ByThumb, WithoutScripts])
def test_the_same_alone(visitors: Visitors, people: dict[str, User], kind: type[Way]) -> None:
    ida = people["ida"]
    if kind is ByThumb:
        page = visitors.on_a_phone(ida)
    else:
        page = visitors.somebody(ida, java_script_enabled=kind.scripted)
    incident = declare(page, keys=kind is ByKeyboard)
    enter(page, incident, live=kind.scripted)
    way = kind(page)
    deliver()

    def others_did_something() -> None:
        if not kind.scripted:
            page.reload()

    way.do("action-acknowledge")
    way.do("take-technical_lead")
    way.do("action-page-communications_lead", "Page them", reason="Users ask")
    way.do("check-criteria", "Check the criteria", criteria="data_corruption")
    way.do("action-roll_back", "Request rollback", reason="2.0.0 broke it")
    expect(page.locator("#action-approve")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#why-approve")).to_contain_text("The requester cannot approve")
    way.do("action-cancel", "Cancel the rollback", reason="wait")
    tom = actor_for_user(people["tom"])
    asked = request_rollback(incident_id=incident.pk, service="shop", reason="x", actor=tom, now=utcnow())
    others_did_something()
    way.do("action-reject", "Reject", reason="not yet")
    asked = request_rollback(incident_id=incident.pk, service="shop", reason="y", actor=tom, now=utcnow())
    others_did_something()
    expect(page.locator("section[aria-label=Rollback]")).to_contain_text(asked.ref)
    way.do("action-approve", "Approve", reason="go")
    asked.refresh_from_db()
    assert asked.state == "approved"
    cancel_rollback(rollback_id=asked.pk, reason="fixed forward", actor=tom, now=utcnow())
    others_did_something()
    way.do(TICK)
    way.do("action-update", "Post an update", message=INSIDE, users_update_text=OUTSIDE, users_approve="on")
    way.do("action-resolve", "Resolve", resolution="Fixed", users_root_cause=CAUSE)
    expect(page.locator(".stepper [aria-current]")).to_have_text("Resolved")
    kinds = set(Event.objects.filter(stream=incident.stream).values_list("kind", flat=True))
    assert kinds >= {
        "incident.acknowledged", "role.assigned", "role.paged", "decision.criteria_checked", "rollback.requested",
        "rollback.rejected", "rollback.approved", "rollback.cancelled", "checklist.ticked", "incident.updated",
        "message.approved", "incident.resolved",
    }, kinds  # fmt: skip
    assert all(clicks <= MOST_CLICKS for clicks in way.counted.values())
    if kind is not WithoutScripts:
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
