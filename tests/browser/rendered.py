"""Pages made in this process and laid before Chromium: no server, no port, one answer for every look at it."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Route

SITE = "http://firebreak.test"


IN_A_DIALOG = {"HX-Request": "true", "HX-Target": "dialog-content"}


class Rendered:
    """The answers of addresses, as a site that Chromium can walk."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.pages: list[str] = []
        self.dialogs: list[str] = []

    def keep(self, address: str, answer: HttpResponse) -> bool:
        """Serve the answer at the address from now on; False where it only leads elsewhere."""
        if 300 <= answer.status_code < 400:
            return False
        if b"</html>" in answer.content and address not in self.answers:
            self.pages.append(address)
        names = ("Content-Type", "Content-Security-Policy")
        headers = {name: answer.headers[name] for name in names if name in answer.headers}
        self.answers[address] = answer.status_code, headers, answer.content
        return True

    def fetch(self, browser: Client, *addresses: str) -> None:
        for address in addresses:
            answer = browser.get(address)
            assert answer.status_code == 200, (address, answer.status_code)
            self.keep(address, answer)  # type: ignore[arg-type]

    def fetch_dialogs(self, browser: Client, address: str) -> list[str]:
        """The addresses of what a page that was fetched opens in its dialog, one of each kind."""
        links = re.findall(r"<a [^>]*data-dialog[^>]*>", self.answers[address][2].decode())
        found: dict[str, str] = {}
        for link in links:
            if target := re.search(r'href="(/[^"]*)"', link):
                found.setdefault(
                    re.sub(r"/(roles|checklists)/.*/", r"/\1/", target[1].split("?")[0]), target[1]
                )
        for one in found.values():
            answer = browser.get(one.replace("&amp;", "&"), headers=IN_A_DIALOG)
            if answer.status_code == 200:
                headers = {"Content-Type": "text/html"}
                self.answers[f"dialog {one}"] = answer.status_code, headers, answer.content
        return [target for target in found.values() if f"dialog {target}" in self.answers]

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
        if route.request.headers.get("hx-target") == "dialog-content":
            address = f"dialog {address}"
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
