"""Returns the demo storefront's configuration to an earlier one; its version stays.

Source: the policy, "Manual Rollback Commands", Configuration Rollback. Snapshots are named by what is in them
(`config/snapshots/<sha256>.json`), so one that was changed is no longer itself. What a rollback returns to is
decided once, by `plan`, and written down: "previous" means the same however often a step runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from demo.fencing import sole_change
from demo.procedures.program import SHA256, Refused, reference, run_main
from demo.storefront import rollback, slots
from demo.storefront.configuration import live_file
from demo.storefront.site import SLOTS, Site, read_json, temporary_beside, write_json

FIELDS: Mapping[str, type] = {
    "release": str,
    "store_name": str,
    "currency": str,
    "session_seconds": int,
    "cache_seconds": int,
    "memory_limit_mb": int,
}
PREVIOUS = "previous"


def back_up(site: Site, _options: argparse.Namespace) -> None:
    """Keep the live configuration as a snapshot, and note that it is live."""
    print(f"the live configuration is kept as {_keep(site)}")


def plan(site: Site, options: argparse.Namespace) -> None:
    """Decide once what this rollback returns to: a snapshot by its hash, or the one live before."""
    live = _keep(site)
    known = read_json(_plan_file(site, options.ref))
    if known is not None:
        print(f"{options.ref} returns to {known['target']}")
        return
    target = _live_before(site, live) if options.snapshot == PREVIOUS else options.snapshot
    if target == live:
        raise Refused(f"{target} is the live configuration already")
    _check_content(site, _read_snapshot(site, target))
    _plan_file(site, options.ref).parent.mkdir(parents=True, exist_ok=True)
    write_json(_plan_file(site, options.ref), {"before": live, "target": target})
    print(f"{options.ref} returns from {live} to {target}")


def restore(site: Site, options: argparse.Namespace) -> None:
    """Make the planned configuration the live one, in one step."""
    _make_live(site, _plan(site, options.ref)["target"])


def undo(site: Site, options: argparse.Namespace) -> None:
    """Make the configuration that the rollback has found the live one again."""
    _make_live(site, _plan(site, options.ref)["before"])
    if options.reload:
        reload(site, options)


def reload(site: Site, _options: argparse.Namespace) -> None:
    """Restart the app servers that do not run with the live configuration."""
    rollback.restart(site)


def check(site: Site, _options: argparse.Namespace) -> None:
    """Is the live configuration one that the release can run with."""
    _check_content(site, live_file(site).read_bytes())
    print(f"the live configuration is well: {_live(site)}")


def read_back(site: Site, options: argparse.Namespace) -> None:
    """Raises Refused unless the planned configuration is live, or all servers run with it."""
    wanted = _plan(site, options.ref)["target"]
    if (found := _live(site)) != wanted:
        raise Refused(f"the live configuration is {found}, not {wanted}")
    if options.what == "reloaded":
        for name in SLOTS:
            running = slots.read_slot(site, name).config_hash
            if running is None or not wanted.startswith(running):
                raise Refused(f"{name} runs with {running or 'nothing'}, not with {wanted[:12]}")
    print(f"{options.what}: {wanted}")


def set_value(site: Site, options: argparse.Namespace) -> None:
    """Change one field of the live configuration, as a person would; both are kept as snapshots."""
    _keep(site)
    content = json.loads(live_file(site).read_bytes())
    content[options.field] = FIELDS[options.field](options.value)
    write_json(live_file(site), content)
    print(f"{options.field} is {content[options.field]}: {_keep(site)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb: 0 when it was done, 1 when it could not be, 2 when it was asked wrongly."""
    return run_main(_parser(), _work, arguments)


def _live(site: Site) -> str:
    return hashlib.sha256(live_file(site).read_bytes()).hexdigest()


def _snapshot_file(site: Site, snapshot: str) -> Path:
    return site.config / "snapshots" / f"{snapshot}.json"


def _history_file(site: Site) -> Path:
    return site.config / "snapshots" / "history.jsonl"


