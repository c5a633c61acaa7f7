"""The configuration rollback on a storefront that runs: named by content, planned once, read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.demo.conftest import Storefront
from tests.demo.programs import ROLLBACK, Program

pytestmark = pytest.mark.faults  # `make test` runs this program in the story and in the procedures

REF = ("--ref", ROLLBACK)


@pytest.fixture
def site(storefront: Storefront) -> Storefront:
    storefront.start("--rate", "0")
    return storefront


def _program(site: Storefront) -> Program:
    return Program("configuration", "--site", site.site)


def _live(site: Storefront) -> Path:
    return site.site / "config/current.json"


def test_the_previous_configuration_comes_back_however_often_a_step_runs(site: Storefront) -> None:
    program, good = _program(site), _live(site).read_bytes()
    program.succeed("set", "cache_seconds", "0")
    program.succeed("reload")
    assert json.loads(_live(site).read_text())["cache_seconds"] == 0

    for _ in range(2):
        program.succeed("plan", *REF, "previous")
        program.succeed("check")
    assert "not" in program.refuse("read-back", *REF, "restored")
    for _ in range(2):
        program.succeed("restore", *REF)
        assert _live(site).read_bytes() == good
    program.succeed("read-back", *REF, "restored")
    assert "runs with" in program.refuse("read-back", *REF, "reloaded")
    for _ in range(2):
        program.succeed("reload")
    program.succeed("read-back", *REF, "reloaded")
    assert site.metrics()["version"] == "1.4.2"

    for _ in range(2):
        program.succeed("undo", *REF)
    assert json.loads(_live(site).read_text())["cache_seconds"] == 0
    program.refuse("read-back", *REF, "restored")


def test_a_snapshot_that_was_changed_or_is_of_another_release_is_refused(site: Storefront) -> None:
    program = _program(site)
    old = program.succeed("back-up").split()[-1]
    program.succeed("set", "currency", "CHF")
    snapshot = site.site / f"config/snapshots/{old}.json"
    said = snapshot.read_text()

    snapshot.write_text(said.replace("EUR", "USD"))
    assert f"{old} was changed" in program.refuse("plan", *REF, old)
    snapshot.write_text(said)
    program.succeed("plan", *REF, old)
    snapshot.write_text(said.replace("EUR", "USD"))
    assert f"{old} was changed" in program.refuse("restore", *REF)
    snapshot.write_text(said)
    assert json.loads(_live(site).read_text())["currency"] == "CHF"

    site.succeed("deploy", "1.5.0")
    assert "is of 1.4.2, live is 1.5.0" in program.refuse("restore", *REF)
    assert "no snapshot" in program.refuse("plan", "--ref", "RB-2026-11-28-0002", "0" * 64)
    for hostile in ("../../secrets", "-f", "PREVIOUS"):
        program.misuse("plan", *REF, hostile)


def test_a_configuration_that_cannot_be_read_is_found(site: Storefront) -> None:
    program = _program(site)
    assert "no configuration was live before" in program.refuse("plan", *REF, "previous")
    for broken, complaint in (
        ("{", "is not JSON"),
        ("[]", "no usable release"),
        ('{"release": "1.4.2"}', "store_name"),
    ):
        _live(site).write_text(broken)
        assert complaint in program.refuse("check")
    assert "has no plan" in program.refuse("restore", *REF)
