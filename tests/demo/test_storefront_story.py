"""The demo's story: a release really goes bad, and the rollback's commands bring it back."""

from __future__ import annotations

import json

from tests.demo.conftest import Storefront


def test_a_bad_release_fails_a_third_of_its_requests_until_it_is_rolled_back(
    storefront: Storefront,
) -> None:
    storefront.start("--window", "3", "--rate", "40")
    assert storefront.succeed("next-version").strip() == "1.5.0"
    storefront.eventually(lambda: storefront.metrics()["error_rate"] == 0)

    assert "1.5.0 is live" in storefront.succeed("deploy", "1.5.0", "--bad")
    storefront.eventually(lambda: _enough(storefront) and _fails_a_third(storefront))
    sick = storefront.metrics()
    assert (sick["version"], sick["slot"]) == ("1.5.0", "green")
    assert "stock/west.json" in (storefront.site / "log/green.log").read_text()

    assert "error rate: " in storefront.succeed("health-check")
    storefront.succeed("backup-config")
    assert "1.4.2 is whole" in storefront.succeed("verify-target", "1.4.2")
    storefront.succeed("switch-version", "1.4.2")
    storefront.succeed("update-config", "1.4.2")
    storefront.succeed("update-load-balancer", "1.4.2")
    storefront.succeed("clear-caches")
    assert "green restarted from 1.5.0 to 1.4.2" in storefront.succeed("restart")
    storefront.succeed("smoke-test", "1.4.2")
    storefront.succeed("health-check")
    storefront.succeed("user-access-test")

    storefront.eventually(lambda: _enough(storefront) and storefront.metrics()["error_rate"] == 0)
    assert storefront.metrics()["version"] == "1.4.2"
    assert json.loads(storefront.succeed("status"))["current"] == "1.4.2"
    assert (storefront.site / "previous").resolve().name == "1.5.0"
    assert storefront.succeed("next-version").strip() == "1.5.1"


def test_each_step_may_be_run_again(storefront: Storefront) -> None:
    storefront.start("--rate", "0")
    storefront.succeed("deploy", "1.5.0")

    for _ in range(2):
        storefront.succeed("switch-version", "1.4.2")
        storefront.succeed("update-config", "1.4.2")
        storefront.succeed("update-load-balancer", "1.4.2")
        storefront.succeed("clear-caches")
        storefront.succeed("restart")
        storefront.succeed("smoke-test", "1.4.2")

    assert (storefront.site / "previous").resolve().name == "1.5.0"
    assert storefront.metrics()["slot"] == "blue"


def test_a_page_cached_by_the_bad_release_is_really_served_until_the_cache_is_cleared(
    storefront: Storefront,
) -> None:
    storefront.start("--rate", "0")
    storefront.succeed("deploy", "1.5.0", "--bad")
    storefront.eventually(lambda: storefront.get("/")[0] == 200)
    for step in ("switch-version", "update-config", "update-load-balancer"):
        storefront.succeed(step, "1.4.2")

    assert "rendered by 1.5.0, not by 1.4.2" in storefront.refuse("smoke-test", "1.4.2")

    storefront.succeed("clear-caches")
    storefront.succeed("smoke-test", "1.4.2")


def test_the_smoke_test_and_the_health_check_tell_a_bad_release_from_a_dead_site(
    storefront: Storefront,
) -> None:
    storefront.start("--rate", "0")
    storefront.succeed("deploy", "1.5.0", "--bad")
    assert ": 500, expected 200" in storefront.refuse("smoke-test")
    storefront.succeed("health-check")

    storefront.end()

    assert "not running" in storefront.refuse("health-check")
    assert "not running" in storefront.refuse("update-load-balancer", "1.5.0")
    assert json.loads(storefront.succeed("status"))["serving"] is False


def _enough(storefront: Storefront) -> bool:
    return int(storefront.metrics()["requests"]) >= 60


def _fails_a_third(storefront: Storefront) -> bool:
    return 0.28 < float(storefront.metrics()["error_rate"]) < 0.39
