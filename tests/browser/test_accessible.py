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
from playwright.sync_api import Browser, Page, expect

from comms.models import PublicIncident
from core.models import User
from incidents.models import Incident
from tests.access.matrix import read_matrix
from tests.access.scene import Scene
from tests.browser.chromium import chromium, needs_chromium
from tests.browser.enrolled import enrol, states, unseen
from tests.browser.rendered import Rendered
from tests.browser.test_stored_scripts import _forms, _pages, ada, full
from tests.pages.conftest import Afternoon, afternoon
from tests.signing_in import sign_in

__all__ = ["ada", "afternoon", "full"]
pytestmark = [
    pytest.mark.browser,
    needs_chromium,
]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": DESK},
    "dark": {"color_scheme": "dark", "viewport": DESK},
    "phone": {"color_scheme": "light", "viewport": PHONE, "has_touch": True, "is_mobile": True},
}
MADE: list[Rendered] = []
STRANGE = ("/admin/", "/api/v1/docs/")  # whose pages are others' work: what is only good practice is theirs
AXE = "(options) => axe.run(document, options).then((found) => found.violations.map((one) => ({id: one.id, impact: one.impact, nodes: one.nodes.map((node) => node.target.join(' ') + ' :: ' + node.html.slice(0, 160) + ' :: ' + (node.any[0] || node.all[0] || node.none[0] || {message: ''}).message)})))"
WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 120)).slice(0, 4)"""


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
    if not strange:
        found += [f"wider than the screen: {one}" for one in page.evaluate(WIDE)]
    return [f"{address}: {one}" for one in found]


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Asked for last: what runs while it is open has another connection to the database."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Rendered:
    """The main pages of an afternoon with everything in it, and the dialogs that open there: made once."""
    if not MADE:
        MADE.append(_main_pages(request.getfixturevalue("afternoon")))
    return MADE[0]


def _main_pages(afternoon: Afternoon) -> Rendered:
    ida, rendered = Client(), Rendered()
    sign_in(ida, User.objects.get(username="ida"))
    Incident.objects.filter(pk=afternoon.incident.pk).update(title="Checkout fails for every customer")
    incident = f"/incidents/{afternoon.incident.ref}/"
    rollback = f"/rollbacks/{afternoon.rollback.ref}/"
    rendered.fetch(ida, incident, "/", rollback, "/services/shop/", "/messages/")
    rendered.dialogs = rendered.fetch_dialogs(ida, incident)
    return rendered


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
        found = [one for address in site.pages for one in look(page, address)]
    assert found == []


@pytest.mark.django_db
def test_what_opens_over_a_page(site: Rendered, browser: Browser) -> None:
    """Every dialog of the incident page, the palette and the list of keys; the keyboard comes back where it was."""
    found = []
    with site.shown_in(browser, **LOOKS["light"]) as page:
        page.goto(site.pages[0])
        assert len(site.dialogs) > 6
        for address in site.dialogs:
            opener = page.locator(f"a[data-dialog][href='{address}']").first
            opener.evaluate(UNFOLD)
            opener.focus()
            page.keyboard.press("Enter")
            page.wait_for_selector("#dialog[open] h2")
            assert page.evaluate("document.activeElement.closest('#dialog') !== null"), address
            found += [f"{address}: {one}" for one in troubles(page)]
            page.keyboard.press("Escape")
            expect(page.locator("#dialog")).to_be_hidden()
            expect(opener).to_be_focused()
        for key, dialog in (("Control+k", "palette"), ("?", "keys"), ("d", "dialog")):
            page.keyboard.press(key)
            page.wait_for_selector(f"#{dialog}[open]")
            found += [f"{dialog}: {one}" for one in troubles(page)]
            page.keyboard.press("Escape")
    assert found == []


# What a link is folded away in.
UNFOLD = (
    "(link) => { for (let box = link; (box = box.parentElement?.closest('details')); ) box.open = true; }"
)

# What the keyboard stands on: whether it is seen, and seen to be where the keyboard is.
STANDS = """() => {
  const element = document.activeElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
  const chip = element.closest("label");
  const rings = [style, ...(chip ? [getComputedStyle(chip)] : [])].some((one) => one.outlineStyle !== "none" && parseFloat(one.outlineWidth) >= 2);
  const seen = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const all = [...document.querySelectorAll("*")];
  return {what: element.outerHTML.slice(0, 120), at: all.indexOf(element), rings, seen, end: element === document.body};
}"""


@pytest.mark.django_db
def test_the_keyboard_reaches_everything_in_order_and_is_seen(site: Rendered, browser: Browser) -> None:
    with site.shown_in(browser, **LOOKS["light"]) as page:
        for address in site.pages:
            page.goto(address)
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip", address
            before = page.evaluate(STANDS)
            reached = 0
            for _ in range(400):
                page.keyboard.press("Tab")
                here = page.evaluate(STANDS)
                if here["end"] or here["what"].startswith('<a class="skip"'):
                    break  # once around
                assert here["at"] > before["at"], (address, "backwards", here, before)
                assert here["seen"], (address, "not seen", here)
                assert here["rings"], (address, "no focus ring", here)
                before, reached = here, reached + 1
            assert reached > 10, address
            page.goto(address)
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.id") == "main", address


# What a thumb must hit, less the links inside sentences and lines, which WCAG 2.5.8 excepts.
SMALL = """() => [...document.querySelectorAll("button, summary, select, a.button, a.chip, .topbar nav a, input:not([type=hidden])")]
  .filter((one) => one.checkVisibility({visibilityProperty: true, opacityProperty: true}) && !one.closest(".visually-hidden"))
  .map((one) => [one, (one.matches("[type=checkbox], [type=radio]") && one.labels[0] || one).getBoundingClientRect()])
  .filter(([, box]) => box.width > 1 && (box.height < 43.5 || box.width < 43.5))
  .map(([one, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${one.outerHTML.slice(0, 110)}`)"""


@pytest.mark.django_db
def test_a_thumb_hits_every_control(site: Rendered, browser: Browser) -> None:
    with site.shown_in(browser, **LOOKS["phone"]) as page:
        found = []
        for address in site.pages:
            page.goto(address)
            found += [f"{address}: {one}" for one in page.evaluate(SMALL)]
    assert found == [], "\n".join(found)


@pytest.mark.django_db
def test_twice_the_size_and_colours_of_ones_own(site: Rendered, browser: Browser) -> None:
    """200 % of a laptop's window; forced colours, where a control must keep an edge and a choice must still be told."""
    half = {"viewport": {"width": 720, "height": 450}, "device_scale_factor": 2}
    with site.shown_in(browser, **half) as page:
        for address in site.pages:
            page.goto(address)
            assert page.evaluate(WIDE) == [], address
            assert page.locator("h1").first.is_visible()
    with site.shown_in(browser, forced_colors="active", viewport=DESK) as page:
        for address in site.pages:
            page.goto(address)
            edges = page.evaluate(
                "[...document.querySelectorAll('.button:not(.quiet), .badge.solid, [aria-current]')].filter((one) => one.checkVisibility())"
                ".filter((one) => { const s = getComputedStyle(one, one.matches('.stepper *') ? '::after' : null);"
                " return s.borderBottomStyle === 'none' && s.outlineStyle === 'none'; }).map((one) => one.outerHTML.slice(0, 120))"
            )
            assert edges == [], address


def test_what_axe_would_find_is_found(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(
        "<html lang=en><title>x</title><main><h1>x</h1><input><p style='color:#ccc'>faint</p></main>"
    )
    assert [one.split(" ")[0] for one in troubles(page, strange=True)] == ["color-contrast", "label"]
    assert page.evaluate(SMALL), "21 px high"


@pytest.fixture
def crowded(full: Afternoon, ada: User) -> Rendered:
    """Every page of a signed-in administrator with rows in every list, and a rollback that asks for a person."""
    PublicIncident.objects.update(title="y")  # what is planned is called x
    browser, rendered = Client(), Rendered()
    sign_in(browser, ada)
    rendered.fetch(browser, *_pages(full), *_forms(full), "/status/style.css")
    return rendered


def looked_at(site: Rendered, browser: Browser) -> list[str]:
    found = []
    for name, options in LOOKS.items():
        with site.shown_in(browser, **options) as page:
            for address in site.pages:
                found += [f"{name} {one}" for one in look(page, address)]
                if name == "phone" and not address.startswith((*STRANGE, "/status/")):
                    found += [f"small {address}: {one}" for one in page.evaluate(SMALL)]
    return found


@pytest.mark.faults
@pytest.mark.django_db
def test_every_page(everything: Rendered, browser: Browser) -> None:
    assert len(everything.pages) > 130
    assert (found := looked_at(everything, browser)) == [], "\n".join(found)


@pytest.mark.faults
@pytest.mark.django_db
def test_every_page_when_there_is_much(crowded: Rendered, browser: Browser) -> None:
    assert len(crowded.pages) > 40
    assert (found := looked_at(crowded, browser)) == [], "\n".join(found)


@pytest.fixture
def enrolled(db: None) -> Rendered:
    """What an account with every second factor sees: signed in, half way in, and after a wrong code."""
    ida, rendered = User.objects.create(username="ida"), Rendered()
    enrol(ida, "Work laptop", "Blue key")
    for state in states(ida):
        rendered.fetch(state.browser, *state.pages)
        for address in state.asking:
            refused = state.browser.post(address, {"code": "000000"})
            assert b"errorlist" in refused.content, address
            rendered.keep(f"{address}?refused", refused)  # type: ignore[arg-type]
    assert unseen(rendered.pages) == set()
    return rendered


@pytest.mark.faults
@pytest.mark.django_db
def test_every_page_of_an_account_with_second_factors(enrolled: Rendered, browser: Browser) -> None:
    assert (found := looked_at(enrolled, browser)) == [], "\n".join(found)
