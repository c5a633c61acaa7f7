"""A wrong playbook stops the start with file, line and field."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from core.playbook import PlaybookError, load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(settings.BASE_DIR / "playbook", tmp_path / "playbook"))


def test_the_shipped_playbook_is_the_seed_policy() -> None:
    playbook = load(settings.BASE_DIR / "playbook")
    severities = playbook["severities"].root
    assert [severities[p].response_time for p in severities] == [900, 3600, 14_400, 86_400]
    triggers = playbook["thresholds"].policies["rollback_triggers"].metrics
    assert {m.value: (t.warning, t.high, t.critical) for m, t in triggers.items()} == {
        "error_rate": (None, 0.02, 0.05),
        "response_time": (None, 5000, 10_000),
        "security_events": (None, 5, 10),
        "memory_usage": (None, 0.8, 0.9),
    }
    performance = playbook["thresholds"].policies["performance"].metrics
    assert {m.value: (t.warning, t.high, t.critical) for m, t in performance.items()} == {
        "response_time": (2000, None, 5000),
        "error_rate": (0.01, None, 0.05),
        "memory_usage": (0.7, None, 0.9),
        "cpu_usage": (0.8, None, 0.95),
    }
    assert [step.key for _phase, step in playbook["procedures"]["automated_rollback"].steps()] == [
        "health_check", "backup_config", "verify_target",
        "switch_version", "update_config", "update_load_balancer", "clear_caches",
        "purge_cdn", "restart_services",
        "smoke_tests", "health_check", "user_access_test", "monitor",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("severities.yaml", "response_time: 15m", "response_time: soon", "severities.yaml:5: P0.response_time"),
        ("severities.yaml", "update_every: 30m", "update_evry: 30m", "severities.yaml:8: P0.update_evry"),
        ("severities.yaml", "roles: [development_lead]", "roles: [nobody]", "severities.yaml:28: P3.rollback_authority.roles.0"),
        ("thresholds.yaml", "{high: 0.02, critical: 0.05,", "{high: 0.2, critical: 0.05,", "policies.rollback_triggers.metrics.error_rate"),
        ("thresholds.yaml", "{high: 0.02, critical: 0.05,", "{high: .nan, critical: 0.05,", "error_rate.high"),
        ("thresholds.yaml", "procedure: automated_rollback", "procedure: nonsense", "thresholds.yaml:6: policies.rollback_triggers.procedure: no procedure nonsense"),
        ("commands.yaml", "[demo/bin/storefront, health-check", '["{target_version}", health-check', "commands.yaml:7: health_check.argv"),
        ("procedures/automated_rollback.yaml", "command: clear_caches", "command: rm_rf", "procedures/automated_rollback.yaml:16: execute.3.command: no command rm_rf"),
        ("procedures/automated_rollback.yaml", "command: backup_config, repeatable: true, safe_in_drill: true", "command: backup_config, mutating: true, verify_after: release_is_back", "validate must change nothing"),
        ("routing.yaml", "channels: [incident_response, email]", "channels: [pigeon]", "routing.yaml:12: routes.0.channels.0: no channel pigeon"),
        ("procedures/automated_rollback.yaml", "kind: soak", "kind: nap", "procedures/automated_rollback.yaml:23: verify.3: its kind must be one of: command, http, assert, confirm, soak, wait"),
        ("procedures/automated_rollback.yaml", "duration: 30m", "duration: 0m", "procedures/automated_rollback.yaml:23: verify.3.duration"),
        ("procedures/automated_rollback.yaml", "name: Clear application caches", f"name: {'x' * 121}", "procedures/automated_rollback.yaml:16: execute.3.name"),
        ("commands.yaml", '"{target_version}"]', '"{color}"]', "needs parameters: color"),
        ("channels.yaml", "kind: sms", "kind: pigeon", "channels.yaml:9: sms: its kind must be one of: slack, slack_direct, email, sms, voice, apprise, status_page, user_email"),
        ("channels.yaml", "daily_limit: 500", "daily_limit: many", "channels.yaml:9: sms.daily_limit"),
        ("channels.yaml", "kind: email", "kind: [", "channels.yaml:"),
        ("automation.yaml", "approval_valid: 15m", "approval_valid: -15m", "automation.yaml:3: approval_valid"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_and_field(
    folder: Path, file: str, old: str, new: str, expected: str
) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(PlaybookError) as caught:
        load(folder)
    assert expected in str(caught.value)
    with pytest.raises(CommandError, match="playbook"):
        call_command("playbook", "check", str(folder))


def test_a_missing_file_and_an_empty_folder_are_named(folder: Path) -> None:
    (folder / "roles.yaml").unlink()
    shutil.rmtree(folder / "procedures")
    with pytest.raises(PlaybookError) as caught:
        load(folder)
    assert "roles.yaml: cannot be read" in str(caught.value)
    assert "procedures/: no file here" in str(caught.value)


def test_every_mistake_is_said_at_once(folder: Path) -> None:
    text = (folder / "severities.yaml").read_text()
    (folder / "severities.yaml").write_text(text.replace("15m", "x").replace("1h", "y"))
    with pytest.raises(PlaybookError) as caught:
        load(folder)
    assert len(caught.value.problems) == 3
