"""A security incident before two people in a real Chromium: the one who works on it, and one who reads a code name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.models import User
from incidents.models import Incident, Service
from tests.browser.conftest import Visitors
from tests.browser.test_public_page import axe_clean, wide

pytestmark = [pytest.mark.browser, pytest.mark.faults, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS", "")


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_code_name_becomes_the_incident_when_one_is_let_in(
    visitors: Visitors, shop: Service, make_user: Callable[..., User], scheme: str
) -> None:
    sue, rob = make_user("sue", "responder", "security_lead"), make_user("rob", "responder")
    inside, outside = visitors.somebody(sue, color_scheme=scheme), visitors.somebody(rob, color_scheme=scheme)
    outside.goto("/")
    expect(outside.get_by_text("No incident is open")).to_be_visible()
    inside.goto("/incidents/declare/")
    inside.fill("input[name=title]", "Somebody reads the orders")
    inside.check("input[name=severity][value=P1]", force=True)
    inside.get_by_text("More", exact=True).click()
    inside.select_option("select[name=kind]", "security")
    inside.select_option("select[name=security_level]", "1")
    shoot(inside, f"declare-{scheme}")
    inside.get_by_role("button", name="Declare and tell them").click()
    expect(inside.get_by_text("Immediate rollback, System isolation")).to_be_visible()
    name = Incident.objects.get().code_name
    expect(outside.get_by_text(name)).to_be_visible(timeout=10_000)  # without a reload
    expect(outside.get_by_text("Somebody reads the orders")).to_have_count(0)
    axe_clean(outside)
    shoot(outside, f"now-{scheme}")
    outside.set_viewport_size({"width": 320, "height": 640})
    assert not wide(outside)
    shoot(outside, f"now-phone-{scheme}")
    inside.get_by_text("others read").click()
    expect(inside.locator("#who-sees").get_by_text("sue")).to_be_visible()
    axe_clean(inside)
    shoot(inside, f"incident-{scheme}")
    inside.click("#add-responder")
    shoot(inside, f"add-{scheme}")
    inside.select_option("select[name=username]", "rob")
    inside.get_by_role("button", name="Add a responder").click()
    expect(inside.locator("#who-sees").get_by_text("rob")).to_be_visible(timeout=10_000)
    expect(outside.get_by_role("link", name="Somebody reads the orders")).to_be_visible(timeout=10_000)
    inside.set_viewport_size({"width": 320, "height": 640})
    assert not wide(inside)
    shoot(inside, f"incident-phone-{scheme}")
    outside.goto("/incidents/")
    shoot(outside, f"incidents-{scheme}")
