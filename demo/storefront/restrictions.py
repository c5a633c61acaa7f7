"""What an emergency forbids: addresses, accounts, the whole shop; each restriction ends by itself.

`security/restrictions.json` is written by the security procedure and obeyed by load balancer and shop:

    {"addresses": {"203.0.113.7/32": {"until": 1764320000, "rollback": "RB-…"}},
     "accounts": {"petra": {…}}, "isolation": {"shop": {…}}, "rules": {"log-denied": {…}}}
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from demo.storefront.site import Site
from demo.storefront.watched import WatchedJson

KINDS = ("addresses", "accounts", "isolation", "rules")
SHOP = "shop"
LOG_DENIED = "log-denied"


class Restrictions:
    """The restrictions in force now; one whose time is over counts no more, wherever it still stands."""

    def __init__(self, site: Site) -> None:
        self._file = WatchedJson(site.restrictions)
        self._protected = WatchedJson(site.protected)
        self._log = site.log / "security.jsonl"

    def refuses_address(self, address: str) -> bool:
        """Whether requests of this address are refused; what is no address never was blocked."""
        networks = self._in_force("addresses")
        return bool(networks) and is_within(address, networks)

    def refuses_account(self, name: str) -> bool:
        return name in self._in_force("accounts")

    def isolates(self, address: str) -> bool:
        """Whether the shop is cut off for this address: for all but the protected networks."""
        if SHOP not in self._in_force("isolation"):
            return False
        return not is_within(address, ("127.0.0.0/8", "::1/128", *(self._protected.read() or {})["networks"]))

    def note_denied(self, address: str, path: str) -> None:
        """Write a refused request down, where the monitoring rules say so."""
        if LOG_DENIED in self._in_force("rules"):
            with self._log.open("a", encoding="utf-8") as log:
                line = {"at": time.time(), "event": "denied", "address": address, "path": path[:200]}
                log.write(json.dumps(line) + "\n")

    def _in_force(self, kind: str) -> Mapping[str, Any]:
        return in_force((self._file.read() or {}).get(kind, {}))


def in_force(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries whose time is not over."""
    now = time.time()
    return {name: entry for name, entry in entries.items() if entry["until"] > now}


def is_within(address: str, networks: Any) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network) for network in networks)
