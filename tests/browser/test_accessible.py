"""axe on every page of the access matrix, light, dark and on a phone; keys, focus, headings, zoom, forced colours."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.contrib import admin
from django.test import Client
from playwright.sync_api import Browser, Page

from core.models import User
from incidents.models import Incident
from tests.access.matrix import read_matrix
from tests.access.scene import Scene
from tests.browser.rendered import CHROMIUM, Rendered, chromium
from tests.pages.conftest import Afternoon, afternoon
from tests.signing_in import sign_in

__all__ = ["afternoon"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": DESK},
    "dark": {"color_scheme": "dark", "viewport": DESK},
    "phone": {"color_scheme": "light", "viewport": PHONE, "has_touch": True, "is_mobile": True},
}
STRANGE = ("/admin/", "/api/v1/docs/")  # whose pages are others' work: what is only good practice is theirs
AXE = "(options) => axe.run(document, options).then((found) => found.violations.map((one) => ({id: one.id, impact: one.impact, nodes: one.nodes.map((node) => node.target.join(' ') + ' :: ' + node.html.slice(0, 160) + ' :: ' + (node.any[0] || node.all[0] || node.none[0] || {message: ''}).message)})))"
WIDE = "document.documentElement.scrollWidth > innerWidth"


def troubles(page: Page, *, strange: bool = False) -> list[str]:
    """What axe finds: on pages of Firebreak's own anything at all, on others' what is serious or critical."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(AXE, {"resultTypes": ["violations"]})
    return [
        f"{one['id']} ({one['impact']}): {node}"
        for one in found
        if not strange or one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


def look(page: Page, address: str) -> list[str]:
    page.goto(address)
    strange = address.startswith(STRANGE)
    found = troubles(page, strange=strange)
    if not strange and page.evaluate(WIDE):
        found.append("wider than the screen")
    return [f"{address}: {one}" for one in found]


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright's loop runs in this thread
    with chromium() as opened:
        yield opened


@pytest.fixture
def site(afternoon: Afternoon, commander: object) -> Rendered:
    """The main pages of an afternoon with everything in it, and the dialogs that open there."""
    ida, rendered = Client(), Rendered()
    sign_in(ida, User.objects.get(username="ida"))
    Incident.objects.filter(pk=afternoon.incident.pk).update(title="Checkout fails for every customer")
    incident = f"/incidents/{afternoon.incident.ref}/"
    rollback = f"/rollbacks/{afternoon.rollback.ref}/"
    for address in (
        "/", incident, rollback, "/services/shop/", "/messages/", "/incidents/declare/", f"{incident}update/",
        f"{rollback}cancel/", f"{incident}resolve/",
    ):  # fmt: skip
        rendered.fetch(ida, address)
    return rendered


def main_pages(site: Rendered) -> list[str]:
    return list(site.answers)[:5]


@pytest.fixture
def everything(db: None, now: dt.datetime) -> Rendered:
    """What an administrator who is staff gets at each address of the matrix, else who is not signed in."""
    logging.disable(logging.WARNING)  # of refusals
    rendered, scene = Rendered(), Scene("administrator", now)
    me, nobody = scene.client(staff=True), Client(raise_request_exception=False)
    for case in read_matrix().cases:
        if case.method == "GET" and (not case.is_api or case.path == "/api/v1/docs/"):
            address = scene.address(case, "own")
            if not rendered.keep(address, scene.send(case, "own", client=me)):
                rendered.keep(address, scene.send(case, "own", client=nobody))
    for model in admin.site._registry:
        place, row = f"/admin/{model._meta.label_lower.replace('.', '/')}/", model._default_manager.first()
        views = [f"{row.pk}/{view}/" for view in ("change", "history", "delete")] if row else []
        for view in ("", "add/", *views):
            rendered.keep(place + view, me.get(place + view))  # type: ignore[arg-type]
    rendered.keep("/nothing/here/", me.get("/nothing/here/"))  # type: ignore[arg-type]
    logging.disable(logging.NOTSET)
    return rendered


@pytest.mark.django_db
def test_the_main_pages_in_the_dark(site: Rendered, browser: Browser) -> None:
    with site.shown_in(browser, **LOOKS["dark"]) as page:
        found = [one for address in main_pages(site) for one in look(page, address)]
    assert found == []


@pytest.mark.faults
@pytest.mark.django_db
def test_every_page(everything: Rendered, browser: Browser) -> None:
    assert len(everything.answers) > 130
    found = []
    for name, options in LOOKS.items():
        with everything.shown_in(browser, **options) as page:
            found += [f"{name} {one}" for address in everything.answers for one in look(page, address)]
    assert found == [], "\n".join(found)
