"""The story on an open page: nobody touches anything, the page tells it live."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.flows.stack import Firebreak

pytestmark = [pytest.mark.story, pytest.mark.browser]
CHROMIUM = shutil.which("chromium")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
]


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")
def test_an_open_page_tells_the_story_live(launch: Callable[..., Firebreak]) -> None:
    firebreak = launch()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        complaints: list[str] = []
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        _sign_in(page, firebreak)
        expect(page.get_by_role("heading", name="Storefront")).to_be_visible()

        firebreak.break_demo()
        # The page was not reloaded: the card arrives by itself, and so does every state after it.
        card = page.get_by_role("link", name="Storefront: error_rate is critical").first
        expect(card).to_be_visible(timeout=60_000)
        card.click()
        expect(page.get_by_text("RB-").first).to_be_visible(timeout=60_000)
        # Steps succeed one by one before the rollback does: wait for its end, not for the first of them.
        expect(page.get_by_text("is back on 1.4.2").locator("visible=true").first).to_be_visible(
            timeout=120_000
        )
        expect(page.get_by_text("Succeeded").first).to_be_visible()

        # As a commander would: acknowledge, and be the commander from then on.
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_text("admin acknowledged").first).to_be_visible(timeout=30_000)
        assert firebreak.incident("monitoring")["roles"]["incident_commander"] == "admin"
        assert complaints == []
        browser.close()


def _sign_in(page: Page, firebreak: Firebreak) -> None:
    page.goto(f"{firebreak.url}/accounts/login/")
    page.fill("input[name=login]", "admin")
    page.fill("input[name=password]", firebreak.password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{firebreak.url}/")
