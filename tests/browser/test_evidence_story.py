"""A commander pastes a screenshot: it goes through the real web process, stands on the page and is only a picture."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from core.models import User
from incidents.models import Evidence, Incident, Task
from tests.browser.chromium import needs_chromium
from tests.browser.conftest import Visitors

pytestmark = [
    pytest.mark.faults,
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    needs_chromium,
]
PASTE = """async ([name, type, size]) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 200 });
  canvas.getContext("2d").fillRect(20, 20, 200, 120);
  const picture = await new Promise((made) => canvas.toBlob(made, "image/png"));
  const content = type === "image/png" ? [picture] : ["line of a log\\n".repeat(size)];
  const data = new DataTransfer();
  data.items.add(new File(content, name, { type }));
  const paste = type === "image/png";
  document.body.dispatchEvent(paste
    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def page(visitors: Visitors, incident: Incident) -> Page:
    """Ida's tab; a complaint of a script or a breach of the policy ends the test."""
    page = visitors.somebody(User.objects.get(username="ida"))
    page.goto(f"/incidents/{incident.ref}/")
    return page


def test_a_pasted_picture_and_a_dropped_log_become_evidence(
    page: Page, incident: Incident, visitors: Visitors
) -> None:
    page.evaluate(PASTE, ["image.png", "image/png", 0])
    expect(page.locator("#toasts")).to_contain_text("is attached")
    picture = page.locator("#panel-evidence img")
    expect(picture).to_have_count(1)
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("naturalWidth", 320)
    row = Evidence.objects.get()
    assert row.name.startswith("screenshot-") and row.content_type == "image/png"
    opened = page.context.new_page()
    answer = opened.goto(picture.get_attribute("src") or "")
    assert answer is not None and answer.headers["content-security-policy"].startswith(
        "default-src 'none'; sandbox"
    )
    opened.close()

    page.evaluate(PASTE, ["large.log", "text/plain", 250_000])  # 3.5 MB: through the gate's place for uploads
    expect(page.locator("#panel-evidence")).to_contain_text("large.log")
    assert Evidence.objects.get(name="large.log").size == 3_500_000
    page.evaluate(PASTE, ["larger.log", "text/plain", 800_000])
    expect(page.locator("#toasts")).to_contain_text("A request holds at most")
    # The browser notes the refusal on its own account; anything else it says ends the test.
    assert all("413" in said for said in visitors.complaints), visitors.complaints
    visitors.complaints.clear()


def test_a_task_is_added_in_one_line_and_done_by_one_click(page: Page, incident: Incident) -> None:
    page.fill("#task-title", "Call the vendor")
    page.select_option("#task-owner", "ida")
    page.select_option("#task-due", "30")
    page.locator(".task-form button").click()
    line = page.locator("#panel-tasks li.task").first
    expect(line).to_contain_text("Call the vendor")
    expect(line).to_contain_text("You")
    expect(page.locator("#task-title")).to_have_value("")
    line.get_by_role("button", name="Done").click()
    expect(page.locator("#panel-tasks")).to_contain_text("Nothing to do")
    assert Task.objects.get().state == "done"
