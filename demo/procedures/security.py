"""Answers a security incident on the demo storefront: evidence first, then restrictions that end by time.

Source: the policy, "Security Rollback Procedures" and the Security Rollback Script. Nobody is shut out who is
needed to come back: own networks, the monitoring, the last administrator and the break-glass account are
protected, and a request that touches one of them does nothing at all. Each restriction carries the rollback
that made it and the time when it is over.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from demo.fencing import sole_change
from demo.manifest import MANIFEST, checksums, difference
from demo.procedures.program import Refused, reference, run_main
from demo.storefront.performance import restart_all
from demo.storefront.releases import verify_release
from demo.storefront.restrictions import KINDS, LOG_DENIED, SHOP, in_force
from demo.storefront.site import Site, read_json, write_json

Network = IPv4Network | IPv6Network
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
WIDEST = {4: 16, 6: 48}
"""A wider network than this is no attacker, it is half of the customers."""
NONE = "none"
"""Said instead of a list: a parameter of a rollback is never empty."""
LONGEST_SECONDS = 30 * 86_400
DURATION = re.compile(r"^([1-9][0-9]{0,3})([mhd])\Z")
ACCOUNT = re.compile(r"^[a-z][a-z0-9._-]{0,39}\Z")
EVIDENCE = ("log", "config", "security", "run", "lb.json")
SECRET = frozenset({"secrets.json"})
"""Never copied: evidence is looked at by more people than secrets are."""


@dataclass(frozen=True)
class Protected:
    """Who is never shut out."""

    networks: tuple[Network, ...]
    accounts: frozenset[str]


def preserve_evidence(site: Site, options: argparse.Namespace) -> None:
    """Copy logs, configuration and the list of processes into a read-only folder with a manifest."""
    folder = _evidence(options)
    if folder.exists():
        print(f"evidence of {options.ref} is there already: {_verify_evidence(folder)} files")
        return
    options.evidence.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=options.evidence, prefix=".collecting-") as scratch:
        collecting = Path(scratch) / options.ref
        collecting.mkdir()
        for source in _sources(site):
            copy = collecting / source.relative_to(site.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        write_json(collecting / "processes.json", {"processes": list(_processes())})
        about = {"site": str(site.root), "release": site.current_version(), "at": time.time()}
        write_json(collecting / "about.json", {**about, "rollback": options.ref})
        write_json(collecting / MANIFEST, {"sha256": checksums(collecting)})
        for path in collecting.rglob("*"):
            path.chmod(0o500 if path.is_dir() else 0o400)
        os.rename(collecting, folder)
        folder.chmod(0o500)
    print(f"evidence preserved in {folder}: {_verify_evidence(folder)} files")


def block(site: Site, options: argparse.Namespace) -> None:
    """Refuse requests of these addresses or networks, for a time."""
    protected = _protected(site)
    for network in options.what:
        if network.prefixlen < WIDEST[network.version]:
            raise Refused(f"{network} is too wide to block: /{WIDEST[network.version]} at most")
        for own in protected.networks:
            if network.version == own.version and network.overlaps(own):
                raise Refused(f"{network} is protected ({own}): nothing was blocked")
    _restrict(site, options, "addresses", [str(network) for network in options.what])


def disable(site: Site, options: argparse.Namespace) -> None:
    """Disable accounts, for a time; their sessions end at once."""
    accounts, protected = _accounts(site), _protected(site)
    for name in options.what:
        if name not in accounts:
            raise Refused(f"there is no account {name}: nothing was disabled")
        if name in protected.accounts:
            raise Refused(f"the account {name} is protected: nothing was disabled")
    if not _administrators_left(site, disabled=options.what):
        raise Refused(f"{', '.join(options.what)}: no administrator would be left, nothing was disabled")
    _restrict(site, options, "accounts", options.what)


def isolate(site: Site, options: argparse.Namespace) -> None:
    """Close the shop for everybody but the protected networks, for a time."""
    _restrict(site, options, "isolation", [SHOP])


def update_rules(site: Site, options: argparse.Namespace) -> None:
    """Let the monitoring write down every refused request, for a time."""
    _restrict(site, options, "rules", [LOG_DENIED])


def patch(site: Site, options: argparse.Namespace) -> None:
    """The demo's emergency patch: a new key for sessions, so that every stolen session ends."""
    patches = read_json(_patches(site)) or {}
    if patches.get("rollback") == options.ref:
        print("the sessions have a new key of this rollback already")
    else:
        known = read_json(site.secrets) or {}
        fresh = secrets.token_hex(32)
        write_json(site.secrets, {**known, "session_key": fresh}, mode=0o600)
        write_json(_patches(site), {"rollback": options.ref, "session_key": _fingerprint(fresh)})
        print("the sessions have a new key")
    restart_all(site)


