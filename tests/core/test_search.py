"""Finding anything: what is found by what, for whom, at what price, and what a failing part costs."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from comms.models import Contact
from core.actors import Actor
from core.models import Stream
from core.search import Hit, marked, search
from incidents.models import Incident, Release, Service
from incidents.services.incidents import close_incident, declare_incident, resolve_incident
from incidents.services.people import add_responder
from rollbacks.services.requests import request_rollback
from tests.conftest import make_service
from tests.pages.conftest import HOSTILE
from tests.reporting import publish_report_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(make_actor: Callable[..., Actor]) -> Actor:
    return make_actor("vic", "viewer")


def keys(actor: Actor, text: str, kind: str = "") -> list[str]:
    return [hit.key for hit in search(actor, text).hits if kind in ("", hit.kind)]


def declare(actor: Actor, now: dt.datetime, title: str, **more: Any) -> Incident:
    return declare_incident(actor=actor, now=now, title=title, severity="P2", **more)


def test_incidents_are_found_by_words_and_by_a_reference_as_far_as_it_is_typed(
    commander: Actor, viewer: Actor, now: dt.datetime
) -> None:
    first = declare(commander, now, "Checkout fails", description="since the certificate expired")
    second = declare(commander, now, "Login is slow")
    for text in ("check", "CHECKOUT FAIL", "certificate checkout", first.ref, first.ref.lower()):
        assert keys(viewer, text, "incident") == [first.ref], text
    assert keys(viewer, second.ref[-4:], "incident") == [second.ref], "its number alone"
    for text in ("inc", "INC", first.ref[:8], first.ref[:-1], first.ref[4:14]):
        assert keys(viewer, text, "incident") == [second.ref, first.ref], text
    for text in ("heckout", "checkout slow", "'", "& | !", "   \0", "%", "INC-1999"):
        assert keys(viewer, text, "incident") == [], text


def test_what_is_open_comes_before_what_is_newer_and_over(
    commander: Actor, viewer: Actor, now: dt.datetime
) -> None:
    still_open = declare(commander, now, "Checkout fails")
    for number in range(10):
        over = declare(commander, now, f"Checkout failed {number}")
        resolve_incident(incident_id=over.pk, resolution="done", actor=commander, now=now)
        publish_report_of(over, now=now)
        close_incident(incident_id=over.pk, actor=commander, now=now)
    found = keys(viewer, "checkout", "incident")
    assert found[0] == still_open.ref
    assert len(found) == 8 == len(set(found))
    assert keys(viewer, "") == [still_open.ref], "without words, what is open"


@pytest.mark.parametrize("text", ["leak", "customers", "INC", "{ref}", "shop", "RB", "{rollback}", ""])
def test_a_restricted_incident_is_found_by_those_who_may_see_it_alone(
    commander: Actor, viewer: Actor, shop: Service, now: dt.datetime, text: str
) -> None:
    secret = declare(commander, now, "Leak of the customers", services=["shop"], restricted=True)
    rollback = request_rollback(
        incident_id=secret.pk, service="shop", reason="leak", actor=commander, now=now
    )
    asked = text.format(ref=secret.ref, rollback=rollback.ref)
    hidden = {secret.ref, rollback.ref}
    assert hidden.isdisjoint(keys(viewer, asked))
    if text != "shop":
        assert not hidden.isdisjoint(keys(commander, asked))
        add_responder(incident_id=secret.pk, username="vic", actor=commander, now=now)
        assert not hidden.isdisjoint(keys(viewer, asked))


def test_services_are_found_by_slug_name_and_environment_the_nearest_first(
    viewer: Actor, now: dt.datetime
) -> None:
    for slug in ("pay", "pay-eu", "checkout", "a-pay"):
        make_service(slug, now)
    Service.objects.filter(slug="checkout").update(name="Pay here", environment="staging")
    assert keys(viewer, "pay", "service") == ["pay", "pay-eu", "a-pay", "checkout"]
    assert keys(viewer, "here stag", "service") == ["checkout"]
    assert keys(viewer, "PAY-E", "service") == ["pay-eu"]
    assert keys(viewer, "payments", "service") == []


def test_releases_are_found_by_version_or_commit_of_the_service_that_is_named(
    viewer: Actor, shop: Service, now: dt.datetime
) -> None:
    make_service("pay", now)
    Release.objects.filter(service=shop, version="2.0.0").update(commit="f00dfeed" * 5)
    assert {hit.label for hit in search(viewer, "2.0").hits} == {"Shop 2.0.0", "Pay 2.0.0"}
    assert [hit.label for hit in search(viewer, "shop 2.0").hits] == ["Shop 2.0.0"]
    assert [hit.label for hit in search(viewer, "f00dfeed").hits] == ["Shop 2.0.0"]
    assert keys(viewer, "f00d", "release") == [], "too short for a commit"


def test_contacts_are_found_by_name_role_and_number_and_can_be_called(viewer: Actor) -> None:
    Contact.objects.create(name="Ann Lee", role="technical_lead", phone="+49 (0)30 1234")
    Contact.objects.create(name="Ann Gone", active=False)
    for text in ("ann", "lee ann", "technical lead", "1234"):
        (hit,) = search(viewer, text).hits
        assert (hit.label, hit.also_url, hit.url) == ("Ann Lee", "tel:+49301234", "/contacts/?q=Ann+Lee"), (
            text
        )


def test_rollbacks_are_found_by_their_reference_and_their_incident(
    viewer: Actor, commander: Actor, incident: Incident, now: dt.datetime
) -> None:
    rollback = request_rollback(incident_id=incident.pk, service="shop", reason="x", actor=commander, now=now)
    for text in (rollback.ref, rollback.ref[:6].lower(), incident.ref):
        assert keys(viewer, text, "rollback") == [rollback.ref], text
    assert keys(viewer, "RB-1999", "rollback") == []


def test_who_may_not_read_finds_nothing(
    make_actor: Callable[..., Actor], incident: Incident, now: dt.datetime
) -> None:
    Contact.objects.create(name="Shop owner")
    assert len(search(make_actor("vic", "viewer"), "shop").hits) > 1
    assert search(make_actor("nobody", ""), "shop").hits == ()
    assert search(make_actor("nobody2", ""), "").hits == ()


def broken(actor: Actor, words: str, limit: int) -> Sequence[Hit]:
    Incident.objects.raw("SELECT 1 / 0")[0]  # the database refuses it, and everything after it
    raise AssertionError


def slow(actor: Actor, words: str, limit: int) -> Sequence[Hit]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")
    raise AssertionError


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("part", ["broken", "slow"])
def test_a_provider_that_fails_costs_its_part_alone_and_is_named(
    client: Client, viewer: Actor, shop: Service, settings: Any, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr("core.search.TIMEOUT_MS", 200)
    first, *others = settings.SEARCH_PROVIDERS
    settings.SEARCH_PROVIDERS = (first, ("contacts", f"{__name__}.{part}"), *others)
    found = search(viewer, "shop")
    assert found.failed == ("contacts",)
    assert [group.name for group in found.groups] == ["services"]
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() != ("200ms",), "it is for the search alone"


def test_no_provider_shows_more_than_a_few(viewer: Actor, now: dt.datetime) -> None:
    fill(now, 40)
    found = search(viewer, "many", limit=5)
    assert {group.name: len(group.hits) for group in found.groups} == {"services": 5, "contacts": 5}


@pytest.mark.parametrize("text", ["", "many", "many 1.", "INC-2026", "RB-2026", "inc"])
def test_the_price_does_not_depend_on_how_much_there_is(
    viewer: Actor, commander: Actor, now: dt.datetime, text: str
) -> None:
    def price() -> int:
        with CaptureQueriesContext(connection) as captured:
            search(viewer, text)
        return len([q for q in captured if "SAVEPOINT" not in q["sql"]])

    fill(now, 2)
    declare(commander, now, "Many fail")
    few = price()
    fill(now, 50)
    for number in range(5):
        declare(commander, now, f"Many fail {number}")
    assert price() <= few <= 12


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("name 7", "services_search"),
        ("ann7", "contacts_search"),
        ("1.0.77", "releases_by_version"),
        ("abcdef7", "releases_by_commit"),
        ("INC-2026-11-24-0001", "incidents_incident_ref"),
        ("checkout", "incidents_search"),
    ],
)
def test_an_index_finds_it(viewer: Actor, now: dt.datetime, text: str, index: str) -> None:
    """Whatever the planner would choose for a few rows: what is asked can be answered by the index."""
    with CaptureQueriesContext(connection) as captured:
        search(viewer, text)
    asked = [q["sql"] for q in captured if q["sql"].startswith("SELECT") and "FROM" in q["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        plans = []
        for sql in asked:
            cursor.execute(f"EXPLAIN {sql.replace('%', '%%')}")
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
    assert any(f"Index Scan on {index}" in plan for plan in plans), plans


def fill(now: dt.datetime, count: int) -> None:
    """So many services, releases and contacts more, all of whom are called "many"."""
    held = Service.objects.count()
    streams = Stream.objects.bulk_create(
        Stream(kind="service", name=f"s-{n}") for n in range(held, held + count)
    )
    services = Service.objects.bulk_create(
        Service(slug=f"many-{stream.name}", name=f"Name {stream.name}", stream=stream, created_at=now)
        for stream in streams
    )
    Release.objects.bulk_create(
        Release(service=service, version="1.0", deployed_at=now, recorded_at=now) for service in services
    )
    Contact.objects.bulk_create(Contact(name=f"Many {stream.name}") for stream in streams)


# --- the page ------------------------------------------------------------------------------------------


@pytest.fixture
def browser(client: Client, make_user: Callable[..., Any]) -> Client:
    sign_in(client, make_user("pat", "viewer"))
    return client


def test_the_page_marks_what_was_found_and_nothing_becomes_markup(
    browser: Client, commander: Actor, now: dt.datetime
) -> None:
    declare(commander, now, f"Checkout {HOSTILE}")
    for address in ("/search/?q=check img", "/search/?q=check img&panel=options"):
        page = browser.get(address).content.decode()
        assert "<mark>Check</mark>out" in page, address
        assert HOSTILE not in page, address
        assert "&lt;<mark>img</mark> src=x" in page, address
    page = browser.get("/search/", {"q": HOSTILE}).content.decode()
    assert HOSTILE not in page


def test_an_empty_search_shows_what_is_open_and_teaches(
    browser: Client, commander: Actor, now: dt.datetime
) -> None:
    assert "Find anything" in browser.get("/search/").content.decode()
    assert "Nothing found" in browser.get("/search/?q=zebra").content.decode()
    ref = declare(commander, now, "Checkout fails").ref
    page = browser.get("/search/").content.decode()
    assert f'href="/incidents/{ref}/"' in page
    assert "Open now" in page


def test_the_palette_goes_to_every_place(browser: Client) -> None:
    """Also to those that stand in no bar of the page: the tabs below Learn."""
    page = browser.get("/").content.decode()
    tabs = set(re.findall(r'<a class="chip" href="([^"]*)"', browser.get("/reports/").content.decode()))
    assert {"/reports/", "/action-items/", "/insights/", "/drills/", "/reviews/", "/training/"} <= tabs
    places = set(re.findall(r'<a [^>]*href="([^"]*)" data-palette', page))
    assert {tab for tab in tabs if "?" not in tab} <= places
    assert {browser.get(place).status_code for place in places} == {200}


def test_the_palettes_part_is_options_alone(browser: Client, shop: Service) -> None:
    page = browser.get("/search/?q=shop&panel=options").content.decode()
    assert "<html" not in page
    assert 'role="option"' in page
    assert 'data-href="/services/shop/"' in page


def test_what_was_not_searched_is_said(browser: Client, shop: Service, settings: Any) -> None:
    settings.SEARCH_PROVIDERS = (("contacts", f"{__name__}.broken"), *settings.SEARCH_PROVIDERS[:2])
    page = browser.get("/search/?q=shop").content.decode()
    assert "did not answer: contacts" in page
    assert 'href="/services/shop/"' in page
    assert "Not searched: contacts" in browser.get("/search/?q=shop&panel=options").content.decode()


@given(st.text(max_size=40), st.text(max_size=40))
def test_marking_loses_nothing(label: str, text: str) -> None:
    assert "".join(piece for piece, _found in marked(label, text)) == label
