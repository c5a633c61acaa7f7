"""Now and Services with more services than a page shows: which come first, and what is read for it."""

from __future__ import annotations

import datetime as dt
import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.actors import Actor
from core.models import Stream
from incidents.facts import Reading
from incidents.models import Monitor, Release, Sample, Service
from incidents.selectors.tiles import NOW_TILES, PAGE_SIZE, STATES
from incidents.services.measuring import observe
from incidents.services.monitors import edit_monitor, remove_monitor
from incidents.states import SampleOutcome
from tests.pages.conftest import SignIn, watch
from tests.pages.test_reading import visible_text

MANY = 60
SAMPLES = re.compile(r"unnest\('\{([\d,]*)\}'")


def make_many(now: dt.datetime, count: int = MANY, *, level: str = "ok") -> list[Service]:
    """`s-000` and on: services with two monitors and a sample each, all of them at the level."""
    streams = Stream.objects.bulk_create(
        Stream(kind="service", name=f"s-{level}-{n:03}") for n in range(count)
    )
    services = Service.objects.bulk_create(
        Service(slug=f"s-{level}-{n:03}", name=f"Service {n:03}", stream=stream, created_at=now)
        for n, stream in enumerate(streams)
    )
    monitors = Monitor.objects.bulk_create(
        Monitor(
            service=service,
            metric=metric,
            source={"type": "push"},
            created_at=now,
            checked_at=now,
            level=level,
        )
        for service in services
        for metric in ("error_rate", "memory_usage")
    )
    Sample.objects.bulk_create(
        Sample(monitor=monitor, at=now, outcome="ok", value=0.01, level="ok") for monitor in monitors
    )
    Release.objects.bulk_create(
        Release(service=service, version="1.0", deployed_at=now, recorded_at=now) for service in services
    )
    return services


def put(service: Service, *levels: str) -> None:
    """Its monitors, in the order of their metrics, come to these levels."""
    for monitor, level in zip(service.monitors.all(), levels, strict=False):
        Monitor.objects.filter(pk=monitor.pk).update(level=level)


def slugs(answer: Any) -> list[str]:
    return [tile.slug for tile in answer.context["tiles"]]


def walk(browser: Client, address: str) -> list[list[str]]:
    """The pages of a list, each as its services."""
    pages = []
    url: str | None = address
    while url:
        answer = browser.get(url)
        pages.append(slugs(answer))
        url = answer.context["next_url"]
    return pages


@pytest.fixture
def viewer(sign_in: SignIn) -> Client:
    return sign_in("vic", "viewer")


def test_now_shows_the_worst_first_and_counts_the_rest(viewer: Client, now: dt.datetime) -> None:
    many = make_many(now)
    put(many[50], "ok", "warning")
    put(many[51], "high", "ok")
    put(many[52], "unknown", "high")
    put(many[53], "ok", "critical")
    put(many[54], "unknown", "critical")  # what is known to be critical gives it its name
    many[57].monitors.all().delete()
    answer = viewer.get("/")
    shown = slugs(answer)
    assert shown[:5] == [many[n].slug for n in (53, 54, 52, 51, 50)]
    assert [tile.state for tile in answer.context["tiles"][:5]] == ["critical", "critical", "unknown", "high", "warning"]  # fmt: skip
    assert shown[5:] == [service.slug for service in many[: NOW_TILES - 5]], "then by name"
    text = " ".join(visible_text(answer.content.decode()).split())
    for said in (
        "Services 60",
        "2 Critical",
        "1 No answer",
        "1 High",
        "1 Warning",
        "54 OK",
        "1 Not measured",
    ):
        assert said in text, said
    assert "47 more are well, 1 more is not measured." in text


def test_troubles_that_find_no_room_are_counted_too(viewer: Client, now: dt.datetime) -> None:
    make_many(now, level="critical")
    put(Service.objects.get(name="Service 059"), "warning", "ok")
    answer = viewer.get("/")
    assert slugs(answer) == [f"s-critical-{n:03}" for n in range(NOW_TILES)]
    text = " ".join(visible_text(answer.content.decode()).split())
    assert "47 more are critical, 1 more is at a warning." in text


def test_a_few_services_are_all_shown_and_nothing_more_is_said(viewer: Client, now: dt.datetime) -> None:
    make_many(now, 3)
    page = viewer.get("/").content.decode()
    assert "more are" not in page
    assert "All services" not in page


def test_what_is_off_or_removed_makes_no_trouble(viewer: Client, commander: Actor, now: dt.datetime) -> None:
    off, removed = make_many(now, 2)
    for service in (off, removed):
        put(service, "critical", "ok")
    paused, gone = off.monitors.get(level="critical"), removed.monitors.get(level="critical")
    edit_monitor(monitor_id=paused.pk, changes={"enabled": False}, actor=commander, now=now)
    remove_monitor(monitor_id=gone.pk, actor=commander, now=now)
    answer = viewer.get("/")
    assert [tile.state for tile in answer.context["tiles"]] == ["ok", "ok"]
    assert [count["number"] for count in answer.context["counts"]] == [2]
    assert slugs(viewer.get("/services/?state=critical")) == []
    assert len(slugs(viewer.get("/services/?state=ok"))) == 2


def test_services_come_by_name_a_page_at_a_time_each_once(viewer: Client, now: dt.datetime) -> None:
    make_many(now)
    Service.objects.filter(slug__in=["s-ok-023", "s-ok-024", "s-ok-025"]).update(name="Service 023")
    pages = walk(viewer, "/services/")
    assert [len(page) for page in pages] == [PAGE_SIZE, PAGE_SIZE, MANY - 2 * PAGE_SIZE]
    assert [slug for page in pages for slug in page] == [f"s-ok-{n:03}" for n in range(MANY)]
    assert pages[1] == slugs(viewer.get("/services/?after=s-ok-023"))
    assert slugs(viewer.get("/services/?after=no-such-service")) == pages[0]


