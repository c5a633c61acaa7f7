"""Reading back whether a step took effect: one question for each thing that a rollback changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from demo.storefront import configuration, slots
from demo.storefront.checks import CheckFailed
from demo.storefront.json_http import get_json
from demo.storefront.site import SLOTS, Site, read_json


def read_back(site: Site, what: str, version: str) -> None:
    """Raises CheckFailed when `what` is not that of `version`."""
    found = QUESTIONS[what](site, version)
    if found != version:
        raise CheckFailed(f"{what}: {found}, not {version}")
    print(f"{what}: {version}")


def _release(site: Site, version: str) -> str:
    return site.current_version()


def _configuration(site: Site, version: str) -> str:
    same = configuration.read_live(site) == configuration.read_snapshot(site, version)
    return version if same else f"that of {configuration.read_live(site).get('release')}"


def _traffic(site: Site, version: str) -> str:
    metrics = get_json(site.balancer_port(), "/metrics.json")
    return str(metrics["version"]) if metrics else "the load balancer does not answer"


def _caches(site: Site, version: str) -> str:
    """Pages are cached again at once, so the question is whether one of another release is left."""
    pages = [read_json(page) for page in site.cache.glob("*.json")]
    others = {str(page["version"]) for page in pages if page and page["version"] != version}
    return f"pages of {', '.join(sorted(others))} are left" if others else version


def _servers(site: Site, version: str) -> str:
    for name in SLOTS:
        slot = slots.read_slot(site, name)
        if slot.version != version or not slots.is_up_to_date(site, slot):
            return f"{name} runs {slot.version or 'nothing'}"
    return version


def _cdn(site: Site, version: str) -> str:
    """Asked through the edge, as a customer would: an empty one fetches the live release's."""
    catalogue = get_json(site.balancer_port(), "/catalogue.json")
    return str(catalogue["release"]) if catalogue else "the load balancer does not answer"


QUESTIONS: Mapping[str, Callable[[Site, str], str]] = {
    "release": _release,
    "configuration": _configuration,
    "traffic": _traffic,
    "caches": _caches,
    "cdn": _cdn,
    "servers": _servers,
}