def lift(site: Site, options: argparse.Namespace) -> None:
    """Remove the restrictions that this rollback has made, of one kind or all."""
    kinds = [options.only] if options.only else list(KINDS)
    _keep(site, kinds, lambda entry: entry["rollback"] != options.ref, f"of {options.ref}")


def expire(site: Site, _options: argparse.Namespace) -> None:
    """Remove the restrictions whose time is over; they have not counted since."""
    _keep(site, KINDS, lambda entry: entry["until"] > time.time(), "that were over")


def inventory(site: Site, _options: argparse.Namespace) -> None:
    """Print what is in force as JSON: who is shut out, until when, by which rollback."""
    print(json.dumps({kind: in_force(_restrictions(site)[kind]) for kind in KINDS}, indent=2))


def audit(site: Site, options: argparse.Namespace) -> None:
    """Look at everything again: evidence, release, secrets, the patch, and that nobody needed is shut out."""
    findings = list(_findings(site, options))
    for finding in findings:
        print(f"finding: {finding}")
    if findings:
        raise Refused(f"{len(findings)} findings, the first: {findings[0]}")
    for kind in KINDS:
        print(f"{kind}: {', '.join(in_force(_restrictions(site)[kind])) or 'none'}")
    print("the audit found nothing wrong")


def read_back(site: Site, options: argparse.Namespace) -> None:
    """Raises Refused unless what this rollback was to do is in force."""
    missing = QUESTIONS[options.question](site, options)
    if missing:
        raise Refused(f"{options.question}: {missing}")
    print(f"{options.question}: yes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb: 0 when it was done, 1 when it could not be, 2 when it was asked wrongly."""
    return run_main(_parser(), _work, arguments)


# --- evidence ------------------------------------------------------------------------------------


def _evidence(options: argparse.Namespace) -> Path:
    return Path(options.evidence) / str(options.ref)


def _sources(site: Site) -> Iterator[Path]:
    for name in EVIDENCE:
        place = site.root / name
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.name not in SECRET:
                yield path


def _processes() -> Iterator[dict[str, Any]]:
    """Every process that this account may see: pid, parent, account, command line."""
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines())
            words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        except (OSError, ValueError):
            continue  # it has ended
        yield {
            "pid": int(folder.name),
            "parent": int(status["PPid"]),
            "uid": int(status["Uid"].split()[0]),
            "name": status["Name"],
            "command": [word.decode("utf-8", "replace") for word in words],
        }


def _verify_evidence(folder: Path) -> int:
    """Number of files; raises Refused when they are not the ones that were preserved."""
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        raise Refused(f"there is no evidence in {folder}")
    found = checksums(folder)
    if wrong := difference(manifest["sha256"], found):
        raise Refused(f"the evidence in {folder} was tampered with: {wrong}")
    return len(found)


# --- restrictions --------------------------------------------------------------------------------


def _restrictions(site: Site) -> dict[str, dict[str, Any]]:
    return {kind: (read_json(site.restrictions) or {}).get(kind, {}) for kind in KINDS}


