"""One change of a target at a time, and none by a worker that has been replaced.

Firebreak gives every command `FIREBREAK_ROLLBACK` and `FIREBREAK_FENCE`: the fence of a rollback rises with
each worker that takes it up. A command of a worker that was thought dead has a lower one, and is refused.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.storefront.site import StorefrontError, read_json, write_json

REFERENCE = re.compile(r"^RB-(\d{4}-\d{2}-\d{2})-(\d{4,})\Z")
WAIT_SECONDS = 10.0


class Fenced(StorefrontError):
    """A later rollback, or a later worker of this one, has changed the target already."""


class TargetBusy(StorefrontError):
    """Another command changes the same target right now."""


@contextmanager
def sole_change(target: Path) -> Iterator[None]:
    """Hold the folder `target` alone while something is changed there.

    A person at the shell has no fence: they wait for the lock, too, but nobody is refused after them.
    Raises Fenced or TargetBusy.
    """
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".fence.lock").open("ab") as lock:
        _lock(lock.fileno(), target)
        _accept(target / ".fence.json")
        yield


def _lock(descriptor: int, target: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TargetBusy(f"another command is changing {target}") from None
            time.sleep(0.05)


def _accept(file: Path) -> None:
    given = os.environ.get("FIREBREAK_FENCE")
    if given is None:
        return
    ours = _order(os.environ.get("FIREBREAK_ROLLBACK", ""), given)
    last = read_json(file)
    if last and ours < _order(str(last["rollback"]), str(last["fence"])):
        raise Fenced(
            f"refused: fence {given} of {os.environ['FIREBREAK_ROLLBACK']} is behind"
            f" {last['fence']} of {last['rollback']}"
        )
    write_json(file, {"rollback": os.environ["FIREBREAK_ROLLBACK"], "fence": int(given)})


def _order(rollback: str, fence: str) -> tuple[str, int, int]:
    """References rise with time, and a target has one live rollback: so they order its rollbacks."""
    match = REFERENCE.match(rollback)
    if not match or not fence.isascii() or not fence.isdecimal():
        raise Fenced(f"refused: {rollback!r} with fence {fence!r} is no rollback's")
    return match[1], int(match[2]), int(fence)
