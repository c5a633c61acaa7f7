"""Keeping the app servers of both slots alive, and restarting one when its file asks for it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from demo.storefront.site import SLOTS, Site

EXECUTABLE = Path(__file__).parents[1] / "bin" / "storefront"
POLL_SECONDS = 0.05
RESPAWN_PAUSE_SECONDS = 1.0
STOP_SECONDS = 2.0


class Supervisor:
    """Owns one child process for each slot."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._start_after: dict[str, float] = {}

    def run_until(self, stop: threading.Event) -> None:
        try:
            while not stop.wait(POLL_SECONDS):
                for slot in SLOTS:
                    self._tend(slot)
        finally:
            self._stop(*SLOTS)

    def _tend(self, slot: str) -> None:
        request = self._site.slot_restart(slot)
        if request.exists():
            request.unlink()
            self._stop(slot)
            self._start_after.pop(slot, None)
        child = self._children.get(slot)
        if child is not None and child.poll() is not None:
            self._stop(slot)
            self._start_after[slot] = time.monotonic() + RESPAWN_PAUSE_SECONDS
        if slot not in self._children and time.monotonic() >= self._start_after.get(slot, 0.0):
            self._start(slot)

    def _start(self, slot: str) -> None:
        self._children[slot] = subprocess.Popen(
            [sys.executable, str(EXECUTABLE), "serve-slot", slot, "--site", str(self._site.root)],
            # Our death, however sudden, closes this pipe, and that ends the child.
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _stop(self, *slots: str) -> None:
        children = [self._children.pop(slot) for slot in slots if slot in self._children]
        for slot in slots:
            self._site.slot_state(slot).unlink(missing_ok=True)
        for child in children:
            child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdin is not None:
                child.stdin.close()