def _restrict(site: Site, options: argparse.Namespace, kind: str, names: Sequence[str]) -> None:
    if not names:
        print(f"{kind}: nothing to do")
        return
    found = _restrictions(site)
    until = time.time() + options.lasting
    for name in names:
        # Of two, the later end counts; the rollback that made it longer is the one that may lift it.
        if found[kind].get(name, {"until": 0})["until"] < until:
            found[kind][name] = {"until": until, "rollback": options.ref}
    _write(site, found)
    ends = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(until))
    print(f"{kind}: {', '.join(names)}, until {ends}")


def _keep(site: Site, kinds: Sequence[str], wanted: Callable[[Mapping[str, Any]], bool], which: str) -> None:
    found = _restrictions(site)
    kept = {
        kind: {name: entry for name, entry in entries.items() if kind not in kinds or wanted(entry)}
        for kind, entries in found.items()
    }
    _write(site, kept)
    removed = sum(map(len, found.values())) - sum(map(len, kept.values()))
    print(f"{removed} restrictions {which} removed")


def _write(site: Site, restrictions: dict[str, Any]) -> None:
    site.restrictions.parent.mkdir(exist_ok=True)
    write_json(site.restrictions, restrictions)


def _protected(site: Site) -> Protected:
    """Raises Refused when the list is missing: without it nobody is shut out."""
    known = read_json(site.protected)
    if known is None:
        raise Refused(f"{site.protected} is missing: without the protected list nobody is shut out")
    own = tuple(ip_network(network) for network in known["networks"])
    break_glass = {name for name, account in _accounts(site).items() if account.get("break_glass")}
    return Protected((*LOOPBACK, *own), frozenset({*known["accounts"], *break_glass}))


def _accounts(site: Site) -> dict[str, Any]:
    accounts = read_json(site.accounts)
    if accounts is None:
        raise Refused(f"{site.accounts} is missing")
    return accounts


def _administrators_left(site: Site, *, disabled: Sequence[str] = ()) -> list[str]:
    """Administrators who can still sign in; the break-glass account is no person, it does not count."""
    out = {*disabled, *in_force(_restrictions(site)["accounts"])}
    return [
        name
        for name, account in _accounts(site).items()
        if account["role"] == "administrator" and not account.get("break_glass") and name not in out
    ]


def _patches(site: Site) -> Path:
    return site.root / "security" / "patches.json"


def _fingerprint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


# --- looking again -------------------------------------------------------------------------------


def _findings(site: Site, options: argparse.Namespace) -> Iterator[str]:
    questions: dict[str, Callable[[], object]] = {
        "evidence": lambda: _verify_evidence(_evidence(options)),
        "release": lambda: verify_release(site, site.current_version()),
    }
    for question in questions.values():
        try:
            question()
        except (Refused, OSError) as error:
            yield str(error)
    if site.secrets.stat().st_mode & 0o077:
        yield f"{site.secrets} is open to other accounts"
    if missing := _patched(site, options):
        yield missing
    if not _administrators_left(site):
        yield "no administrator can sign in"
    own = _protected(site)
    for address in in_force(_restrictions(site)["addresses"]):
        network = ip_network(address)
        if any(network.version == other.version and network.overlaps(other) for other in own.networks):
            yield f"{address} is blocked, but protected"
    for name in in_force(_restrictions(site)["accounts"]):
        if name in own.accounts:
            yield f"{name} is disabled, but protected"


def _preserved(_site: Site, options: argparse.Namespace) -> str:
    _verify_evidence(_evidence(options))
    return ""


def _blocked(site: Site, options: argparse.Namespace) -> str:
    found = in_force(_restrictions(site)["addresses"])
    left = [str(network) for network in map(_network, _split(options.names)) if str(network) not in found]
    return f"{', '.join(left)} not blocked" if left else ""


