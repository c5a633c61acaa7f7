"""The security procedure on a storefront that runs: evidence, restrictions that bite, and whom they never touch."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from demo.procedures import security
from tests.demo.conftest import Storefront
from tests.demo.programs import ROLLBACK, Program

ATTACKER, VISITOR, OFFICE = "203.0.113.7", "198.51.100.20", "192.0.2.5"
REF = ("--ref", ROLLBACK)


class Site:
    """A storefront that runs, and the security program on it."""

    def __init__(self, storefront: Storefront) -> None:
        self.storefront, self.root = storefront, storefront.site
        self.evidence = storefront.site.with_name("evidence")
        self.program = Program("security", "--site", self.root)

    def read_back(self, question: str, *names: str) -> bool:
        words = (*REF, "--evidence", str(self.evidence), question, *names)
        return self.program.run("read-back", *words).returncode == 0

    def get(self, address: str, path: str = "/") -> int:
        return self.storefront.get(path, {"X-Forwarded-For": f"127.0.0.1, {address}"})[0]

    def log_in(self, user: str) -> tuple[int, str]:
        """Status, and the session's cookie."""
        secrets = json.loads((self.root / "config/secrets.json").read_text())
        form = urlencode({"user": user, "password": secrets["passwords"][user]})
        port = json.loads((self.root / "run/serve.json").read_text())["port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        connection.request("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, (answer.getheader("Set-Cookie") or "").partition(";")[0]

    def restrictions(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.program.succeed("inventory"))
        return found


@pytest.fixture
def site(storefront: Storefront) -> Site:
    storefront.start("--rate", "0")
    return Site(storefront)


def test_evidence_is_whole_read_only_and_tampering_shows(site: Site) -> None:
    (site.root / "log/blue.log").write_text("an attack\n")
    words = (*REF, "--evidence", str(site.evidence))
    assert not site.read_back("preserved")
    site.program.succeed("preserve-evidence", *words)
    folder = site.evidence / ROLLBACK
    manifest = json.loads((folder / "manifest.json").read_text())["sha256"]
    assert manifest["log/blue.log"] == hashlib.sha256(b"an attack\n").hexdigest()
    assert {"lb.json", "config/current.json", "run/serve.json", "processes.json", "about.json"} <= set(
        manifest
    )
    assert not [name for name in manifest if "secret" in name]
    processes = json.loads((folder / "processes.json").read_text())["processes"]
    assert any("serve-slot" in process["command"] for process in processes)
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o400}
    assert site.read_back("preserved")

    (site.root / "log/blue.log").write_text("wiped\n")
    assert "is there already" in site.program.succeed("preserve-evidence", *words)
    assert (folder / "log/blue.log").read_text() == "an attack\n"

    (folder / "log").chmod(0o700)
    (folder / "log/blue.log").chmod(0o600)
    (folder / "log/blue.log").write_text("nothing happened\n")
    assert "log/blue.log was changed" in site.program.refuse("preserve-evidence", *words)
    assert not site.read_back("preserved")


def test_a_blocked_address_is_refused_others_are_not_and_it_ends_by_time_or_by_hand(site: Site) -> None:
    assert not site.read_back("blocked", ATTACKER)
    site.program.succeed("block", *REF, "--for", "24h", f"{ATTACKER},2001:db8::/64")
    assert site.read_back("blocked", f"{ATTACKER},2001:db8::/64")
    assert (site.get(ATTACKER), site.get("2001:db8::9"), site.get(VISITOR)) == (403, 403, 200)
    assert site.storefront.metrics()["error_rate"] in (None, 0.0)

    file = site.root / "security/restrictions.json"
    found = json.loads(file.read_text())
    assert abs(found["addresses"][f"{ATTACKER}/32"]["until"] - time.time() - 86_400) < 60
    found["addresses"][f"{ATTACKER}/32"]["until"] = time.time() - 1
    file.with_name("x").write_text(json.dumps(found))
    file.with_name("x").rename(file)
    assert site.get(ATTACKER) == 200
    assert not site.read_back("blocked", ATTACKER)
    assert "1 restrictions that were over removed" in site.program.succeed("expire")
    assert list(site.restrictions()["addresses"]) == ["2001:db8::/64"]

    assert "0 restrictions of RB-2026-11-28-0009" in site.program.succeed(
        "lift", "--ref", "RB-2026-11-28-0009"
    )
    site.program.succeed("lift", *REF)
    assert site.get("2001:db8::9") == 200


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "192.0.2.5", "192.0.2.0/24", "0.0.0.0/0", "::1", "203.0.0.0/8", "::/0"]
)
def test_own_networks_and_half_of_the_internet_are_never_blocked(site: Site, address: str) -> None:
    complaint = site.program.refuse("block", *REF, "--for", "1h", f"{ATTACKER},{address}")
    assert "protected" in complaint or "too wide" in complaint
    assert site.restrictions()["addresses"] == {}, "all or nothing"


