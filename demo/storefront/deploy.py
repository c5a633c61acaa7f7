"""Deploying a release: install it, bring it up in the idle slot, and move the traffic."""

from __future__ import annotations

from demo.storefront import configuration, rollback
from demo.storefront.releases import install_release
from demo.storefront.site import Site
from demo.storefront.slots import SlotUnhealthy


def deploy(site: Site, version: str, *, bad: bool) -> None:
    """Make `version` live; one that does not come up leaves the release before as it was.

    The other slot keeps running the release before, ready for the traffic to come back.
    """
    site.balancer_port()
    before = site.current_version()
    install_release(site, version, bad=bad)
    configuration.write_snapshot(site, version)
    print(f"release {version} installed")
    rollback.back_up_config(site)
    rollback.switch_version(site, version)
    rollback.update_config(site, version)
    try:
        rollback.update_load_balancer(site, version)
    except SlotUnhealthy:
        rollback.switch_version(site, before)
        rollback.update_config(site, before)
        raise
    rollback.clear_caches(site)
    print(f"{version} is live")
