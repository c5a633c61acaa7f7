"""The main job, as a user sees it: a bad release is deployed, and nobody has to do anything."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.stack import Firebreak, json_body, wait_for

pytestmark = pytest.mark.story

STORY = [
    "incident.declared", "incident.breached", "rollback.requested", "rollback.started",
    "rollback.breach_confirmed", "rollback.phase_entered", "rollback.succeeded",
]  # fmt: skip


def test_a_bad_release_is_seen_rolled_back_and_told(launch: Callable[..., Firebreak], tmp_path: Path) -> None:
    firebreak = launch(PLAYBOOK_DIR=str(_with_a_short_cooldown(tmp_path / "playbook")))
    assert firebreak.storefront()["version"] == "1.4.2"

    firebreak.break_demo()
    assert firebreak.storefront()["version"] == "1.5.0"
    incident = firebreak.incident("monitoring")
    _the_incident_and_its_rollback(firebreak, incident)
    _the_timeline_tells_it_in_order(firebreak, incident["ref"])
    _people_were_told(firebreak, incident["ref"])
    healthy = wait_for(lambda: _healthy(firebreak), "the storefront to be well", 30)
    assert healthy["version"] == "1.4.2"
    assert "intact" in firebreak.manage("verify_timeline", incident["ref"])

    # A second bad release joins the same incident: it relapses and is rolled back again.
    firebreak.break_demo()
    wait_for(lambda: len(firebreak.all("/rollbacks/")) == 2, "a second rollback", 60)
    again = firebreak.incident("monitoring")
    assert again["ref"] == incident["ref"]
    assert firebreak.storefront()["version"] == "1.4.2"

    # Ctrl-C leaves no process; the next start finds everything again.
    processes = firebreak.children("")
    assert firebreak.stop() == 0
    assert [process for process in processes if process.is_running()] == []
    firebreak.start()
    assert firebreak.get(f"/incidents/{incident['ref']}/")["status"] == "monitoring"

    # kill -9 of everything: it starts again, with its data.
    for process in [*firebreak.children(""), _supervisor(firebreak)]:
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


def _supervisor(firebreak: Firebreak):  # type: ignore[no-untyped-def]
    assert firebreak.process is not None
    return firebreak.process


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
    assert re.search(r"error_rate is critical: [\d.]+ %, threshold 5 %", events[0]["summary"])


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
