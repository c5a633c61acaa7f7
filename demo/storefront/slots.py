"""The two slots as a command sees them: what runs in each, which one has the traffic."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from demo.storefront import configuration
from demo.storefront.json_http import get_json
from demo.storefront.site import SLOTS, Site, StorefrontError, read_json, write_json

START_SECONDS = 15.0
SWITCH_SECONDS = 5.0
POLL_SECONDS = 0.05

T = TypeVar("T")


class SlotUnhealthy(StorefrontError):
    """An app server did not come up on the release that is current."""


@dataclass(frozen=True)
class Slot:
    """What the app server in a slot said of itself just now; the fields are None if it is down."""

    name: str
    pid: int | None
    version: str | None
    config_hash: str | None

    @property
    def answers(self) -> bool:
        return self.version is not None


def read_slot(site: Site, name: str) -> Slot:
    state = read_json(site.slot_state(name)) or {}
    health = get_json(state["port"], "/health") if state else None
    if health is None:
        return Slot(name, None, None, None)
    return Slot(name, state["pid"], health["version"], health["config_hash"])


def active_slot(site: Site) -> str:
    switch = read_json(site.balancer_switch)
    if switch is None or switch.get("active") not in SLOTS:
        raise StorefrontError(f"{site.balancer_switch} names no slot")
    return str(switch["active"])


def idle_slot(site: Site) -> str:
    return next(name for name in SLOTS if name != active_slot(site))


def is_up_to_date(site: Site, slot: Slot) -> bool:
    """Whether the slot runs the release and the configuration that are current."""
    wanted = (site.current_version(), configuration.live_hash(site))
    return (slot.version, slot.config_hash) == wanted


def restart_slot(site: Site, name: str) -> Slot:
    """Start the slot afresh on what is current; raises `SlotUnhealthy` after 15 s."""
    before = read_slot(site, name)
    site.slot_restart(name).touch()

    def restarted() -> Slot | None:
        slot = read_slot(site, name)
        fresh = slot.answers and slot.pid != before.pid
        return slot if fresh and is_up_to_date(site, slot) else None

    slot = _wait_for(restarted, START_SECONDS)
    if slot is None:
        raise SlotUnhealthy(
            f"{name} did not become healthy on {site.current_version()} within "
            f"{START_SECONDS:.0f} s; see {site.log / name}.log"
        )
    return slot


def move_traffic(site: Site, name: str, version: str) -> None:
    """Write the switch and wait until the load balancer says that it follows."""
    port = site.balancer_port()
    write_json(site.balancer_switch, {"active": name, "version": version})

    def moved() -> dict[str, Any] | None:
        metrics = get_json(port, "/metrics.json")
        return metrics if metrics and metrics["slot"] == name else None

    if _wait_for(moved, SWITCH_SECONDS) is None:
        raise StorefrontError(f"the load balancer did not move to {name}")


def _wait_for(look: Callable[[], T | None], seconds: float) -> T | None:
    deadline = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found