def test_a_disabled_account_is_out_at_once_and_cannot_come_back(site: Site) -> None:
    status, cookie = site.log_in("petra")
    assert (status, site.storefront.get("/account", {"Cookie": cookie})[0]) == (200, 200)

    site.program.succeed("disable", *REF, "--for", "7d", "petra")
    assert site.read_back("disabled", "petra")
    assert site.storefront.get("/account", {"Cookie": cookie})[0] == 401
    assert site.log_in("petra")[0] == 403
    assert site.log_in("noor")[0] == 200

    site.program.succeed("lift", *REF)
    assert not site.read_back("disabled", "petra")
    assert site.log_in("petra")[0] == 200


@pytest.mark.parametrize(
    ("accounts", "why"),
    [
        ("emergency", "is protected"),  # break-glass
        ("ada", "is protected"),  # what the monitoring signs in as
        ("petra,noor", "no administrator would be left"),
        ("petra,nobody", "no account nobody"),
    ],
)
def test_who_is_needed_is_never_disabled(site: Site, accounts: str, why: str) -> None:
    assert why in site.program.refuse("disable", *REF, "--for", "1h", accounts)
    assert site.restrictions()["accounts"] == {}, "all or nothing"


def test_the_last_administrator_counts_those_that_are_out_already(site: Site) -> None:
    site.program.succeed("disable", *REF, "--for", "1h", "petra")
    assert "no administrator would be left" in site.program.refuse("disable", *REF, "--for", "1h", "noor")


def test_without_the_protected_list_nobody_is_shut_out(site: Site) -> None:
    (site.root / "config/protected.json").unlink()
    for words in (("block", *REF, "--for", "1h", ATTACKER), ("disable", *REF, "--for", "1h", "petra")):
        assert "without the protected list" in site.program.refuse(*words)


def test_isolated_the_shop_is_closed_for_all_but_the_protected(site: Site) -> None:
    site.program.succeed("isolate", *REF, "--for", "2h")
    assert site.read_back("isolated")
    assert (site.get(VISITOR), site.get(OFFICE), site.storefront.get("/")[0]) == (503, 200, 200)
    site.storefront.succeed("smoke-test")
    site.program.succeed("lift", *REF)
    assert (site.get(VISITOR), site.read_back("isolated")) == (200, False)


def test_the_new_rules_write_refused_requests_down(site: Site) -> None:
    site.program.succeed("block", *REF, "--for", "1h", ATTACKER)
    site.get(ATTACKER, "/admin")
    assert not (site.root / "log/security.jsonl").exists()
    site.program.succeed("update-rules", *REF, "--for", "7d")
    assert site.read_back("rules")
    site.get(ATTACKER, "/admin")
    line = json.loads((site.root / "log/security.jsonl").read_text())
    assert (line["event"], line["address"], line["path"]) == ("denied", ATTACKER, "/admin")


def test_the_patch_ends_every_stolen_session_once_and_the_audit_looks_at_all_of_it(site: Site) -> None:
    words = (*REF, "--evidence", str(site.evidence))
    _, cookie = site.log_in("petra")
    assert "finding: there is no evidence" in site.program.run("audit", *words).stdout

    site.program.succeed("preserve-evidence", *words)
    assert "no new key of this rollback" in site.program.refuse("audit", *words)
    site.program.succeed("patch", *REF)
    assert site.read_back("patched")
    assert site.storefront.get("/account", {"Cookie": cookie})[0] == 403
    key = json.loads((site.root / "config/secrets.json").read_text())["session_key"]
    site.program.succeed("patch", *REF)
    assert json.loads((site.root / "config/secrets.json").read_text())["session_key"] == key
    assert "found nothing wrong" in site.program.succeed("audit", *words)

    (site.root / "config/secrets.json").chmod(0o644)
    assert "open to other accounts" in site.program.refuse("audit", *words)
    (site.root / "config/secrets.json").chmod(0o600)
    (site.root / "releases/1.4.2/page.html").write_text("defaced")
    assert "page.html was changed" in site.program.refuse("audit", *words)


@pytest.mark.parametrize(
    ("parse", "hostile"),
    [
        (security._networks, "203.0.113.7/24"),
        (security._networks, "example.org"),
        (security._networks, "-f"),
        (security._names, "../root"),
        (security._names, "-rf"),
        (security._seconds, "31d"),
        (security._seconds, "0h"),
        (security._seconds, "forever"),
    ],
)
def test_words_of_a_request_are_read_strictly(parse: Any, hostile: str) -> None:
    with pytest.raises(Exception, match="is n"):
        parse(hostile)


def test_a_worker_that_was_replaced_shuts_nobody_out(site: Site, tmp_path: Path) -> None:
    site.program.environment["FIREBREAK_FENCE"] = "2"
    site.program.succeed("block", *REF, "--for", "1h", ATTACKER)
    site.program.environment["FIREBREAK_FENCE"] = "1"
    for words in (("block", *REF, "--for", "1h", VISITOR), ("lift", *REF)):
        assert "is behind 2" in site.program.refuse(*words)
    assert (site.get(ATTACKER), site.get(VISITOR)) == (403, 200)
