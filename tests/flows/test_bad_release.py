"""The main job, as a user sees it: a bad release is deployed, and nobody has to do anything.

It happens once, with a page open where there is a Chromium; the tests look at what it left.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import CHROMIUM, chromium, needs_chromium
from tests.flows.conftest import launching
from tests.flows.stack import Firebreak, json_body, wait_for

pytestmark = pytest.mark.story

STORY = [
    "incident.declared", "incident.breached", "rollback.requested", "rollback.started",
    "rollback.breach_confirmed", "rollback.phase_entered", "rollback.succeeded",
]  # fmt: skip


@dataclass
class Told:
    """What happened: who ran, the incident after it, and what was wrong with the page that was open."""

    firebreak: Firebreak
    incident: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] | None = None


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with launching(tmp_path_factory.mktemp("story")) as launch:
        story = Told(launch())
        assert story.firebreak.storefront()["version"] == "1.4.2"
        if CHROMIUM is None:
            story.firebreak.break_demo()
        else:
            story.complaints = _break_it_before_an_open_page(story.firebreak)
        story.incident = story.firebreak.incident("monitoring")
        yield story


def _break_it_before_an_open_page(firebreak: Firebreak) -> list[str]:
    """The page is not reloaded: the card arrives by itself, and so does every state after it."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        complaints: list[str] = []
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        _sign_in(page, firebreak)
        expect(page.get_by_role("heading", name="Storefront")).to_be_visible()

        firebreak.break_demo()
        card = page.get_by_role("link", name="Storefront: error rate is critical").first
        expect(card).to_be_visible(timeout=60_000)
        card.click()
        expect(page.get_by_text("RB-").first).to_be_visible(timeout=60_000)
        # Steps succeed one by one before the rollback does: wait for its end, not for the first of them.
        end = page.get_by_text("is back on 1.4.2").locator("visible=true").first
        expect(end).to_be_visible(timeout=120_000)
        expect(page.get_by_text("Succeeded").first).to_be_visible()

        # As a commander would: acknowledge, and be the commander from then on.
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_text("admin acknowledged").first).to_be_visible(timeout=30_000)
    return complaints