def _disabled(site: Site, options: argparse.Namespace) -> str:
    found = in_force(_restrictions(site)["accounts"])
    left = [name for name in _split(options.names) if name not in found]
    return f"{', '.join(left)} not disabled" if left else ""


def _isolated(site: Site, _options: argparse.Namespace) -> str:
    return "" if SHOP in in_force(_restrictions(site)["isolation"]) else "the shop is open"


def _reopened(site: Site, options: argparse.Namespace) -> str:
    return "" if _isolated(site, options) else "the shop is still closed"


def _rules(site: Site, _options: argparse.Namespace) -> str:
    return "" if LOG_DENIED in in_force(_restrictions(site)["rules"]) else "the rules are the old ones"


def _patched(site: Site, options: argparse.Namespace) -> str:
    patches, known = read_json(_patches(site)) or {}, read_json(site.secrets) or {}
    if patches.get("rollback") != options.ref:
        return "the sessions have no new key of this rollback"
    same = patches["session_key"] == _fingerprint(str(known.get("session_key")))
    return "" if same else "the key of the sessions is not the new one"


QUESTIONS: Mapping[str, Callable[[Site, argparse.Namespace], str]] = {
    "preserved": _preserved,
    "blocked": _blocked,
    "disabled": _disabled,
    "isolated": _isolated,
    "reopened": _reopened,
    "rules": _rules,
    "patched": _patched,
}


# --- the command line ----------------------------------------------------------------------------


def _work(options: argparse.Namespace) -> None:
    site = Site(options.site.resolve())
    if not site.config.is_dir():
        raise Refused(f"{site.root} is no storefront")
    if options.changes:
        with sole_change(site.root / "fence"):
            options.do(site, options)
    else:
        options.do(site, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="security", description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def add(name: str, do: Callable[..., None], *wants: str, changes: bool = True) -> argparse.ArgumentParser:
        summary = (do.__doc__ or "").partition("\n")[0]
        verb = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        verb.add_argument("--site", type=Path, required=True, help="the site folder")
        if "ref" in wants:
            verb.add_argument("--ref", type=reference, required=True, help="of the rollback")
        if "evidence" in wants:
            verb.add_argument("--evidence", type=Path, required=True, help="the folder of all evidence")
        if "time" in wants:
            verb.add_argument("--for", dest="lasting", type=_seconds, required=True, help="such as 24h")
        verb.set_defaults(do=do, changes=changes)
        return verb

    add("preserve-evidence", preserve_evidence, "ref", "evidence")
    add("block", block, "ref", "time").add_argument("what", type=_networks, help="separated by commas")
    add("disable", disable, "ref", "time").add_argument("what", type=_names, help="separated by commas")
    add("isolate", isolate, "ref", "time")
    add("update-rules", update_rules, "ref", "time")
    add("patch", patch, "ref")
    add("lift", lift, "ref").add_argument("--only", choices=KINDS, help="restrictions of this kind")
    add("expire", expire)
    add("inventory", inventory, changes=False)
    add("audit", audit, "ref", "evidence", changes=False)
    reading = add("read-back", read_back, "ref", "evidence", changes=False)
    reading.add_argument("question", choices=sorted(QUESTIONS))
    reading.add_argument("names", nargs="?", default=NONE, help="what was to be blocked or disabled")
    return parser


def _split(text: str) -> list[str]:
    return [] if text == NONE else text.split(",")


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address and no network") from None


def _networks(text: str) -> list[Network]:
    return [_network(word) for word in _split(text)]


def _names(text: str) -> list[str]:
    names = _split(text)
    for name in names:
        if not ACCOUNT.match(name):
            raise argparse.ArgumentTypeError(f"{name!r} is not the name of an account")
    return names


def _seconds(text: str) -> int:
    match = DURATION.match(text)
    seconds = int(match[1]) * {"m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 30m, 24h or 7d, of 30 days at most")
    return seconds
