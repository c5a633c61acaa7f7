"""Dialogs as people use them: the back button, an accidental close, the focus, errors and a preview in place."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import Page, expect

from comms.models import Message
from core.actors import Actor
from core.models import User
from incidents.models import Incident, Service
from tests.browser.chromium import needs_chromium
from tests.browser.conftest import Visitors
from tests.comms.outside import make_outside

pytestmark = [pytest.mark.browser, needs_chromium, pytest.mark.django_db(transaction=True)]
TYPED = "Half of the payments fail"


@pytest.fixture
def incident(shop: Service, commander: Actor, now: dt.datetime) -> Incident:
    return make_outside(shop, commander, now).incident


@pytest.fixture
def page(visitors: Visitors, incident: Incident) -> Page:
    """Ida's, before the incident."""
    page = visitors.somebody(User.objects.get(username="ida"))
    page.goto("/")
    page.goto(f"/incidents/{incident.ref}/")
    expect(page.locator("#live-state")).to_have_text("Live")
    return page


def address(incident: Incident) -> str:
    return f"/incidents/{incident.ref}/"


def test_closed_unsent_in_every_way_and_nothing_typed_is_lost(page: Page, incident: Incident) -> None:
    opened, text = page.locator("dialog#dialog[open]"), page.locator("#id_message")
    here = page.url
    page.keyboard.press("u")
    expect(text).to_be_focused()
    text.fill(TYPED)
    page.select_option("#id_status", "monitoring")

    page.go_back()
    expect(opened).to_have_count(0)
    assert page.url == here
    expect(page.locator("#action-update")).to_be_focused()

    page.keyboard.press("u")
    expect(text).to_have_value(TYPED)
    expect(page.locator("#id_status")).to_have_value("monitoring")
    expect(text).to_be_focused()
    page.keyboard.press("Escape")
    expect(opened).to_have_count(0)
    expect(page.locator("#action-update")).to_be_focused()

    page.click("#action-update")
    expect(text).to_have_value(TYPED)
    page.get_by_role("button", name="Start over").click()
    expect(text).to_have_value("")
    page.locator("dialog").get_by_role("link", name="Cancel").click()
    expect(opened).to_have_count(0)

    page.click("#action-update")
    expect(text).to_have_value("")
    page.keyboard.press("Escape")
    expect(opened).to_have_count(0)
    page.go_back()  # the dialogs left nothing behind in the history
    page.wait_for_url(f"{here.partition('/incidents')[0]}/")


def test_chosen_services_are_given_back_too(page: Page) -> None:
    opened, chips = page.locator("dialog#dialog[open]"), page.locator("services-field .chip")
    page.keyboard.press("d")
    page.locator("services-field [role=combobox]").fill("shop")
    page.get_by_role("option", name="Shop").first.click()
    expect(chips).to_have_count(1)
    page.keyboard.press("Escape")
    expect(opened).to_have_count(0)

    page.keyboard.press("d")
    expect(chips).to_have_count(1)
    expect(chips).to_contain_text("shop")
    page.get_by_role("button", name="Start over").click()
    expect(chips).to_have_count(0)


def test_refused_previewed_and_sent_in_place(page: Page, incident: Incident) -> None:
    page.keyboard.press("u")
    page.fill("#id_users-update_text", "Payments fail for some of you.")
    page.get_by_role("button", name="Preview for users").click()
    expect(page.locator("dialog").get_by_text("Affected: Checkout").first).to_be_visible()
    assert not Message.objects.filter(visibility="external").exists()

    page.evaluate("document.querySelector('#id_message').required = false")
    page.get_by_role("button", name="Post an update").click()
    expect(page.locator("dialog .errorlist")).to_have_text("This field is required.")
    expect(page.locator("#id_message")).to_be_focused()
    expect(page.locator("#id_users-update_text")).to_have_value("Payments fail for some of you.")

    page.fill("#id_message", TYPED)
    page.check("#id_users-approve")
    page.keyboard.press("Control+Enter")
    expect(page.locator("dialog#dialog[open]")).to_have_count(0)
    expect(page.locator(".timeline").get_by_text(TYPED).first).to_be_visible()
    expect(page.locator("#toasts")).to_contain_text("approved and leaves now")
    assert page.url.endswith(address(incident))
    expect(page.locator("#action-update")).to_be_focused()
    page.keyboard.press("u")
    expect(page.locator("#id_message")).to_have_value("")  # what was sent does not come back


def test_what_leads_to_another_page_replaces_the_dialog(page: Page, incident: Incident) -> None:
    page.keyboard.press("d")
    page.get_by_label("What is wrong?").fill("Search is slow")
    page.locator("dialog input[name=severity][value=P2]").check(force=True)
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: "/incidents/" in url and incident.ref not in url)
    page.go_back()
    page.wait_for_url(f"**{address(incident)}")
    expect(page.locator("dialog[open]")).to_have_count(0)
