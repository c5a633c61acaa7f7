"""The manual frontend rollback with real git and npm, and everything it must not touch."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import fencing
from demo.procedures.program import commit
from tests.demo.programs import ROLLBACK, Program

pytestmark = pytest.mark.faults  # `make test` runs this program in the story and in the procedures

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@dataclass
class Workshop:
    """A source of two commits, and the program on a folder of its own, with the source cloned."""

    home: Path
    source: Path
    good: str
    bad: str
    program: Program

    def roll_back_to(self, commit: str) -> None:
        self.program.succeed("roll-back", "--ref", ROLLBACK, commit)
        self.program.succeed("install", commit)
        self.program.succeed("build", commit)
        self.program.succeed("deploy", commit)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    home, source = tmp_path / "frontend", tmp_path / "source"
    program = Program("frontend", "--home", home)
    good, bad = program.succeed("make-source", "--at", source).split()
    program.succeed("prepare", "--source", source)
    return Workshop(home, source, good, bad, program)


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@needs_npm
def test_the_commit_is_checked_out_built_deployed_and_read_back(workshop: Workshop) -> None:
    program, good, bad = workshop.program, workshop.good, workshop.bad
    workshop.roll_back_to(bad)
    assert "<h1>undefined</h1>" in (workshop.home / "current/index.html").read_text()
    for what in ("checkout", "packages", "build", "deployment"):
        program.succeed("read-back", what, bad)
        program.refuse("read-back", what, good)

    assert "The shop's page" in program.succeed("verify-target", good)
    workshop.roll_back_to(good)

    page = (workshop.home / "current/index.html").read_text()
    assert "<h1>Larch & Linen</h1>" in page and good in page
    assert "200" in program.succeed("smoke-test", good)
    assert f"was built of {good}" in program.refuse("smoke-test", bad)
    for what in ("checkout", "packages", "build", "deployment"):
        program.succeed("read-back", what, good)
    assert _git(workshop.home / "clone", "branch", "--show-current") == f"rollback-{ROLLBACK}"
    assert (workshop.home / "previous").resolve().name == bad

    workshop.roll_back_to(good)  # every verb may be run again
    assert (workshop.home / "previous").resolve().name == bad
    program.succeed("undo-deploy", good)
    program.succeed("read-back", "deployment", bad)
    program.succeed("undo-deploy", good)


@needs_npm
def test_a_damaged_build_is_neither_deployed_nor_taken_for_well(workshop: Workshop) -> None:
    program, good = workshop.program, workshop.good
    workshop.roll_back_to(good)
    (workshop.home / "releases" / good / "index.html").write_text("defaced")
    assert "index.html was changed" in program.refuse("deploy", good)
    assert "index.html was changed" in program.refuse("read-back", "deployment", good)


@needs_npm
def test_packages_that_differ_from_the_lock_file_and_a_failing_build_change_nothing(
    workshop: Workshop,
) -> None:
    program, source = workshop.program, workshop.source
    workshop.roll_back_to(workshop.good)
    package = json.loads((source / "package.json").read_text())
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.test")

    (source / "package.json").write_text(json.dumps({**package, "dependencies": {"left-pad": "1.3.0"}}))
    _git(source, *identity, "commit", "-qam", "a dependency that is not locked")
    unlocked = _git(source, "rev-parse", "HEAD")
    (source / "package.json").write_text(json.dumps({**package, "scripts": {"build": "node nowhere.mjs"}}))
    _git(source, *identity, "commit", "-qam", "a build that fails")
    broken = _git(source, "rev-parse", "HEAD")
    program.succeed("prepare", "--source", source)

    program.succeed("roll-back", "--ref", ROLLBACK, unlocked)
    assert "npm ended with" in program.refuse("install", unlocked)
    program.refuse("read-back", "packages", unlocked)
    program.succeed("roll-back", "--ref", ROLLBACK, broken)
    program.succeed("install", broken)
    assert "npm ended with" in program.refuse("build", broken)
    assert "is not built" in program.refuse("deploy", broken)
    program.succeed("read-back", "deployment", workshop.good)


@pytest.mark.parametrize(
    "hostile", ["main", "HEAD", "a" * 39, "A" * 40, "../../etc", "a" * 40 + "\n", "-f", ""]
)
def test_only_a_whole_commit_is_a_target(hostile: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not the 40 hexadecimal digits"):
        commit(hostile)


@pytest.mark.parametrize("option", ["--upload-pack=touch /tmp/x", "-f", "--exec=true"])
def test_an_option_is_no_target_and_no_source(workshop: Workshop, option: str) -> None:
    workshop.program.misuse("verify-target", option)
    workshop.program.misuse("roll-back", "--ref", ROLLBACK, option)
    other = Program("frontend", "--home", workshop.home.with_name("other"))
    assert "no absolute path" in other.refuse("prepare", f"--source={option}")
    assert "no absolute path" in other.refuse("prepare", "--source", "ext::sh -c true")


def test_a_commit_of_no_branch_is_no_target(workshop: Workshop) -> None:
    clone = workshop.home / "clone"
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.test")
    tree = _git(clone, "rev-parse", f"{workshop.good}^{{tree}}")
    planted = _git(clone, *identity, "commit-tree", "-m", "planted", tree)
    assert "belongs to no branch or tag" in workshop.program.refuse("verify-target", planted)
    assert "no such commit" in workshop.program.refuse("verify-target", "0" * 40)


def test_a_checkout_of_somebody_else_is_never_reset(workshop: Workshop, tmp_path: Path) -> None:
    """Neither a clone without the mark, nor a link to one, nor a copy of ours elsewhere."""
    theirs = tmp_path / "theirs"
    _git(tmp_path, "clone", "-q", str(workshop.source), str(theirs))
    (theirs / "src/index.html").write_text("unsaved work")
    own = workshop.home / "clone"

    for number, place in enumerate((theirs, own)):
        home = tmp_path / f"home{number}"
        home.mkdir()
        (home / "clone").symlink_to(place)
        stranger = Program("frontend", "--home", home)
        for words in (
            ("prepare", "--source", workshop.source),
            ("roll-back", "--ref", ROLLBACK, workshop.good),
        ):
            assert "nothing is done there" in stranger.refuse(*words)
    for number, place in enumerate((theirs, own)):
        home = tmp_path / f"copy{number}"
        shutil.copytree(place, home / "clone", symlinks=True)
        stranger = Program("frontend", "--home", home)
        assert "nothing is done there" in stranger.refuse("roll-back", "--ref", ROLLBACK, workshop.good)
    assert (theirs / "src/index.html").read_text() == "unsaved work"
    assert _git(theirs, "branch", "--show-current") == "main"


def test_a_clone_of_another_source_is_not_taken_over(workshop: Workshop, tmp_path: Path) -> None:
    other = tmp_path / "other-source"
    shutil.copytree(workshop.source, other)
    assert f"is of {workshop.source}, not of {other}" in workshop.program.refuse("prepare", "--source", other)


def test_hooks_of_the_source_never_run_and_a_lock_of_a_killed_git_does_not_stand_in_the_way(
    workshop: Workshop, tmp_path: Path
) -> None:
    hook = workshop.home / "clone/.git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    (workshop.home / "clone/.git/index.lock").touch()
    workshop.program.succeed("roll-back", "--ref", ROLLBACK, workshop.good)
    assert not (tmp_path / "hooked").exists()


def test_a_worker_that_was_replaced_changes_nothing_any_more(workshop: Workshop) -> None:
    program, words = workshop.program, ("roll-back", "--ref", ROLLBACK, workshop.good)
    program.environment["FIREBREAK_FENCE"] = "3"
    program.succeed(*words)
    program.environment["FIREBREAK_FENCE"] = "2"
    assert f"fence 2 of {ROLLBACK} is behind 3" in program.refuse(*words)
    program.succeed("read-back", "checkout", workshop.good)  # looking is free
    program.environment |= {"FIREBREAK_ROLLBACK": "RB-2026-11-28-0002", "FIREBREAK_FENCE": "1"}
    program.succeed(*words)
    program.environment |= {"FIREBREAK_ROLLBACK": ROLLBACK, "FIREBREAK_FENCE": "9"}
    assert "is behind" in program.refuse(*words)
    program.environment |= {"FIREBREAK_FENCE": "nine"}
    assert "no rollback's" in program.refuse(*words)
    for name in ("FIREBREAK_ROLLBACK", "FIREBREAK_FENCE"):
        del program.environment[name]
    program.succeed(*words)  # a person at the shell


def test_two_changes_of_one_target_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fencing, "WAIT_SECONDS", 0.3)
    with fencing.sole_change(tmp_path), pytest.raises(fencing.TargetBusy), fencing.sole_change(tmp_path):
        pass
    with fencing.sole_change(tmp_path):
        pass
