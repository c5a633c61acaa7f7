"""People in browsers: each signed in, in a context of their own, before one web process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from core.models import User
from tests.browser.chromium import chromium
from tests.signing_in import sign_in
from tests.web import WebProcess

DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
# The browser's own note of a form that came back with errors; the page shows those in words.
_REFUSED_FORM = re.compile(r"responded with a status of 422")


@dataclass
class Visitors:
    """Opens browsers of different people; what any of them complains about ends the test."""

    browser: Browser
    url: str
    complaints: list[str] = field(default_factory=list)

    def somebody(self, user: User | None = None, **options: Any) -> Page:
        """A person of their own: signed in a moment ago, or the public. `options` as of a browser context."""
        context: BrowserContext = self.browser.new_context(
            base_url=self.url, **({"viewport": DESK} | options)
        )
        if user is not None:
            session = Client()
            sign_in(session, user)
            value = session.cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": self.url}])
        page = context.new_page()
        page.on("console", lambda said: self._note(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        return page

    def on_a_phone(self, user: User | None = None, **options: Any) -> Page:
        """As `somebody`, with a thumb on a small screen."""
        return self.somebody(user, viewport=PHONE, has_touch=True, is_mobile=True, **options)

    def _note(self, text: str) -> None:
        if not _REFUSED_FORM.search(text):
            self.complaints.append(text)


@pytest.fixture
def visitors(web: WebProcess) -> Iterator[Visitors]:
    with chromium() as browser:
        opened = Visitors(browser, web.url)
        yield opened
    assert opened.complaints == []
