"""Releases on disk: installing one whole, checking that it still is, and naming the next."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from demo.manifest import MANIFEST, checksums, difference
from demo.storefront.site import Site, StorefrontError, read_json, write_json

FIRST_VERSION = "1.4.2"
VERSION_PATTERN = re.compile(r"^[0-9]+\.[0-9]+\.[0-9]+\Z")
CONTENT = Path(__file__).parent / "content"
WAREHOUSES_AT_FIRST = ("north", "south")
WAREHOUSES_SINCE = ("north", "south", "west")


class ReleaseUnknown(StorefrontError):
    """The site has no such release."""


class ReleaseDamaged(StorefrontError):
    """A release's files are not the ones that were installed."""


def install_release(site: Site, version: str, *, bad: bool = False) -> Path:
    """Put `releases/<version>/` in place, whole or not at all.

    A bad release has the bug of a forgotten file: it asks the new west warehouse for its stock in
    turn with the others, but does not ship `stock/west.json`.
    """
    folder = site.releases / version
    if folder.exists():
        raise StorefrontError(f"release {version} is already installed")
    warehouses = WAREHOUSES_AT_FIRST if version == FIRST_VERSION else WAREHOUSES_SINCE
    with tempfile.TemporaryDirectory(dir=site.releases, prefix=".install-") as scratch:
        building = Path(scratch) / version
        (building / "stock").mkdir(parents=True)
        for name in ("page.html", "catalogue.json"):
            shutil.copyfile(CONTENT / name, building / name)
        for warehouse in WAREHOUSES_AT_FIRST if bad else warehouses:
            stock = f"stock/{warehouse}.json"
            shutil.copyfile(CONTENT / stock, building / stock)
        write_json(building / "release.json", {"version": version, "warehouses": list(warehouses)})
        write_json(building / MANIFEST, {"sha256": checksums(building)})
        os.replace(building, folder)
    return folder


def require_release(site: Site, version: str) -> Path:
    """The folder of an installed release; `ReleaseUnknown` names those there are."""
    folder = site.releases / version
    if not folder.is_dir():
        raise ReleaseUnknown(
            f"release {version} is not installed (there are: {', '.join(installed_versions(site))})"
        )
    return folder


def verify_release(site: Site, version: str) -> int:
    """Number of files checked; `ReleaseDamaged` names the first that differs, lacks or is extra."""
    folder = require_release(site, version)
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        raise ReleaseDamaged(f"release {version} has no {MANIFEST}")
    found = checksums(folder)
    if wrong := difference(manifest["sha256"], found):
        raise ReleaseDamaged(f"release {version} is damaged: {wrong}")
    return len(found)


def installed_versions(site: Site) -> list[str]:
    """Installed versions, lowest first."""
    names = [path.name for path in site.releases.iterdir() if VERSION_PATTERN.match(path.name)]
    return sorted(names, key=_as_numbers)


def next_version(site: Site) -> str:
    """A version nobody has used: 1.5.0 after the first release, then 1.5.1, 1.5.2 …"""
    highest = max(installed_versions(site), key=_as_numbers, default=FIRST_VERSION)
    major, minor, patch = _as_numbers(highest)
    if highest == FIRST_VERSION:
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def _as_numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)
