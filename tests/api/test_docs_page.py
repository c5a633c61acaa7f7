"""The page of the API's operations in a real browser, under the policy of every other page."""

from __future__ import annotations

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from playwright.sync_api import Page, expect

from tests.browser.chromium import chromium, needs_chromium

# Kept by the page itself, so that nothing between the policy and the test can lose one.
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", event =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


OPERATION = "operations-incidents-incidents_escalate_create"


def seen_by_scrolling(page: Page, until: str = "") -> set[str]:
    """The operations that come into sight on the way down: the viewer draws only what is near."""
    seen: set[str] = set()
    page.mouse.move(600, 400)
    for _turn in range(200):
        ids: list[str] = page.evaluate("[...document.querySelectorAll('.opblock')].map(one => one.id)")
        seen.update(ids)
        at_end = "window.innerHeight + window.scrollY >= document.body.scrollHeight - 2"
        if until in ids or page.evaluate(at_end):
            return seen
        page.mouse.wheel(0, 400)
        page.wait_for_timeout(50)
    return seen


@pytest.mark.browser
@needs_chromium
def test_it_shows_the_operations_and_breaks_no_policy(live_server: Any) -> None:
    complaints: list[str] = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.add_init_script(LISTEN)
        answer = page.goto(f"{live_server.url}/api/v1/docs/")
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        expect(page.locator(".opblock")).not_to_have_count(0, timeout=60_000)
        shown = seen_by_scrolling(page, until=OPERATION)
        operation = page.locator(f"#{OPERATION}")
        operation.locator(".opblock-summary-control").click()
        expect(operation.locator(".opblock-body")).to_be_visible()
        expect(operation.get_by_text("Ask for more people").first).to_be_visible()
        operation.locator(".opblock-summary-control").click()
        shown |= seen_by_scrolling(page)
        violations = page.evaluate("window.violations")
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    assert "unsafe" not in policy
    assert len(shown) == sum(len(operations) for operations in schema["paths"].values())
    assert violations == []
    assert complaints == []
