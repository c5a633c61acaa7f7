"""The charts of a service's page: ranges, marks, what is said to those who do not see them, and the price."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.test import Client

from core.actors import SYSTEM, Actor
from incidents.models import Incident, Monitor, Release, Sample, Service
from incidents.selectors.services import RANGES
from incidents.services.rollups import roll_up
from incidents.services.services import record_release
from tests.conftest import make_service
from tests.pages.conftest import SignIn, declare, watch
from tests.pages.test_reading import count_queries

ADDRESS = "/services/shop/"
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def fill(
    monitor: Monitor, now: dt.datetime, days: float, every: dt.timedelta = dt.timedelta(minutes=10)
) -> None:
    count = int(days * DAY / every)
    Sample.objects.bulk_create(
        Sample(monitor=monitor, at=now - n * every, outcome="ok", value=0.001 * (n % 9), level="ok")
        for n in range(count)
    )


@pytest.fixture
def monitor(shop: Service, now: dt.datetime) -> Monitor:
    """A day of a monitor, all but the last hours rolled up."""
    found = watch("shop", now)
    fill(found, now, 1)
    roll_up(now=now)
    return found


def test_each_range_is_chosen_by_a_link_and_a_panel_keeps_it(ida: Client, monitor: Monitor) -> None:
    for key in RANGES:
        page = ida.get(ADDRESS, {"range": key})
        assert page.context["range"] == key
        text = page.content.decode()
        assert f'<a class="chip" href="?range={key}" aria-current="true">{key}</a>' in text
        assert text.count('aria-current="true">') == 1
        (chart,) = page.context["charts"]
        assert chart.line.startswith("M")
        headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{ADDRESS}?range={key}"}
        panel = ida.get(f"{ADDRESS}?panel=charts", headers=headers)
        assert panel.context["range"]() == key
        together = ida.get(f"{ADDRESS}?range={key}&panels=charts").json()["panels"]["charts"]["html"]
        assert f'href="?range={key}" aria-current="true"' in together
        assert f'href="?range={key}" aria-current="true"' in panel.content.decode()


@pytest.mark.parametrize("asked", ["", "2h", "<script>", "1h,6h", "24H"])
def test_another_range_is_the_usual_one(ida: Client, monitor: Monitor, asked: str) -> None:
    page = ida.get(ADDRESS, {"range": asked})
    assert (page.status_code, page.context["range"]) == (200, "1h")
    assert "<script>alert" not in page.content.decode()


def test_releases_rollbacks_and_incidents_are_marked(
    ida: Client, commander: Actor, shop: Service, monitor: Monitor, now: dt.datetime
) -> None:
    seen = declare(commander, now - 3 * HOUR, 1, "shop")
    record_release(service_id=shop.pk, version="2.1.0", actor=SYSTEM, now=now - 4 * HOUR)
    Release.objects.filter(version="2.1.0").update(state="rolled_back", ended_at=now - 2 * HOUR)
    page = ida.get(ADDRESS, {"range": "24h"})
    marks = [(mark.kind, mark.label) for mark in page.context["charts"][0].marks]
    assert marks == [
        ("release", "2.1.0"),
        ("incident", "P2"),
        ("rollback", "left 2.1.0"),
        ("release", "2.0.0"),
    ]
    text = page.content.decode()
    assert f'<a href="/incidents/{seen.ref}/">P2 {seen.ref} declared</a>' in text
    assert "2.1.0 left by a rollback" in text


def test_an_incident_that_one_may_not_see_is_not_marked(
    sign_in: SignIn, commander: Actor, monitor: Monitor, now: dt.datetime
) -> None:
    secret = declare(commander, now - HOUR / 2, 7, "shop", restricted=True)
    page = sign_in("vic", "viewer").get(ADDRESS)
    assert secret.ref not in page.content.decode()
    assert "incident" not in {mark.kind for mark in page.context["charts"][0].marks}
    assert Incident.objects.count() == 1


def test_a_chart_says_in_words_what_it_draws(ida: Client, monitor: Monitor, now: dt.datetime) -> None:
    Sample.objects.filter(monitor=monitor, at__gte=now - HOUR / 2).update(outcome="error", value=None)
    text = ida.get(ADDRESS).content.decode()
    assert re.search(
        r'aria-label="Error rate, [^"]* checks in [^"]* min[^"]*, between [^"]* without an answer\."', text
    )
    assert f'<details class="small" id="chart-{monitor.pk}">' in text
    assert "<title>" in text.split('class="hint"')[1]
    assert 'class="unanswered" x=' in text
    assert " style=" not in text and "onclick" not in text


def test_a_young_service_says_what_is_missing(ida: Client, shop: Service, now: dt.datetime) -> None:
    assert "Add a monitor" in ida.get(ADDRESS).content.decode()
    watch("shop", now)
    Sample.objects.all().delete()
    for key in RANGES:
        assert "Nothing was measured in this time." in ida.get(ADDRESS, {"range": key}).content.decode()


def test_a_sparkline_is_the_last_hour_with_its_threshold(
    ida: Client, shop: Service, now: dt.datetime
) -> None:
    monitor = watch("shop", now)
    Sample.objects.all().delete()
    fill(monitor, now, 1, dt.timedelta(minutes=1))
    Sample.objects.filter(at__lt=now - HOUR).update(value=1e6)
    (tile,) = ida.get("/").context["tiles"]
    (line,) = tile.metrics
    drawn = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+),([\d.]+)", line.spark)]
    assert 50 <= len(drawn) <= 61
    assert line.threshold_y is not None and line.threshold_y < 10  # below nothing of a day ago
    assert max(x for x, _y in drawn) > 118


def test_a_sparkline_of_a_silent_monitor_ends_where_it_fell_silent(
    ida: Client, shop: Service, now: dt.datetime
) -> None:
    monitor = watch("shop", now)
    Sample.objects.all().delete()
    fill(monitor, now - HOUR / 2, 1, dt.timedelta(minutes=1))
    (tile,) = ida.get("/").context["tiles"]
    drawn = [float(x) for x in re.findall(r"([\d.]+),", tile.metrics[0].spark)]
    assert 55 < max(drawn) < 65
    Sample.objects.filter(at__gte=now - HOUR).delete()
    (tile,) = ida.get("/").context["tiles"]
    assert tile.metrics[0].spark == ""


def test_pages_cost_the_same_whatever_the_range_the_monitors_and_the_history(
    ida: Client,
    commander: Actor,
    shop: Service,
    now: dt.datetime,
    django_assert_num_queries: Callable[..., object],
) -> None:
    fill(watch("shop", now), now, 0.1)
    declare(commander, now, 99, "shop")
    prices = {address: count_queries(ida, address) for address in (ADDRESS, "/")}
    for number in range(6):
        fill(watch("shop", now), now, 1, dt.timedelta(minutes=30))
        record_release(service_id=shop.pk, version=f"3.{number}", actor=SYSTEM, now=now - number * HOUR)
        declare(commander, now, number, "shop")
    roll_up(now=now)
    for key in RANGES:
        with django_assert_num_queries(prices[ADDRESS]):  # type: ignore[attr-defined]
            assert ida.get(ADDRESS, {"range": key}).status_code == 200
    with django_assert_num_queries(prices["/"]):  # type: ignore[attr-defined]
        ida.get("/")
    assert prices[ADDRESS] <= 26


def test_a_hundred_marks_stay_a_picture(
    ida: Client, monitor: Monitor, shop: Service, now: dt.datetime
) -> None:
    for number in range(100):
        record_release(service_id=shop.pk, version=f"4.{number}", actor=SYSTEM, now=now - number * HOUR / 5)
    make_service("other", now)
    page = ida.get(ADDRESS, {"range": "24h"})
    assert len(page.context["moments"]) == 60
    assert len(page.content) < 300_000
