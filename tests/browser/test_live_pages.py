"""Open pages in Chromium on the real web process: news within a second, and nothing of the reader's lost."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

from core.actors import Actor
from core.models import User
from core.outbox import deliver_pending
from incidents.models import Incident
from incidents.services.incidents import edit_incident, resolve_incident
from incidents.services.notes import add_note
from tests.browser.chromium import chromium as started
from tests.browser.chromium import needs_chromium
from tests.signing_in import sign_in
from tests.web import WebProcess

pytestmark = [
    pytest.mark.browser,
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    needs_chromium,
]


@pytest.fixture
def web(tmp_path: Path, transactional_db: None) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright's loop runs in this thread
    with started() as browser:
        yield browser


@pytest.fixture
def enter(
    web: WebProcess, chromium: Browser, make_user: Callable[..., User]
) -> Callable[..., BrowserContext]:
    """A browser of its own in which that new account is signed in."""

    def signed_in(username: str, level: str = "responder", *roles: str) -> BrowserContext:
        client = Client()
        sign_in(client, make_user(username, level, *roles))
        value = client.cookies[settings.SESSION_COOKIE_NAME].value
        context = chromium.new_context(base_url=web.url)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": web.url}])
        return context

    return signed_in


def requests_for_panels(page: Page) -> list[str]:
    """Those for more than who is here."""
    found: list[str] = []

    def note(url: str) -> None:
        if "panels=" in url and "panels=present&" not in url:
            found.append(url)

    page.on("request", lambda request: note(request.url))
    return found


def open_live(context: BrowserContext, address: str) -> tuple[Page, list[str]]:
    """The page once it hears the stream, and its requests for panels."""
    page = context.new_page()
    asked = requests_for_panels(page)
    page.goto(address)
    expect(page.locator("#live-state")).to_have_text("Live", timeout=10_000)
    return page, asked


def seconds_until(page: Page, text: str) -> float:
    began = time.perf_counter()
    expect(page.locator("body")).to_contain_text(text, timeout=10_000)
    return time.perf_counter() - began


def test_two_people_see_one_change_and_keep_what_they_were_doing(
    enter: Callable[..., BrowserContext], incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    address = f"/incidents/{incident.ref}/"
    open_live(enter("first"), "/")  # while nobody listens, a page's first question is for everything
    rosa, of_rosa = open_live(enter("rosa"), address)
    vera, of_vera = open_live(enter("vera", "viewer"), address)
    list_page, of_list = open_live(vera.context, "/")
    rosa.wait_for_timeout(500)
    assert of_rosa == of_vera == of_list == [], "a page that is new asks for nothing again"

    rosa.fill("#note-summary", "Half a sent")
    rosa.locator("#action-update").focus()
    rosa.evaluate("document.querySelector('.events').scrollTop = 5")
    edit_incident(incident_id=incident.pk, title="Nobody can pay", actor=commander, now=now)
    for page in (rosa, vera, list_page):
        assert seconds_until(page, "Nobody can pay") < 1
    assert rosa.input_value("#note-summary") == "Half a sent"
    assert rosa.evaluate("document.activeElement.id") == "action-update"
    rosa.wait_for_timeout(300)
    assert len(of_rosa) == len(of_vera) == len(of_list) == 1, "all panels in one request"
    assert (
        rosa.locator("#panel-people form input[name=csrfmiddlewaretoken]").count()
        == rosa.locator("#panel-people form[method=post]").count()
    )

    # What comes out of the shared rendering still works as a button.
    with rosa.expect_response(lambda answer: "/acknowledge/" in answer.url):
        rosa.click("#action-acknowledge")
    assert seconds_until(vera, "rosa") < 1

    # A burst is few requests.
    before = len(of_vera)
    for number in range(10):
        add_note(incident_id=incident.pk, summary=f"Note {number}", actor=commander, now=now)
    assert seconds_until(vera, "Note 9") < 1
    assert len(of_vera) - before <= 8


def test_a_stream_that_breaks_is_said_polled_and_comes_back(
    enter: Callable[..., BrowserContext],
    web: WebProcess,
    incident: Incident,
    commander: Actor,
    now: dt.datetime,
) -> None:
    address = f"/incidents/{incident.ref}/"
    context = enter("rosa")
    cut = {"on": False}
    context.route("**/live/**", lambda route: route.abort() if cut["on"] else route.continue_())
    page, asked = open_live(context, address)
    cut["on"] = True
    web.stop()
    expect(page.locator("#live-state")).not_to_have_text("Live", timeout=10_000)
    web.start()
    expect(page.locator("#live-state")).to_have_text("Polling every 5 s", timeout=20_000)
    edit_incident(incident_id=incident.pk, title="Nobody can pay", actor=commander, now=now)
    assert seconds_until(page, "Nobody can pay") < 7
    cut["on"] = False
    expect(page.locator("#live-state")).to_have_text("Live", timeout=40_000)
    edit_incident(incident_id=incident.pk, title="Everybody can pay", actor=commander, now=now)
    assert seconds_until(page, "Everybody can pay") < 4, "by the stream, not by polling"
    assert asked


def test_a_page_open_before_the_resolution_shows_how_the_report_begins(
    enter: Callable[..., BrowserContext], incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    context = enter("rosa")
    page, _asked = open_live(context, f"/incidents/{incident.ref}/")
    report = context.new_page()
    report.goto(f"/incidents/{incident.ref}/report/")
    expect(page.locator("#open-report")).to_have_count(0)
    expect(report.locator("#panel-state")).to_contain_text("It begins with the resolution")
    resolve_incident(incident_id=incident.pk, resolution="Provider back", actor=commander, now=now)
    deliver_pending(now=now)
    expect(page.locator("#panel-report")).to_contain_text(commander.label, timeout=3_000)
    expect(page.locator("#open-report")).to_be_visible()
    expect(page.locator("#add-action-item")).to_be_visible()
    expect(page.locator("#panel-checklists")).to_contain_text("Lessons learned")
    expect(report.locator("#panel-state")).to_contain_text("of 12 filled", timeout=3_000)
    expect(report.locator("#edit-impact")).to_be_visible()
    report.locator("#edit-impact").click()
    expect(report.locator("#dialog [name=text]")).to_be_visible()


def test_a_second_tab_shares_the_stream_and_misses_nothing(
    enter: Callable[..., BrowserContext], incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    address = f"/incidents/{incident.ref}/"
    context = enter("rosa")
    first, _asked = open_live(context, address)
    held: list[float] = []

    def late(route: object) -> None:
        """The second page's module comes after the change."""
        if not held:
            held.append(0)
            edit_incident(incident_id=incident.pk, title="Nobody can pay", actor=commander, now=now)
        route.continue_()  # type: ignore[attr-defined]

    second = context.new_page()
    second.route("**/live*.js", late)
    second.goto(address)
    assert seconds_until(second, "Nobody can pay") < 3
    assert held
    first.close()
    expect(second.locator("#live-state")).to_have_text("Live", timeout=15_000)
    edit_incident(incident_id=incident.pk, title="Everybody can pay", actor=commander, now=now)
    assert seconds_until(second, "Everybody can pay") < 4, "by the stream, not by polling"
