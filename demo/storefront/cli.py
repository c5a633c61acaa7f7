"""The command line: one verb for each thing the storefront can do."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from demo.fencing import sole_change
from demo.storefront import checks, performance, rollback
from demo.storefront.app import run_app_server
from demo.storefront.deploy import deploy
from demo.storefront.read_back import QUESTIONS, read_back
from demo.storefront.releases import VERSION_PATTERN, next_version
from demo.storefront.serve import serve
from demo.storefront.site import SLOTS, Site, StorefrontError
from demo.storefront.webhook_receiver import WebhookReceiver

SITE_VERBS: dict[str, tuple[Callable[[Site], None], str]] = {
    "health-check": (checks.health_check, "is there a live stack to act on"),
    "backup-config": (rollback.back_up_config, "copy the configuration to config/backups"),
    "clear-caches": (rollback.clear_caches, "remove every cached page"),
    "purge-cdn": (rollback.purge_cdn, "forget what the CDN keeps"),
    "restart": (rollback.restart, "restart the slots that do not run the current release"),
    "restart-all": (performance.restart_all, "start a fresh process in both slots, one by one"),
    "check-restarted": (performance.check_restarted, "do the processes run that this rollback started"),
    "assess": (performance.assess, "print the figures beside the baseline"),
    "keep-baseline": (performance.keep_baseline, "keep the figures as the baseline"),
    "enable-performance-mode": (performance.enable_performance_mode, "do less for each request"),
    "disable-performance-mode": (performance.disable_performance_mode, "do all of it again"),
    "user-access-test": (checks.user_access_test, "log in, see the account, log out"),
    "status": (checks.print_status, "print version, slot and error rate as JSON"),
    "next-version": (lambda site: print(next_version(site)), "print a version not used yet"),
}
VERSION_VERBS: dict[str, tuple[Callable[[Site, str], None], str]] = {
    "verify-target": (rollback.verify_target, "is this release whole, with its configuration"),
    "switch-version": (rollback.switch_version, "point `current` at this release"),
    "update-config": (rollback.update_config, "restore the configuration of this release"),
    "update-load-balancer": (
        rollback.update_load_balancer,
        "start the idle slot on this release and move the traffic there",
    ),
}

CHANGES = frozenset(
    {
        "clear-caches", "purge-cdn", "restart", "restart-all", "enable-performance-mode",
        "disable-performance-mode", "switch-version", "update-config", "update-load-balancer", "deploy",
    }
)  # fmt: skip
"""One of these at a time, and none by a worker that was replaced."""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb: 0 when it was done, 1 when it could not be, 2 when it was asked wrongly."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        if options.verb == "receive-webhooks":
            _receive_webhooks(options.port, options.file)
        else:
            site = Site(options.site.resolve())
            with sole_change(site.root / "fence") if options.verb in CHANGES else nullcontext():
                _run(site, options)
    except (StorefrontError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(site: Site, options: argparse.Namespace) -> None:
    if options.verb in SITE_VERBS:
        SITE_VERBS[options.verb][0](site)
    elif options.verb in VERSION_VERBS:
        VERSION_VERBS[options.verb][0](site, options.version)
    elif options.verb == "deploy":
        deploy(site, options.version, bad=options.bad)
    elif options.verb == "smoke-test":
        checks.smoke_test(site, options.version)
    elif options.verb == "check-performance-mode":
        performance.check_performance_mode(site, off=options.off)
    elif options.verb == "read-back":
        read_back(site, options.what, options.version)
    elif options.verb == "serve-slot":
        run_app_server(site, options.slot)
    else:
        serve(
            site,
            port=options.port,
            webhook_port=options.webhook_port,
            requests_per_second=options.rate,
            window_seconds=options.window,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="storefront", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def add_verb(name: str, help: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=help, description=help, allow_abbrev=False)
        verb.add_argument("--site", type=Path, required=True, help="the site folder")
        return verb

    serving = add_verb("serve", "run servers, load balancer and traffic in the foreground")
    serving.add_argument("--port", type=_port, required=True, help="of the load balancer; 0: any")
    serving.add_argument("--webhook-port", type=_port, help="also receive webhooks there")
    serving.add_argument("--rate", type=_amount, default=20.0, help="requests per second (20)")
    serving.add_argument("--window", type=_amount, default=8.0, help="seconds measured (8)")
    slot = add_verb("serve-slot", "run one app server (`serve` does this)")
    slot.add_argument("slot", choices=SLOTS)
    for name, (_, purpose) in SITE_VERBS.items():
        add_verb(name, purpose)
    for name, (_, purpose) in VERSION_VERBS.items():
        add_verb(name, purpose).add_argument("version", type=_version)
    reading = add_verb("read-back", "is this what it is on that release")
    reading.add_argument("what", choices=QUESTIONS)
    reading.add_argument("version", type=_version)
    deploying = add_verb("deploy", "install a release and make it live")
    deploying.add_argument("version", type=_version)
    deploying.add_argument("--bad", action="store_true", help="one that fails a third of requests")
    mode = add_verb("check-performance-mode", "is the live server in performance mode")
    mode.add_argument("--off", action="store_true", help="is it not")
    smoke = add_verb("smoke-test", "get the main pages through the load balancer")
    smoke.add_argument("version", type=_version, nargs="?", help="the current one if left out")
    receiving = verbs.add_parser("receive-webhooks", help="keep webhooks as JSON lines")
    receiving.add_argument("--port", type=_port, required=True)
    receiving.add_argument("--file", type=Path, required=True)
    return parser


def _version(text: str) -> str:
    if not VERSION_PATTERN.match(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a version like 1.4.2")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _amount(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1000")
    return number


def _receive_webhooks(port: int, file: Path) -> None:
    with WebhookReceiver(port, file) as receiver:
        print(f"receiving webhooks on http://127.0.0.1:{receiver.server_port}/")
        receiver.serve_forever()
