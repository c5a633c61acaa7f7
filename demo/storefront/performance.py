"""Quick fixes of a slow storefront: a look at the figures, fresh processes, less work for each request.

Source: the policy, "Performance Rollback Procedure". Each change has its read-back.
"""

from __future__ import annotations

import os
from typing import Any

from demo.storefront import slots
from demo.storefront.checks import CheckFailed
from demo.storefront.json_http import get_json
from demo.storefront.site import SLOTS, Site, read_json, write_json

FIGURES = ("error_rate", "response_time_ms", "memory_usage", "requests")


def assess(site: Site) -> None:
    """Print the figures, beside those of the last assessment that was kept as the baseline."""
    figures = _figures(site)
    baseline = read_json(_baseline(site)) or {}
    for name in FIGURES:
        print(f"{name}: {_shown(figures[name])} (baseline: {_shown(baseline.get(name))})")


def keep_baseline(site: Site) -> None:
    """What later assessments are compared with."""
    figures = _figures(site)
    write_json(_baseline(site), {name: figures[name] for name in FIGURES})
    print("baseline kept")


def restart_all(site: Site) -> None:
    """A fresh process in both slots, one after the other; the traffic is always on one that answers."""
    site.balancer_port()
    _restarted(site).unlink(missing_ok=True)
    idle, active = slots.idle_slot(site), slots.active_slot(site)
    pids = {idle: slots.restart_slot(site, idle).pid}
    slots.move_traffic(site, idle, site.current_version())
    print(f"{idle} is fresh and has the traffic")
    pids[active] = slots.restart_slot(site, active).pid
    write_json(_restarted(site), {"rollback": _rollback(), "pids": pids})
    print(f"{active} is fresh")


def check_restarted(site: Site) -> None:
    """Raises CheckFailed unless this rollback has restarted the processes that run now."""
    record = read_json(_restarted(site)) or {}
    if record.get("rollback") != _rollback():
        raise CheckFailed("the app servers were not restarted by this rollback")
    for name in SLOTS:
        if slots.read_slot(site, name).pid != record["pids"].get(name):
            raise CheckFailed(f"{name} does not run the process that was started")
    print("both app servers are the ones that were started")


def enable_performance_mode(site: Site) -> None:
    """The shop asks its warehouses less often; running servers obey at once."""
    write_json(site.performance_mode, {"rollback": _rollback()})
    print("performance mode is on")


def disable_performance_mode(site: Site) -> None:
    site.performance_mode.unlink(missing_ok=True)
    print("performance mode is off")


def check_performance_mode(site: Site, *, off: bool = False) -> None:
    """Raises CheckFailed unless the server that has the traffic is in performance mode (`off`: is not)."""
    health = get_json(site.balancer_port(), "/health")
    mode = health.get("performance_mode") if health else None
    if mode is not (not off):
        raise CheckFailed(f"the shop {'is' if mode else 'is not'} in performance mode")
    print(f"performance mode is {'off' if off else 'on'}")


def _figures(site: Site) -> dict[str, Any]:
    figures = get_json(site.balancer_port(), "/metrics.json")
    if figures is None:
        raise CheckFailed("the load balancer does not answer")
    return figures


def _shown(value: float | None) -> str:
    return "nothing measured" if value is None else f"{value:g}"


def _baseline(site: Site) -> Any:
    return site.root / "baseline.json"


def _restarted(site: Site) -> Any:
    return site.run / "restarted.json"


def _rollback() -> str:
    return os.environ.get("FIREBREAK_ROLLBACK", "by hand")
