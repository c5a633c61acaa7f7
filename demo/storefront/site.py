"""The site folder: where everything the storefront keeps on disk lives, and how it is written."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SLOTS = ("blue", "green")


class StorefrontError(Exception):
    """A command could not do its work; the text is for the person who reads its output."""


class NotServing(StorefrontError):
    """No `storefront serve` runs on this site."""


@dataclass(frozen=True)
class Site:
    """Paths of one site folder.

    `releases/<version>/` is never changed after installation, `current` and `previous` point into
    it, `run/` is about live processes only, and everything else survives a restart.
    """

    root: Path

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def previous(self) -> Path:
        return self.root / "previous"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def secrets(self) -> Path:
        return self.config / "secrets.json"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def edge(self) -> Path:
        """What the CDN keeps."""
        return self.root / "edge"

    @property
    def restrictions(self) -> Path:
        """What an emergency forbids at the moment."""
        return self.root / "security" / "restrictions.json"

    @property
    def protected(self) -> Path:
        """Networks and accounts that no emergency may shut out."""
        return self.config / "protected.json"

    @property
    def accounts(self) -> Path:
        return self.config / "accounts.json"

    @property
    def performance_mode(self) -> Path:
        """The file whose existence makes the shop do less per request."""
        return self.root / "performance.json"

    @property
    def balancer_switch(self) -> Path:
        return self.root / "lb.json"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def serve_state(self) -> Path:
        return self.run / "serve.json"

    @property
    def serve_lock(self) -> Path:
        return self.run / "serve.lock"

    def slot_state(self, slot: str) -> Path:
        """Where the app server in `slot` writes its pid, port and version once it listens."""
        return self.run / f"{slot}.json"

    def slot_restart(self, slot: str) -> Path:
        """The file whose appearance asks `serve` to restart `slot`."""
        return self.run / f"{slot}.restart"

    def current_version(self) -> str:
        """The version `current` points to; `StorefrontError` if there is none."""
        try:
            return Path(os.readlink(self.current)).name
        except FileNotFoundError:
            raise StorefrontError(f"no release is live in {self.root}") from None

    def point_current_at(self, version: str) -> str | None:
        """Move `current` to `version` in one step and leave `previous` on the version before.

        Returns the version before, or None where nothing was live or it was this one.
        """
        before = self.current_version() if self.current.is_symlink() else None
        if before == version:
            return None
        if before is not None:
            replace_link(self.previous, f"releases/{before}")
        replace_link(self.current, f"releases/{version}")
        return before

    def make_folders(self) -> None:
        for folder in (
            self.releases,
            self.config / "versions",
            self.config / "backups",
            self.cache,
            self.edge,
            self.restrictions.parent,
            self.run,
            self.log,
        ):
            folder.mkdir(parents=True, exist_ok=True)

    def balancer_port(self) -> int:
        """Port of the running load balancer; `NotServing` if nobody holds the site's lock."""
        state = read_json(self.serve_state) if self._is_served() else None
        if state is None:
            raise NotServing(f"the storefront is not running on {self.root}")
        return int(state["port"])

    def _is_served(self) -> bool:
        # The lock, not the pid file: the kernel drops it however the process died.
        try:
            with self.serve_lock.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in `path`, or None where the file is missing."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StorefrontError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise StorefrontError(f"{path} is not a JSON object")
    return value


def write_json(path: Path, value: dict[str, Any], *, mode: int = 0o644) -> None:
    """Replace `path` in one step, so that a reader sees the old object or the new one."""
    temporary = temporary_beside(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
    os.replace(temporary, path)


def replace_link(link: Path, target: str) -> None:
    """Point `link` at `target` in one step."""
    temporary = temporary_beside(link)
    temporary.symlink_to(target)
    os.replace(temporary, link)


def temporary_beside(path: Path) -> Path:
    """A name nobody else uses, in the same folder."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")
