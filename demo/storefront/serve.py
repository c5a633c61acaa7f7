"""`serve`: the whole storefront in the foreground, from the first start to TERM."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from demo.storefront import configuration
from demo.storefront.balancer import LoadBalancer
from demo.storefront.releases import FIRST_VERSION, install_release
from demo.storefront.shop import SHOPPER
from demo.storefront.signals import set_on
from demo.storefront.site import SLOTS, Site, StorefrontError, read_json, write_json
from demo.storefront.supervisor import Supervisor
from demo.storefront.traffic import Traffic
from demo.storefront.webhook_receiver import WebhookReceiver

LOCK_SECONDS = 1.0
ACCOUNTS = {
    SHOPPER: {"role": "shopper"},
    "petra": {"role": "administrator"},
    "noor": {"role": "administrator"},
    "emergency": {"role": "administrator", "break_glass": True},
}
# Never shut out: the office, where the monitoring asks from (loopback always is), and its account.
PROTECTED = {"networks": ["192.0.2.0/28"], "accounts": [SHOPPER]}


def serve(
    site: Site,
    *,
    port: int,
    webhook_port: int | None,
    requests_per_second: float,
    window_seconds: float,
) -> None:
    """Run servers, load balancer and traffic until TERM or INT; a port of 0 is any free one.

    The first start makes the site, with a good release live; a later one finds it as it was left.
    """
    stop = threading.Event()
    set_on(stop, signal.SIGTERM, signal.SIGINT)
    site.make_folders()
    with ExitStack() as running:
        running.enter_context(_sole_server(site))
        _prepare(site)
        _forget_dead_processes(site)
        balancer = LoadBalancer(site, port, window_seconds=window_seconds)
        running.enter_context(_in_background(balancer))
        if webhook_port is not None:
            receiver = WebhookReceiver(webhook_port, site.log / "webhooks.jsonl")
            running.enter_context(_in_background(receiver))
        write_json(site.serve_state, {"pid": os.getpid(), "port": balancer.server_port})
        running.callback(site.serve_state.unlink)
        if requests_per_second:
            running.enter_context(
                Traffic(site, balancer.server_port, requests_per_second=requests_per_second)
            )
        print(f"storefront {site.current_version()} on http://127.0.0.1:{balancer.server_port}/")
        Supervisor(site).run_until(stop)


@contextmanager
def _sole_server(site: Site) -> Iterator[None]:
    with site.serve_lock.open("ab") as lock:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # A command that asks whether we run holds the lock for a moment, too.
                if time.monotonic() > deadline:
                    raise StorefrontError(f"{site.root} is already being served") from None
                time.sleep(0.05)
        yield


def _prepare(site: Site) -> None:
    # Each part by itself, so that a first start that was killed half-way is finished by the next.
    if not site.secrets.exists():
        fresh = {
            "session_key": secrets.token_hex(32),
            "shopper_password": secrets.token_urlsafe(),
            "passwords": {name: secrets.token_urlsafe() for name in ACCOUNTS if name != SHOPPER},
        }
        write_json(site.secrets, fresh, mode=0o600)
    if not site.accounts.exists():
        write_json(site.accounts, ACCOUNTS)
    if not site.protected.exists():
        write_json(site.protected, PROTECTED)
    if site.current.is_symlink():
        return
    if not (site.releases / FIRST_VERSION).is_dir():
        install_release(site, FIRST_VERSION)
    configuration.write_snapshot(site, FIRST_VERSION)
    configuration.apply_snapshot(site, FIRST_VERSION)
    if read_json(site.balancer_switch) is None:
        write_json(site.balancer_switch, {"active": SLOTS[0], "version": FIRST_VERSION})
    site.point_current_at(FIRST_VERSION)


def _forget_dead_processes(site: Site) -> None:
    site.serve_state.unlink(missing_ok=True)
    for slot in SLOTS:
        site.slot_state(slot).unlink(missing_ok=True)
        site.slot_restart(slot).unlink(missing_ok=True)


@contextmanager
def _in_background(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    with server:
        thread.start()
        yield
        server.shutdown()
