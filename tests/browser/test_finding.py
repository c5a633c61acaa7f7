"""The palette and a declaration by keyboard alone, in Chromium: with the server quick, slow and gone."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, Route, expect

from comms.models import Contact
from core.actors import Actor
from core.models import User
from incidents.models import Incident, Service
from tests.browser.chromium import chromium, needs_chromium
from tests.conftest import make_service
from tests.pages.conftest import declare
from tests.signing_in import sign_in
from tests.web import WebProcess

pytestmark = [
    pytest.mark.browser,
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    needs_chromium,
]
PACE = 80  # milliseconds a key, as somebody in a hurry types
CARD = "document.querySelector('#dialog input[name=severity]:checked')?.value"


@pytest.fixture(autouse=True)
def asynchronous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread


@pytest.fixture
def incident(commander: Actor, shop: Service, now: dt.datetime) -> Incident:
    make_service("shop-eu", now)
    Contact.objects.create(name="Shopkeeper Ann", phone="+49 30 1234567")
    return declare(commander, now, 7, "shop")


@pytest.fixture
def page(web: WebProcess, incident: Incident, commander: Actor) -> Iterator[Page]:
    """Ida's browser, signed in; whatever goes wrong in a page's scripts fails the test."""
    client = Client()
    sign_in(client, User.objects.get(username=commander.label))
    wrong: list[str] = []
    with chromium() as browser:
        context = browser.new_context(base_url=web.url, viewport={"width": 1440, "height": 900})
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": web.url}])
        shown = context.new_page()
        shown.set_default_timeout(15_000)
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.goto("/")
        yield shown
    assert wrong == []


def test_the_palette_finds_and_does_by_keyboard(page: Page, incident: Incident) -> None:
    keys, palette, options = page.keyboard, page.locator("#palette"), page.locator("#palette [role=option]")
    box = palette.locator("input")
    keys.press("/")
    expect(palette).to_be_visible()
    expect(box).to_be_focused()
    expect(options.first).to_contain_text(incident.title)  # without words, what is open comes first
    keys.type("shop", delay=30)
    expect(page.locator("#palette-status")).to_have_text("3 found")
    assert page.locator("#palette [role=group]").evaluate_all(
        "(groups) => groups.map((group) => group.getAttribute('aria-label'))"
    ) == ["Services", "Contacts", "Search"]
    expect(box).to_have_attribute("aria-activedescendant", "found-services-1")
    keys.press("ArrowDown")
    expect(page.locator("#palette [aria-selected=true]")).to_contain_text("shop-eu")
    keys.press("ArrowUp")
    keys.press("ArrowUp")  # round the top, to the last
    expect(page.locator("#palette [aria-selected=true]")).to_have_text("Search everything for “shop”")
    keys.press("ArrowDown")
    keys.press("Enter")
    page.wait_for_url("**/services/shop/")

    keys.press("Control+k")
    keys.type(incident.ref[:-1].lower())
    expect(options.first).to_contain_text(incident.ref)
    keys.press("Enter")
    page.wait_for_url(f"**/incidents/{incident.ref}/")

    for words, address in (
        ("action it", "/action-items/"),
        ("reviews", "/reviews/"),
        ("train", "/training/"),
    ):
        keys.press("Control+k")
        keys.type(words)
        expect(page.locator("#palette [aria-selected=true]")).to_contain_text("Go to ")
        keys.press("Enter")
        page.wait_for_url(f"**{address}")
    page.goto(f"/incidents/{incident.ref}/")

    keys.press("Control+k")
    expect(palette).to_be_visible()
    keys.press("Escape")
    expect(palette).to_be_hidden()
    keys.press("g")
    keys.press("i")
    page.wait_for_url("**/incidents/")
    keys.press("?")
    for key, what in (("/", "Search everything"), ("d", "Declare an incident"), ("g i", "Go to Incidents")):
        expect(page.locator("#keys dt", has_text=re.compile(f"^{re.escape(key)}$"))).to_be_visible()
        expect(page.locator("#keys dd", has_text=what)).to_be_visible()


def test_commands_work_while_the_search_is_slow_or_gone(page: Page) -> None:
    held: list[Route] = []
    page.route(re.compile("/search/[?].*shop.*panel=options"), lambda route: held.append(route))
    keys, status = page.keyboard, page.locator("#palette-status")
    keys.press("Control+k")
    keys.type("shop")
    expect(status).to_have_text("Searching…")
    page.locator("#palette input").fill("maint")
    expect(page.locator("#palette [role=option]").first).to_have_text("Go to Maintenance")
    expect(status).to_have_text("0 found")
    assert held, "the answer about the shop never came, and nobody waits for it"
    page.unroute_all()
    page.route(re.compile("/search/"), lambda route: route.abort())
    page.locator("#palette input").fill("silenc")
    expect(status).to_have_text("The search does not answer. Commands work all the same.")
    keys.press("Enter")
    page.wait_for_url("**/silences/")


@pytest.mark.parametrize("gone", [False, True], ids=["", "search gone"])
def test_an_incident_is_declared_by_keyboard_in_seconds(page: Page, incident: Incident, gone: bool) -> None:
    """Source: the seed asks for a declaration within 15 seconds; Chromium types like a person here."""
    if gone:
        page.route(re.compile("/search/"), lambda route: route.abort())
    keys, began = page.keyboard, time.monotonic()
    keys.press("d")
    expect(page.locator("#dialog [name=title]")).to_be_focused()
    keys.type("Nobody can pay", delay=PACE)
    keys.press("Tab")
    keys.press("2")
    assert page.evaluate(CARD) == "P2"
    keys.press("ArrowLeft")
    assert page.evaluate(CARD) == "P1"
    keys.press("Tab")
    field = page.locator("#dialog services-field")
    expect(field.locator("input[role=combobox]")).to_be_focused()
    keys.type("shop-eu" if gone else "shop-e", delay=PACE)
    keys.press("," if gone else "Enter")  # quicker than the answer: the first of it is meant
    expect(field.locator(".chip bdi")).to_have_text(["shop-eu"])
    if not gone:
        keys.type("sho", delay=PACE)
        expect(field.locator("[role=option]")).to_have_count(1)
        keys.press("Escape")
        expect(field.locator("[role=option]")).to_have_count(0)
        expect(page.locator("#dialog")).to_be_visible()
        keys.press("ArrowDown")
        expect(field.locator("[role=option]").first).to_be_visible()
    else:
        keys.type("shop", delay=PACE)
    keys.press("Control+Enter")
    page.wait_for_url(re.compile("/incidents/INC-.*/"))
    took = time.monotonic() - began
    made = Incident.objects.exclude(pk=incident.pk).get()
    assert (made.title, made.severity) == ("Nobody can pay", "P1")
    assert {service.slug for service in made.services.all()} == {"shop", "shop-eu"}
    assert took < 15, f"declared in {took:.1f} s"


def test_chips_are_removed_and_what_is_unknown_comes_back_with_them(page: Page, incident: Incident) -> None:
    page.goto(f"/incidents/{incident.ref}/edit/")
    field = page.locator("services-field")
    expect(field.locator(".chip bdi")).to_have_text(["shop"])
    field.get_by_role("button", name="Remove shop").click()
    expect(field.locator(".chip")).to_have_count(0)
    field.locator("input[role=combobox]").fill("nowhere,shop-eu")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".errorlist")).to_have_text("There is no service “nowhere”.")
    expect(field.locator(".chip bdi")).to_have_text(["nowhere", "shop-eu"])
    field.locator("input[role=combobox]").focus()
    page.keyboard.press("Backspace")
    expect(field.locator(".chip bdi")).to_have_text(["nowhere"])


def test_without_scripts_the_search_is_a_page_and_services_are_a_text(
    web: WebProcess, incident: Incident, commander: Actor
) -> None:
    client = Client()
    sign_in(client, User.objects.get(username=commander.label))
    with chromium() as browser:
        context = browser.new_context(base_url=web.url, java_script_enabled=False)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": web.url}])
        page = context.new_page()
        page.goto("/")
        page.locator("#find").click()
        page.locator("[name=q]").fill("shop")
        page.keyboard.press("Enter")
        expect(page.locator(".found a.strong").first).to_have_text("Shop")
        page.goto("/incidents/declare/")
        page.get_by_label("What is wrong?").fill("Down")
        page.locator("input[value=P1]").check()
        page.get_by_label("Services").fill("shop, shop-eu")
        page.get_by_role("button", name="Declare and tell them").click()
        page.wait_for_url(re.compile("/incidents/INC-.*/"))
    assert Incident.objects.exclude(pk=incident.pk).get().services.count() == 2
