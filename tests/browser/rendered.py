"""Pages made in this process and laid before Chromium: no server, no port, one answer for every look at it."""

from __future__ import annotations

import mimetypes
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

CHROMIUM = shutil.which("chromium")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
SITE = "http://firebreak.test"


class Rendered:
    """The answers of addresses, as a site that Chromium can walk."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    def keep(self, address: str, answer: HttpResponse) -> bool:
        """Whether the answer is a page; then it is served at the address from now on."""
        kind = answer.headers.get("Content-Type", "")
        if not kind.startswith("text/html") or b"</html>" not in answer.content:
            return False  # a panel's own answer is no page
        names = ("Content-Type", "Content-Security-Policy")
        headers = {name: answer.headers[name] for name in names if name in answer.headers}
        self.answers[address] = answer.status_code, headers, answer.content
        return True

    def fetch(self, browser: Client, address: str) -> None:
        answer = browser.get(address)
        assert answer.status_code == 200, (address, answer.status_code)
        assert self.keep(address, answer), address  # type: ignore[arg-type]

    @contextmanager
    def shown_in(self, browser: Browser, **options: object) -> Iterator[Page]:
        """A tab of its own in which the site is open to be walked."""
        context: BrowserContext = browser.new_context(base_url=SITE, **options)  # type: ignore[arg-type]
        page = context.new_page()
        page.route("**/*", self._answer)
        yield page
        context.close()

    def _answer(self, route: Route) -> None:
        parts = urlsplit(route.request.url)
        address = parts.path + (f"?{parts.query}" if parts.query else "")
        if address in self.answers:
            status, headers, body = self.answers[address]
            route.fulfill(status=status, headers=headers, body=body)
        elif parts.path.startswith("/static/") and (
            found := finders.find(parts.path.removeprefix("/static/"))
        ):
            kind = mimetypes.guess_type(parts.path)[0] or "application/octet-stream"
            route.fulfill(content_type=kind, body=Path(str(found)).read_bytes())
        else:
            route.fulfill(status=204)


@contextmanager
def chromium() -> Iterator[Browser]:
    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()
