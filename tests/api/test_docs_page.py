"""The page of the API's operations in a real browser, under the policy of every other page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import chromium, needs_chromium

# Kept by the page itself, so that nothing between the policy and the test can lose one.
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", event =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@pytest.mark.browser
@needs_chromium
@pytest.mark.xfail(
    strict=True,
    reason="since there are 125 addresses, the viewer draws two of its sections and no more: to be mended",
)
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
        operation = page.locator("#operations-incidents-incidents_escalate_create")
        operation.locator(".opblock-summary-control").click()
        expect(operation.locator(".opblock-body")).to_be_visible()
        expect(operation.get_by_text("Ask for more people").first).to_be_visible()
        shown, violations = page.locator(".opblock").count(), page.evaluate("window.violations")
    assert "unsafe" not in policy
    assert shown > 45
    assert violations == []
    assert complaints == []
