"""People named in a form by keyboard, in Chromium: searched for, as chips, with the search gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect

from core.actors import Actor
from core.models import User
from incidents.models import TrainingRecord
from tests.browser.chromium import chromium, needs_chromium
from tests.signing_in import sign_in
from tests.web import WebProcess

pytestmark = [
    pytest.mark.browser,
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    needs_chromium,
]


@pytest.fixture(autouse=True)
def asynchronous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread


@pytest.fixture
def page(web: WebProcess, commander: Actor, make_user: Callable[..., User]) -> Iterator[Page]:
    """The dialog of a training session."""
    for name in ("otto", "Rosa.May"):
        make_user(name, "responder")
    client = Client()
    sign_in(client, User.objects.get(username=commander.label))
    with chromium() as browser:
        context = browser.new_context(base_url=web.url)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": web.url}])
        page = context.new_page()
        page.goto("/training/")
        yield page


@pytest.mark.parametrize("gone", [False, True], ids=["", "search gone"])
def test_people_are_named_by_keyboard(page: Page, gone: bool) -> None:
    if gone:
        page.route(re.compile("/search/"), lambda route: route.abort())
    page.get_by_role("link", name="Record training…").click()
    field = page.locator("#dialog people-field")
    box = field.locator("input[role=combobox]")
    box.focus()
    keys = page.keyboard
    keys.type("otto" if gone else "ot")
    keys.press("," if gone else "Enter")
    expect(field.locator(".chip bdi")).to_have_text(["otto"])
    keys.type("Rosa.May" if gone else "may")
    keys.press("," if gone else "Enter")
    expect(field.locator(".chip bdi")).to_have_text(["otto", "Rosa.May"])
    if not gone:
        box.fill("zebra")
        expect(field.locator("[role=status]")).to_have_text("No account like that")
        box.fill("")
    page.get_by_role("button", name="Record it").click()
    expect(page.get_by_text("Recorded for 2 people.")).to_be_visible()
    assert TrainingRecord.objects.count() == 2
