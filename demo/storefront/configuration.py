"""The storefront's configuration: the live file, a snapshot for each version, and backups."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.storefront.site import Site, StorefrontError, read_json, write_json


class ConfigurationUnreadable(StorefrontError):
    """The configuration is missing or is not that of the version it stands for."""


def write_snapshot(site: Site, version: str) -> None:
    """Keep the configuration that belongs to `version`, for now and for a rollback to it."""
    write_json(
        _snapshot(site, version),
        {
            "release": version,
            "store_name": "Larch & Linen",
            "currency": "EUR",
            "session_seconds": 1800,
            "cache_seconds": 600,
            "memory_limit_mb": 256,
        },
    )


def read_snapshot(site: Site, version: str) -> dict[str, Any]:
    """The configuration kept for `version`; `ConfigurationUnreadable` if it is not usable."""
    snapshot = read_json(_snapshot(site, version))
    if snapshot is None:
        raise ConfigurationUnreadable(f"there is no configuration snapshot for {version}")
    if snapshot.get("release") != version:
        raise ConfigurationUnreadable(f"the configuration snapshot for {version} is another's")
    return snapshot


def apply_snapshot(site: Site, version: str) -> None:
    """Make the configuration of `version` the live one; running servers read it when restarted."""
    write_json(live_file(site), read_snapshot(site, version))


def read_live(site: Site) -> dict[str, Any]:
    live = read_json(live_file(site))
    if live is None:
        raise ConfigurationUnreadable(f"{live_file(site)} is missing")
    return live


def live_hash(site: Site) -> str:
    """A short fingerprint of the live file, which an app server also shows in its health."""
    return hashlib.sha256(live_file(site).read_bytes()).hexdigest()[:12]


def back_up(site: Site) -> Path:
    """Copy the live configuration to `config/backups/`, under a name of its own."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    backup = site.config / "backups" / f"current-{stamp}.json"
    write_json(backup, read_live(site))
    return backup


def live_file(site: Site) -> Path:
    """The configuration that servers read when they start."""
    return site.config / "current.json"


def _snapshot(site: Site, version: str) -> Path:
    return site.config / "versions" / f"{version}.json"
