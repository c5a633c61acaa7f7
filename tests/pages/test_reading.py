"""Pages that only read: empty and full, for whom, and at what price."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Callable

import pytest
from django.test import Client

from core.actors import Actor
from core.live import spoken
from incidents.models import Incident, Service
from tests.conftest import make_service
from tests.pages.conftest import HOSTILE, LONG, Afternoon, SignIn, declare, watch

EMPTY_PAGES = [
    "/",
    "/incidents/",
    "/incidents/?state=open&severity=P1",
    "/services/",
    "/contacts/",
    "/incidents/declare/",
]
COUNTED = Callable[..., object]


@pytest.mark.parametrize("address", EMPTY_PAGES)
def test_an_empty_installation_has_every_page(sign_in: SignIn, address: str) -> None:
    answer = sign_in("vic", "viewer").get(address)
    assert answer.status_code == 200
    assert not re.search(r"\bNone\b(?! like that)", visible_text(answer.content.decode()))


@pytest.mark.parametrize("address", [*EMPTY_PAGES, "/incidents/INC-2026-11-23-0001/", "/automation/"])
def test_nobody_reads_without_signing_in(db: None, address: str) -> None:
    answer = Client().get(address)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("address", [*EMPTY_PAGES, "/automation/"])
def test_an_account_without_a_level_reads_nothing(sign_in: SignIn, address: str) -> None:
    assert sign_in("nobody", "").get(address).status_code == 403


def test_full_pages_show_hostile_texts_as_texts(ida: Client, afternoon: Afternoon) -> None:
    addresses = [
        "/",
        "/incidents/",
        f"/incidents/{afternoon.incident.ref}/",
        "/services/",
        "/services/shop/",
        f"/rollbacks/{afternoon.rollback.ref}/",
    ]
    for address in addresses:
        answer = ida.get(address)
        assert answer.status_code == 200, address
        page = answer.content.decode()
        assert HOSTILE not in page, address
        assert "style=" not in page, address  # the content security policy would drop it
        assert not re.search(r"<script(?![^>]*\bsrc=)", page), address
    page = ida.get(addresses[2]).content.decode()
    assert html.escape(HOSTILE) in page
    assert LONG in page
    assert "🔥🧯" in page


def test_every_panel_renders_again_by_itself_and_says_what_it_listens_to(
    ida: Client, afternoon: Afternoon
) -> None:
    """What the page declares to be live is what the server answers: the same section, one element."""
    for address in (
        "/",
        f"/incidents/{afternoon.incident.ref}/",
        "/services/shop/",
        f"/rollbacks/{afternoon.rollback.ref}/",
    ):
        page = ida.get(address).content.decode()
        assert f'data-panels="{address}"' in page
        panels = dict(re.findall(r'id="panel-(\w+)" data-live-topics="([^"]*)"', page))
        assert len(panels) > 1, address
        assert all(panels.values()), address
        together = ida.get(address, {"panels": ",".join(panels)}).json()["panels"]
        assert set(together) == set(panels), address
        for key in panels:
            for fragment in (together[key]["html"], ida.get(address, {"panel": key}).content.decode()):
                assert fragment.strip().startswith(("<section", "<div")), (key, fragment[:80])
                assert f'id="panel-{key}"' in fragment
                assert "<html" not in fragment


def test_the_incident_listens_to_its_own_topic(ida: Client, incident: Incident) -> None:
    page = ida.get(f"/incidents/{incident.ref}/").content.decode()
    topic = spoken(f"incident:{incident.ref}")
    assert incident.ref not in topic
    assert f'data-live-topics="{topic}' in page
    assert topic in page.split('id="panel-who_was_told"')[1][:200]


@pytest.mark.parametrize("key", ["nope", "../x", "a b", "1", ""])
def test_an_unknown_panel_is_not_found(ida: Client, incident: Incident, key: str) -> None:
    expected = 404 if key else 200
    assert ida.get(f"/incidents/{incident.ref}/", {"panel": key}).status_code == expected


@pytest.mark.parametrize(
    "address",
    [
        "/incidents/INC-2026-01-01-0001/",
        "/services/none/",
        "/rollbacks/RB-2026-01-01-0001/",
        "/incidents/x/roll-back/",
    ],
)
def test_what_does_not_exist_is_not_found(ida: Client, address: str) -> None:
    assert ida.get(address).status_code == 404


def test_a_restricted_incident_is_invisible_to_who_does_not_work_on_it(
    sign_in: SignIn, commander: Actor, shop: Service, now: dt.datetime
) -> None:
    secret = declare(commander, now, 7, "shop", restricted=True)
    viewer = sign_in("vic", "viewer")
    for address in ("/", "/incidents/", "/services/shop/"):
        page = viewer.get(address).content.decode()
        assert secret.ref not in page
        assert secret.title not in page
    assert viewer.get(f"/incidents/{secret.ref}/").status_code == 404
    assert viewer.get(f"/incidents/{secret.ref}/roll-back/").status_code == 404
    assert viewer.get("/incidents/", {"before": secret.ref}).status_code == 200


def test_lists_cost_the_same_for_three_and_for_thirty(
    ida: Client, commander: Actor, shop: Service, now: dt.datetime, django_assert_num_queries: COUNTED
) -> None:
    watch("shop", now)
    for number in range(3):
        declare(commander, now, number, "shop")
    prices = {address: count_queries(ida, address) for address in ("/", "/incidents/", "/services/")}
    for number in range(27):
        make_service(f"service-{number}", now)
        watch(f"service-{number}", now)
        declare(commander, now, number, "shop", f"service-{number}")
    for address, price in prices.items():
        with django_assert_num_queries(price):  # type: ignore[attr-defined]
            assert ida.get(address).status_code == 200
        assert price <= 23, address


def test_an_incident_costs_the_same_however_long_its_timeline_is(
    ida: Client, commander: Actor, afternoon: Afternoon, now: dt.datetime, django_assert_num_queries: COUNTED
) -> None:
    from incidents.services.notes import add_note

    address = f"/incidents/{afternoon.incident.ref}/"
    price = count_queries(ida, address)
    for number in range(30):
        add_note(incident_id=afternoon.incident.pk, summary=f"Note {number}", actor=commander, now=now)
    with django_assert_num_queries(price):  # type: ignore[attr-defined]
        ida.get(address)
    assert price <= 45


def test_the_timeline_is_newest_first_and_filters_by_kind(ida: Client, afternoon: Afternoon) -> None:
    address = f"/incidents/{afternoon.incident.ref}/"
    events = ida.get(address).context["events"]
    assert [event.seq for event in events] == sorted((event.seq for event in events), reverse=True)
    for group in ("state", "people", "rollback", "message", "note", "monitor"):
        shown = ida.get(address, {"kind": group}).context["events"]
        assert [event.seq for event in shown] == [event.seq for event in events if event.group == group]
    assert {event.group for event in events} >= {"state", "people", "rollback", "message", "note"}
    rollback_event = next(event for event in events if event.group == "rollback")
    assert rollback_event.url == f"/rollbacks/{afternoon.rollback.ref}/"


def test_the_list_pages_through_everything_once(ida: Client, commander: Actor, now: dt.datetime) -> None:
    for number in range(35):
        declare(commander, now, number)
    seen: list[str] = []
    address: str | None = "/incidents/?severity=P2"
    while address:
        context = ida.get(address).context
        seen += [card.ref for card in context["incidents"]]
        address = context["next_url"]
    assert len(seen) == 35
    assert seen == sorted(seen, reverse=True)


def test_a_panel_of_a_filtered_list_stays_filtered(ida: Client, commander: Actor, now: dt.datetime) -> None:
    declare(commander, now, 1)
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/incidents/?severity=P0"}
    assert "Trouble 1" not in ida.get("/incidents/?panel=list", headers=headers).content.decode()
    assert "Trouble 1" in ida.get("/incidents/?panel=list").content.decode()
    headers["HX-Current-URL"] = "http://[not-an-address"
    assert ida.get("/incidents/?panel=list", headers=headers).status_code == 200


def test_what_is_due_first_comes_first(ida: Client, commander: Actor, now: dt.datetime) -> None:
    calm = declare(commander, now, 1)
    late = declare(commander, now - dt.timedelta(hours=5), 2)
    cards = ida.get("/").context["cards"]
    assert [card.ref for card in cards] == [late.ref, calm.ref]
    assert [card.response_breached for card in cards] == [True, False]


def count_queries(browser: Client, address: str) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    browser.get(address)  # what is loaded once per process is not the page's price
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200
    return len(queries)


def visible_text(page: str) -> str:
    return re.sub(r"<[^>]*>", " ", page.split("<body")[1])
