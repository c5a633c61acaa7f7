"""The steps that move the storefront to another release: each can be run by itself, and again."""

from __future__ import annotations

from demo.storefront import configuration, slots
from demo.storefront.edge import purge
from demo.storefront.pages import clear_cache
from demo.storefront.releases import require_release, verify_release
from demo.storefront.site import Site, StorefrontError


def back_up_config(site: Site) -> None:
    backup = configuration.back_up(site)
    print(f"configuration backed up to {backup.relative_to(site.root)}")


def verify_target(site: Site, version: str) -> None:
    files = verify_release(site, version)
    print(f"release {version} is whole: {files} files match the manifest")
    configuration.read_snapshot(site, version)
    print(f"configuration snapshot of {version} is readable")
    if site.current_version() == version:
        raise StorefrontError(f"{version} is already the current release")
    print(f"current release is {site.current_version()}")


def switch_version(site: Site, version: str) -> None:
    require_release(site, version)
    before = site.point_current_at(version)
    print(
        f"current is {version} already" if before is None else f"current switched from {before} to {version}"
    )


def update_config(site: Site, version: str) -> None:
    configuration.apply_snapshot(site, version)
    print(f"configuration is that of {version} ({configuration.live_hash(site)})")


def update_load_balancer(site: Site, version: str) -> None:
    site.balancer_port()
    if site.current_version() != version:
        raise StorefrontError(f"current is {site.current_version()}, not {version}: switch first")
    active = slots.read_slot(site, slots.active_slot(site))
    if slots.is_up_to_date(site, active):
        print(f"traffic goes to {active.name} on {version} already")
        return
    idle = slots.read_slot(site, slots.idle_slot(site))
    if not slots.is_up_to_date(site, idle):
        idle = slots.restart_slot(site, idle.name)
    print(f"{idle.name} is healthy on {version} (pid {idle.pid})")
    slots.move_traffic(site, idle.name, version)
    print(f"traffic moved from {active.name} to {idle.name}")


def clear_caches(site: Site) -> None:
    print(f"{clear_cache(site)} cached pages removed")


def purge_cdn(site: Site) -> None:
    print(f"{purge(site)} answers purged from the edge")


def restart(site: Site) -> None:
    site.balancer_port()
    for name in (slots.idle_slot(site), slots.active_slot(site)):
        slot = slots.read_slot(site, name)
        if slots.is_up_to_date(site, slot):
            print(f"{name} runs {slot.version} already")
            continue
        fresh = slots.restart_slot(site, name)
        print(f"{name} restarted from {slot.version or 'down'} to {fresh.version}")
