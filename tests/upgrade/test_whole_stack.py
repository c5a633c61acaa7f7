"""A whole installation of the version before is upgraded while its workers run: `make upgrade-test`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.stack import Firebreak

pytestmark = [
    pytest.mark.story,
    pytest.mark.skipif(os.environ.get("UPGRADE_TEST") != "whole", reason="minutes long: make upgrade-test"),
]


def test_a_rollback_of_the_version_before_on_the_new_schema(
    old_code: Path, tmp_path: Path, ended: Callable[[Firebreak], Firebreak]
) -> None:
    old = ended(Firebreak(tmp_path / "var"))
    old.root = old_code
    old.start()
    new = ended(Firebreak(tmp_path / "var"))
    new.environment = old.environment
    new.port, new.storefront_port, new.webhook_port = old.port, old.storefront_port, old.webhook_port
    new.token = old.token

    # Workers, checks and messages of the version before go on while the schema changes under them.
    new.manage("migrate")
    old.break_demo()
    incident = old.incident("monitoring", timeout=180)
    (rollback,) = old.all("/rollbacks/")
    assert rollback["state"] == "succeeded"
    old.manage("verify_timeline")

    # A backup of the running installation, by the new code, restores.
    backups = str(tmp_path / "backups")
    new.manage("backup", "--to", backups)
    (made,) = (path for path in Path(backups).iterdir() if not path.name.startswith("."))
    assert "can be restored" in new.manage("restore_check", str(made))

    assert old.stop() == 0
    new.start()
    assert new.get(f"/incidents/{incident['ref']}/")["status"] == "monitoring"
    status, _body = new.post(f"/incidents/{incident['ref']}/resolve/", {"resolution": "Rolled back."})
    assert status == 200
    assert "intact" in new.manage("verify_timeline")
    assert "forgotten" in new.manage("retention")
    assert "Traceback" not in old.log.read_text()
    assert new.stop() == 0
