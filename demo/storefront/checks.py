"""Looking at the running storefront from outside: does it answer, show and admit what it should."""

from __future__ import annotations

import json
from typing import Any

from demo.storefront import slots
from demo.storefront.browser import Answered, Browser
from demo.storefront.json_http import get_json
from demo.storefront.pages import RELEASE_MARK, read_catalogue
from demo.storefront.releases import require_release
from demo.storefront.shop import SHOPPER
from demo.storefront.site import SLOTS, NotServing, Site, StorefrontError

SMOKE_ROUNDS = 6
TIMEOUT_SECONDS = 3.0


class CheckFailed(StorefrontError):
    """The storefront did not do what a check expects."""


def health_check(site: Site) -> None:
    """Whether there is a live stack to act on; a bad release that answers is one, too."""
    metrics = get_json(site.balancer_port(), "/metrics.json")
    if metrics is None:
        raise CheckFailed("the load balancer does not answer")
    print(f"load balancer: answers, traffic goes to {metrics['slot']}")
    seen = [slots.read_slot(site, name) for name in SLOTS]
    for slot in seen:
        print(f"{slot.name}: {'answers, release ' + slot.version if slot.version else 'down'}")
    print(f"current release: {site.current_version()}")
    rate = metrics["error_rate"]
    print(f"error rate: {'no requests' if rate is None else format(rate, '.1%')}")
    if not any(slot.answers for slot in seen):
        raise CheckFailed("no app server answers")


def smoke_test(site: Site, version: str | None) -> None:
    """The main pages, several times each: all 200 and rendered by `version` (or the current)."""
    expected = version or site.current_version()
    browser = Browser(site.balancer_port(), timeout_seconds=TIMEOUT_SECONDS)
    product = next(iter(read_catalogue(require_release(site, expected))))
    for path in ("/", "/products", f"/product/{product}"):
        for _ in range(SMOKE_ROUNDS):
            answered = browser.get(path)
            _expect(f"GET {path}", answered, 200)
            mark = RELEASE_MARK.search(answered.body)
            rendered_by = mark.group(1) if mark else "an unknown release"
            if rendered_by != expected:
                raise CheckFailed(f"GET {path} was rendered by {rendered_by}, not by {expected}")
        print(f"GET {path}: {SMOKE_ROUNDS} times 200, rendered by {expected}")


def user_access_test(site: Site) -> None:
    """A shopper can log in, see the account, log out, and is then out."""
    browser = Browser(site.balancer_port(), timeout_seconds=TIMEOUT_SECONDS)
    _expect("POST /login", browser.log_in(site), 200)
    account = browser.get("/account")
    _expect("GET /account", account, 200)
    if SHOPPER not in account.body:
        raise CheckFailed(f"the account page does not show {SHOPPER}")
    _expect("POST /logout", browser.post("/logout"), 200)
    _expect("GET /account after logout", browser.get("/account"), 401)
    print(f"{SHOPPER} logged in, saw the account and logged out")


def print_status(site: Site) -> None:
    """One JSON object; `serving` is false and the measured fields are null while nothing runs."""
    try:
        metrics = get_json(site.balancer_port(), "/metrics.json")
    except NotServing:
        metrics = None
    shown: dict[str, Any] = {"serving": metrics is not None, "current": site.current_version()}
    for name in ("version", "slot", "requests", "error_rate"):
        shown[name] = metrics[name] if metrics else None
    print(json.dumps(shown))


def _expect(what: str, answered: Answered, status: int) -> None:
    if answered.status != status:
        got = answered.status or "no answer"
        raise CheckFailed(f"{what}: {got}, expected {status}")