@pytest.mark.parametrize("state", STATES)
def test_a_filter_shows_those_that_the_tiles_call_so(viewer: Client, now: dt.datetime, state: str) -> None:
    """Every pair of levels, once with a monitor that never measured: the tile is the judge."""
    levels = ["ok", "warning", "high", "unknown", "critical"]
    many = make_many(now, 27)
    for service, (one, other) in zip(many, [(a, b) for a in levels for b in levels], strict=False):
        put(service, one, other)
    Monitor.objects.filter(service=many[25]).update(checked_at=None)
    Monitor.objects.filter(service=many[26], metric="error_rate").update(checked_at=None)
    tiles = [tile for page in ("/services/", "/services/?after=s-ok-023") for tile in viewer.get(page).context["tiles"]]  # fmt: skip
    expected = [tile.slug for tile in tiles if tile.state == state]
    assert len(tiles) == 27
    assert expected
    answer = viewer.get("/services/", {"state": state})
    assert slugs(answer) == expected
    (chosen,) = [option for option in answer.context["options"] if option["current"]]
    assert chosen["number"] == len(expected)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("check", ["checkout-eu", "checkout-us"]),
        ("CHECKOUT staging", ["checkout-us"]),
        ("-us", ["checkout-us"]),  # in the short name alone
        ("%", []),
        ("_", []),
        ("a " * 200, ["checkout-us", "search"]),  # "staging", "Search"
    ],
)
def test_every_word_must_be_in_name_short_name_or_environment(
    viewer: Client, now: dt.datetime, words: str, found: list[str]
) -> None:
    for service, (slug, name, environment) in zip(
        make_many(now, 3),
        [("checkout-eu", "Checkout", "live"), ("checkout-us", "Checkout", "staging"), ("search", "Search", "live")],
        strict=True,
    ):  # fmt: skip
        Service.objects.filter(pk=service.pk).update(slug=slug, name=name, environment=environment)
    answer = viewer.get("/services/", {"q": words})
    assert answer.status_code == 200
    assert slugs(answer) == found
    if not found:
        assert "None like that" in answer.content.decode()


def test_the_address_holds_what_was_asked_and_the_panel_stays_with_it(
    viewer: Client, now: dt.datetime
) -> None:
    for service in make_many(now, 40):
        Service.objects.filter(pk=service.pk).update(environment="a&b=c")
    answer = viewer.get("/services/", {"q": "a&b=c", "state": "ok"})
    later = answer.context["next_url"]
    assert slugs(viewer.get(later)) == [f"s-ok-{n:03}" for n in range(PAGE_SIZE, 40)]
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{later}"}
    panel = viewer.get("/services/?panel=tiles", headers=headers)
    assert slugs(panel) == slugs(viewer.get(later))
    assert 'value="a&amp;b=c"' in answer.content.decode()
    for hostile in ("http://[", "http://x/?q=%00", "http://x/?after=%00&state=%00"):
        headers["HX-Current-URL"] = hostile
        assert viewer.get("/services/?panel=tiles", headers=headers).status_code == 200


@pytest.mark.parametrize("address", ["/", "/services/", "/services/?q=service&state=ok"])
def test_only_what_is_shown_is_read_and_the_price_stays_the_same(
    viewer: Client, now: dt.datetime, address: str
) -> None:
    make_many(now, 3, level="warning")
    make_many(now, 3)
    few = read(viewer, address)
    for n, service in enumerate(make_many(now, 70, level="critical")):
        Service.objects.filter(pk=service.pk).update(name=f"Other {n:03}")
        put(service, "ok", "ok") if n % 2 else None
    queries, monitors = read(viewer, address)
    assert queries <= few[0] <= 20
    answer = viewer.get(address)
    shown = {metric.id for tile in answer.context["tiles"] for metric in tile.metrics}
    assert len(answer.context["tiles"]) == (
        3 if "q=" in address else NOW_TILES if address == "/" else PAGE_SIZE
    )
    assert monitors == shown, "samples of the services that are shown, and of no other"


def read(browser: Client, address: str) -> tuple[int, set[int]]:
    """How many queries a page costs, and the monitors whose samples it reads."""
    browser.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200
    asked = [SAMPLES.search(query["sql"]) for query in queries if "incidents_sample" in query["sql"]]
    assert asked
    assert all(asked)
    return len(queries), {int(pk) for found in asked if found for pk in found[1].split(",") if pk}


def test_a_page_listens_to_the_services_that_it_shows(
    viewer: Client, shop: Service, now: dt.datetime
) -> None:
    make_many(now)
    for address, panel in (("/", "services"), ("/services/", "tiles")):
        answer = viewer.get(address)
        found = re.search(
            rf'id="panel-{panel}" data-live-topics="([^"]*)"', html.unescape(answer.content.decode())
        )
        assert found
        assert found[1].split() == ["now", *(f"service:{slug}" for slug in slugs(answer))]


def test_trouble_makes_its_way_to_now_by_itself(viewer: Client, shop: Service, now: dt.datetime) -> None:
    """As it happens: measured, judged, on top of a page full of calm services."""
    make_many(now)
    monitor = watch("shop", now)
    assert "shop" not in slugs(viewer.get("/")), "Shop stands behind sixty Services"
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.4), now=now)
    assert slugs(viewer.get("/"))[0] == "shop"
