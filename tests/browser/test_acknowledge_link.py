"""The page behind a link, on a small phone in a real Chromium: one button, and it works under the real headers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from comms.links import Link, token_for
from comms.models import Contact
from core.actors import SYSTEM
from core.clock import utcnow
from incidents.models import Incident
from incidents.services.incidents import declare_incident
from tests.browser.chromium import chromium

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
TITLE = "Checkoutfailsforathirdofallcustomerswithoutasinglespaceinthewholetitle <b>of it</b>"


@pytest.fixture
def site(transactional_db: None) -> Iterator[str]:
    server = LiveServer("localhost")
    yield server.url
    server.stop()


@pytest.fixture
def page(site: str) -> Iterator[Page]:
    """320 px wide; ends with no complaint of the browser, and nothing to scroll sideways."""
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 320, "height": 568})
        complaints: list[str] = []
        opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
    assert complaints == []


def wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def test_one_tap_on_a_small_phone(page: Page, site: str) -> None:
    ann = Contact.objects.create(name="Ann Example", email="ann@example.test")
    now = utcnow()
    incident = declare_incident(actor=SYSTEM, now=now, title=TITLE, severity="P0")
    token = token_for(Link(incident.pk, ann.pk, now + dt.timedelta(hours=24)))
    page.goto(f"{site}/a/{token}/")
    expect(page.get_by_role("heading", name=TITLE)).to_be_visible()
    button = page.get_by_role("button", name="Acknowledge")
    expect(button).to_be_in_viewport()
    box = button.bounding_box()
    assert box is not None
    assert (box["height"] >= 64, box["width"] >= 200) == (True, True), "for a thumb at three in the morning"
    expect(page.locator("time[data-clock=until]")).to_contain_text("14:")  # it counts
    assert not wide(page)
    assert Incident.objects.get().acknowledged_at is None
    button.click()
    expect(page.get_by_text("Acknowledged by Ann Example, by link")).to_be_visible()
    assert not wide(page)
    assert Incident.objects.get().acknowledged_at is not None