def _sign_in(page: Page, firebreak: Firebreak) -> None:
    page.goto(f"{firebreak.url}/accounts/login/")
    page.fill("input[name=login]", "admin")
    page.fill("input[name=password]", firebreak.password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{firebreak.url}/")


def test_a_bad_release_is_seen_rolled_back_and_told(told: Told) -> None:
    firebreak, incident = told.firebreak, told.incident
    _the_incident_and_its_rollback(firebreak, incident)
    _the_timeline_tells_it_in_order(firebreak, incident["ref"])
    _people_were_told(firebreak, incident["ref"])
    healthy = wait_for(lambda: _healthy(firebreak), "the storefront to be well", 30)
    assert healthy["version"] == "1.4.2"
    assert "intact" in firebreak.manage("verify_timeline", incident["ref"])


@pytest.mark.browser
@needs_chromium
def test_an_open_page_told_it_live(told: Told) -> None:
    assert told.complaints == []
    assert told.incident["roles"]["incident_commander"] == "admin"


def test_ctrl_c_leaves_no_process_and_the_next_start_finds_everything(told: Told) -> None:
    firebreak = told.firebreak
    processes = firebreak.children("")
    assert firebreak.stop() == 0
    assert [process for process in processes if process.is_running()] == []
    firebreak.start()
    assert firebreak.get(f"/incidents/{told.incident['ref']}/")["status"] == "monitoring"


@pytest.mark.faults
def test_a_second_one_is_rolled_back_too_and_kill_9_of_everything_loses_nothing(
    launch: Callable[..., Firebreak], tmp_path: Path
) -> None:
    firebreak = launch(PLAYBOOK_DIR=str(_with_a_short_cooldown(tmp_path / "playbook")))
    firebreak.break_demo()
    incident = firebreak.incident("monitoring")

    # A second bad release joins the same incident: it relapses and is rolled back again.
    firebreak.break_demo()
    wait_for(lambda: len(firebreak.all("/rollbacks/")) == 2, "a second rollback", 60)
    again = firebreak.incident("monitoring")
    assert again["ref"] == incident["ref"]
    assert firebreak.storefront()["version"] == "1.4.2"

    assert firebreak.process is not None
    for process in [*firebreak.children(""), firebreak.process]:
        process.kill()
    firebreak.start()
    assert firebreak.get(f"/incidents/{incident['ref']}/")["status"] == "monitoring"
    assert "intact" in firebreak.manage("verify_timeline")


def _with_a_short_cooldown(folder: Path) -> Path:
    """The shipped playbook, but two bad releases within half an hour are both rolled back."""
    shutil.copytree(Firebreak.root / "playbook", folder)
    automation = folder / "automation.yaml"
    automation.write_text(automation.read_text().replace("cooldown: 30m", "cooldown: 1s"))
    return folder


def _the_incident_and_its_rollback(firebreak: Firebreak, incident: dict[str, object]) -> None:
    assert (incident["severity"], incident["source"], incident["services"]) == (
        "P0",
        "monitor",
        ["storefront"],
    )
    assert incident["active_rollback"] is None
    (listed,) = firebreak.all("/rollbacks/")
    rollback = firebreak.get(f"/rollbacks/{listed['ref']}/")
    assert (rollback["state"], rollback["trigger"]) == ("succeeded", "automated")
    assert (rollback["from_version"], rollback["target_version"]) == ("1.5.0", "1.4.2")
    assert [(step["phase"], step["key"], step["state"]) for step in rollback["steps"]] == [
        ("validate", "health_check", "succeeded"),
        ("validate", "backup_config", "succeeded"),
        ("validate", "verify_target", "succeeded"),
        ("execute", "switch_version", "succeeded"),
        ("execute", "update_config", "succeeded"),
        ("execute", "update_load_balancer", "succeeded"),
        ("execute", "clear_caches", "succeeded"),
        ("execute", "purge_cdn", "succeeded"),
        ("execute", "restart_services", "succeeded"),
        ("verify", "smoke_tests", "succeeded"),
        ("verify", "health_check", "succeeded"),
        ("verify", "user_access_test", "succeeded"),
        ("verify", "monitor", "succeeded"),
    ]


def _the_timeline_tells_it_in_order(firebreak: Firebreak, ref: str) -> None:
    events = firebreak.all(f"/incidents/{ref}/timeline/")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["kind"] for event in events]
    places = [kinds.index(kind) for kind in STORY]
    assert places == sorted(places)
    steps = [event["data"]["step"] for event in events if event["kind"] == "rollback.step_succeeded"]
    assert steps.index("switch_version") < steps.index("update_load_balancer") < steps.index("monitor")
    assert re.search(r"error rate is critical: [\d.]+ %, threshold 5 %", events[0]["summary"])


def _people_were_told(firebreak: Firebreak, ref: str) -> None:
    def told() -> bool:
        hooks = [json_body(hook) for hook in firebreak.webhooks()]
        return {"incident.declared", "rollback.started", "rollback.succeeded"} <= {
            hook["type"] for hook in hooks if hook["data"]["incident"] == ref
        }

    wait_for(told, "the webhooks", 30)
    mails = "\n".join(wait_for(lambda: _three_kinds(firebreak), "the e-mails", 30))
    for line in (
        f"Incident ID: {ref}",
        "Severity: P0",
        "Trigger: Automated",
        "Target Version: 1.4.2 (from 1.5.0)",
    ):
        assert line in mails
    for hook in firebreak.webhooks():
        _is_signed(firebreak, hook)


def _three_kinds(firebreak: Firebreak) -> list[str]:
    mails = firebreak.mails()
    wanted = (
        "Subject: INCIDENT ALERT - P0",
        "Subject: ROLLBACK INITIATED - P0",
        "Subject: RECOVERED - Storefront",
    )
    return mails if all(any(line in mail for mail in mails) for line in wanted) else []


def _is_signed(firebreak: Firebreak, hook: dict[str, object]) -> None:
    headers, body = hook["headers"], hook["body"]
    assert isinstance(headers, dict)
    written = (firebreak.var_dir / "storefront" / "webhook_secret").read_text()
    secret = base64.b64decode(written.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def _healthy(firebreak: Firebreak) -> dict[str, object] | None:
    facts: dict[str, object] = firebreak.storefront()
    return facts if facts["error_rate"] == 0 else None
