"""Pages in Chromium at every width: nothing moves by itself, nothing sticks out, paper shows what is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as project
from django.test import Client
from playwright.sync_api import Browser, Page

from core.actors import actor_for_user
from core.clock import utcnow
from core.models import User
from incidents.models import Monitor
from incidents.services.notes import add_note
from rollbacks.models import Rollback
from tests.access.scene import Scene, _advance
from tests.browser.chromium import chromium, needs_chromium
from tests.pages.test_query_counts import grow
from tests.signing_in import sign_in
from tests.web import WebProcess

pytestmark = [
    pytest.mark.browser,
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    needs_chromium,
]
WIDTHS = {320: 640, 390: 844, 768: 1024, 1440: 900, 2560: 1440}
MOST_SHIFT = 0.01
SHIFTS = """(since = 0) => new Promise(done => {
  let total = 0; const moved = [];
  new PerformanceObserver(list => list.getEntries().filter(entry => entry.startTime >= since).forEach(entry => {
    total += entry.value;
    moved.push(...entry.sources.map(source => source.node && (source.node.className || source.node.nodeName)));
  })).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done([total, moved.slice(0, 9)]), 400);
})"""
# A new notice about Firebreak itself is news that moves the page: then it is looked at once more.
NOTICED = """addEventListener("DOMContentLoaded", () => new MutationObserver((changes) => {
  window.noticed ||= changes.some(({ target, addedNodes }) =>
    [target, ...addedNodes].some((node) => node.id === "panel-banners" || node.closest?.("#panel-banners")));
}).observe(document.body, { childList: true, subtree: true }))"""
STICKING_OUT = """() => [document.documentElement.scrollWidth - innerWidth,
  [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest(".scroll-x, .actions, nav, .visually-hidden")).slice(0, 5).map(e => e.className || e.nodeName)]"""
IN_SIGHT = """() => ["#panel-header h1", "#panel-header .clocks", ".actions", "#panel-next"].map(name => {
  const box = document.querySelector(name).getBoundingClientRect();
  return [name, box.width > 0 && box.top >= 0 && box.bottom <= innerHeight];
})"""


@pytest.fixture
def scene(now: dt.datetime) -> Scene:
    _advance(
        Monitor, 500
    )  # whose numbers the scene gives to processes; the web process has taken a small one
    made = Scene("administrator", now)
    for number in range(3):
        grow(made, number)
    return made


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright's loop runs in this thread
    with chromium() as opened:
        yield opened


def look(browser: Browser, web: WebProcess, user: User | None, **options: Any) -> Page:
    """A page of somebody signed in, with a viewport of its own."""
    context = browser.new_context(base_url=web.url, **options)
    session = Client()
    assert user is not None
    sign_in(session, user)
    cookie = session.cookies[project.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": project.SESSION_COOKIE_NAME, "value": cookie, "url": web.url}])
    return context.new_page()


def test_pages_hold_still_and_fit_at_every_width(scene: Scene, web: WebProcess, browser: Browser) -> None:
    own = scene.subjects["own"]
    addresses = [
        "/", f"/incidents/{own.incident.ref}/", f"/rollbacks/{own.rollback.ref}/", "/services/", f"/services/{own.rollback.service.slug}/", "/incidents/",
        "/messages/", "/alerts/", "/contacts/", "/system/",
    ]  # fmt: skip
    wrong = []
    for number, (width, height) in enumerate(WIDTHS.items()):
        scheme: Any = ("light", "dark")[number % 2]
        page = look(
            browser, web, scene.account, viewport={"width": width, "height": height}, color_scheme=scheme
        )
        page.add_init_script(NOTICED)
        for address in addresses:
            for _once_more in range(3):
                page.goto(address, wait_until="load")
                shift, moved = page.evaluate(SHIFTS)
                if not page.evaluate("window.noticed"):
                    break
            if shift >= MOST_SHIFT:
                wrong.append(f"{address} at {width}: moved by {shift:.3f}: {moved}")
            over, elements = page.evaluate(STICKING_OUT)
            if over > 0:
                wrong.append(f"{address} at {width}: {over} px too wide: {elements}")
        page.context.close()
    assert wrong == []


def test_a_change_moves_nothing_but_itself(scene: Scene, web: WebProcess, browser: Browser) -> None:
    incident = scene.subjects["own"].incident
    page = look(browser, web, scene.account, viewport={"width": 1440, "height": 900})
    page.goto(f"/incidents/{incident.ref}/", wait_until="load")
    page.get_by_text("Live", exact=True).wait_for()
    since = page.evaluate("performance.now()")
    add_note(
        incident_id=incident.pk, summary="It is the pool.", actor=actor_for_user(scene.boss), now=utcnow()
    )
    page.locator("#panel-timeline").get_by_text("It is the pool.").wait_for()
    page.wait_for_timeout(300)
    shift, moved = page.evaluate(SHIFTS, since)
    assert shift < MOST_SHIFT, (shift, moved)


def test_the_commander_sees_what_counts_without_scrolling(
    scene: Scene, web: WebProcess, browser: Browser
) -> None:
    page = look(browser, web, scene.account, viewport={"width": 1440, "height": 900})
    page.goto(f"/incidents/{scene.subjects['own'].incident.ref}/", wait_until="load")
    assert {name: seen for name, seen in page.evaluate(IN_SIGHT) if not seen} == {}
    assert page.evaluate("document.documentElement.scrollHeight") <= 900


def test_paper_shows_the_incident_whole_and_nothing_to_press(
    scene: Scene, web: WebProcess, browser: Browser
) -> None:
    incident, boss = scene.subjects["own"].incident, scene.boss
    for number in range(40):
        add_note(incident_id=incident.pk, summary=f"Line {number}", actor=actor_for_user(boss), now=utcnow())
    page = look(browser, web, scene.account, viewport={"width": 1440, "height": 900})
    page.goto(f"/incidents/{incident.ref}/", wait_until="load")
    page.emulate_media(media="print")
    assert page.locator(".button:visible, form:visible, .topbar:visible").count() == 0
    first, last = page.get_by_text("Line 39", exact=True), page.get_by_text("Line 0", exact=True)
    assert first.is_visible() and last.is_visible()
    assert page.evaluate("(e => e.scrollHeight - e.clientHeight)(document.querySelector('.events'))") == 0
    exact = page.evaluate("getComputedStyle(document.querySelector('.event > time'), '::after').content")
    assert "UTC" in exact


def test_who_wants_nothing_to_move_sees_no_animation(scene: Scene, web: WebProcess, browser: Browser) -> None:
    rollback = scene.subjects["own"].rollback
    Rollback.objects.filter(pk=rollback.pk).update(state="executing", started_at=utcnow())
    rollback.steps.filter(position=1).update(state="running", started_at=utcnow())
    for motion, number in (("no-preference", 1), ("reduce", 0)):
        choice: Any = motion
        page = look(browser, web, scene.account, reduced_motion=choice)
        page.goto(f"/rollbacks/{rollback.ref}/", wait_until="load")
        assert min(page.evaluate("document.getAnimations().length"), 1) == number