def _plan_file(site: Site, ref: str) -> Path:
    return site.config / "plans" / f"{ref}.json"


def _plan(site: Site, ref: str) -> dict[str, Any]:
    found = read_json(_plan_file(site, ref))
    if found is None:
        raise Refused(f"{ref} has no plan: `configuration plan` first")
    return found


def _keep(site: Site) -> str:
    """The hash of the live configuration, of which there is a snapshot now."""
    content = live_file(site).read_bytes()
    snapshot = hashlib.sha256(content).hexdigest()
    file = _snapshot_file(site, snapshot)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        _replace(file, content)
    history = _history(site)
    if not history or history[-1] != snapshot:
        with _history_file(site).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"at": time.time(), "sha256": snapshot}) + "\n")
    return snapshot


def _history(site: Site) -> list[str]:
    """Hashes in the order in which they were live."""
    file = _history_file(site)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [str(json.loads(line)["sha256"]) for line in lines]


def _live_before(site: Site, live: str) -> str:
    for snapshot in reversed(_history(site)):
        if snapshot != live:
            return snapshot
    raise Refused("no configuration was live before this one")


def _read_snapshot(site: Site, snapshot: str) -> bytes:
    """What is in a snapshot; raises Refused when it is not what its name says."""
    file = _snapshot_file(site, snapshot)
    if not file.exists():
        raise Refused(f"there is no snapshot {snapshot}")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != snapshot:
        raise Refused(f"the snapshot {snapshot} was changed")
    return content


def _check_content(site: Site, content: bytes) -> None:
    try:
        found = json.loads(content)
    except ValueError:
        raise Refused("the configuration is not JSON") from None
    for name, kind in FIELDS.items():
        if not isinstance(found, dict) or not isinstance(found.get(name), kind):
            raise Refused(f"the configuration has no usable {name}")
    if found["release"] != site.current_version():
        raise Refused(f"the configuration is of {found['release']}, live is {site.current_version()}")


def _make_live(site: Site, snapshot: str) -> None:
    content = _read_snapshot(site, snapshot)
    _check_content(site, content)
    if _live(site) == snapshot:
        print(f"{snapshot} is live already")
        return
    _keep(site)
    _replace(live_file(site), content)
    _keep(site)
    print(f"{snapshot} is live")


def _replace(file: Path, content: bytes) -> None:
    unfinished = temporary_beside(file)
    unfinished.write_bytes(content)
    os.replace(unfinished, file)


def _work(options: argparse.Namespace) -> None:
    site = Site(options.site.resolve())
    if not live_file(site).exists():
        raise Refused(f"{site.root} has no configuration")
    if options.changes:
        with sole_change(site.root / "fence"):
            options.do(site, options)
    else:
        options.do(site, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="configuration", description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def add(name: str, do: Callable[..., None], *wants: str, changes: bool = True) -> argparse.ArgumentParser:
        summary = (do.__doc__ or "").partition("\n")[0]
        verb = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        verb.add_argument("--site", type=Path, required=True, help="the site folder")
        if "ref" in wants:
            verb.add_argument("--ref", type=reference, required=True, help="of the rollback")
        verb.set_defaults(do=do, changes=changes)
        return verb

    add("back-up", back_up)
    add("plan", plan, "ref").add_argument("snapshot", type=_snapshot, help="its hash, or `previous`")
    add("restore", restore, "ref")
    add("undo", undo, "ref").add_argument("--reload", action="store_true", help="and restart with it")
    add("reload", reload)
    add("check", check, changes=False)
    reading = add("read-back", read_back, "ref", changes=False)
    reading.add_argument("what", choices=("restored", "reloaded"))
    setting = add("set", set_value)
    setting.add_argument("field", choices=sorted(set(FIELDS) - {"release"}))
    setting.add_argument("value")
    return parser


def _snapshot(text: str) -> str:
    if text != PREVIOUS and not SHA256.match(text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a snapshot's hash nor `{PREVIOUS}`")
    return text
