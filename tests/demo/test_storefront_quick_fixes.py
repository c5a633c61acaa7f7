"""Quick fixes of a slow storefront and the purge of its CDN, each with its read-back."""

from __future__ import annotations

import json

import pytest

from tests.demo.conftest import Storefront

pytestmark = pytest.mark.faults  # real servers started afresh again and again


@pytest.fixture
def site(storefront: Storefront) -> Storefront:
    storefront.start("--rate", "0")
    return storefront


def _release_of_the_catalogue(site: Storefront) -> str:
    status, body = site.get("/catalogue.json")
    assert status == 200
    return str(json.loads(body)["release"])


def test_a_catalogue_of_the_bad_release_stays_at_the_edge_until_it_is_purged(site: Storefront) -> None:
    site.succeed("deploy", "1.5.0")
    assert _release_of_the_catalogue(site) == "1.5.0"
    for step in ("switch-version", "update-config", "update-load-balancer"):
        site.succeed(step, "1.4.2")

    assert _release_of_the_catalogue(site) == "1.5.0"
    assert "cdn: 1.5.0, not 1.4.2" in site.refuse("read-back", "cdn", "1.4.2")
    for purged in ("1 answers", "1 answers"):  # the read-back has fetched it afresh in between
        assert purged in site.succeed("purge-cdn")
        site.succeed("read-back", "cdn", "1.4.2")
    assert _release_of_the_catalogue(site) == "1.4.2"


def test_both_servers_are_started_afresh_one_by_one_and_the_traffic_is_always_served(
    site: Storefront,
) -> None:
    before = site.slots()
    assert "were not restarted" in site.refuse("check-restarted")
    site.succeed("restart-all")
    site.succeed("check-restarted")
    after = site.slots()
    assert not set(before.values()) & set(after.values())
    assert site.get("/")[0] == 200

    (site.site / "run/blue.restart").touch()
    site.eventually(lambda: site.slots().get("blue", after["blue"]) != after["blue"])
    site.eventually(lambda: site.verb("check-restarted").returncode == 1)


def test_in_performance_mode_a_bad_warehouse_is_asked_once_in_five_seconds(site: Storefront) -> None:
    site.succeed("deploy", "1.5.0", "--bad")
    assert 500 in [site.get("/products")[0] for _ in range(6)]
    assert "not in performance mode" in site.refuse("check-performance-mode")
    for _ in range(2):
        site.succeed("enable-performance-mode")
    site.succeed("check-performance-mode")
    site.eventually(lambda: site.get("/products")[0] == 200)
    assert [site.get("/products")[0] for _ in range(6)] == [200] * 6
    site.succeed("disable-performance-mode")
    assert "not in performance mode" in site.refuse("check-performance-mode")


def test_an_assessment_shows_the_figures_beside_the_baseline(site: Storefront) -> None:
    assert "error_rate: nothing measured (baseline: nothing measured)" in site.succeed("assess")
    site.get("/products")
    site.succeed("keep-baseline")
    assert "error_rate: 0 (baseline: 0)" in site.succeed("assess")
