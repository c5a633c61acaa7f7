"""Root becomes an unprivileged account for good, also where that account may not enter.

`make test` runs pytest through the wrapper, so most of this is proved by the process these tests
run in. What needs root itself is skipped there; to run it, as root:
`.venv/bin/python -m pytest -c /dev/null --rootdir . --noconftest tests/core/embedded/test_unprivileged.py`
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from core.embedded import unprivileged
from core.embedded.unprivileged import CannotBecomeUnprivileged, choose_account, closed_doors

BASE_DIR = Path(__file__).resolve().parents[3]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")
needs_no_root = pytest.mark.skipif(os.geteuid() == 0, reason="asks what an account may enter")
needs_wrapper = pytest.mark.skipif(
    "FIREBREAK_WAS_ROOT" not in os.environ, reason="these tests were not started by root"
)


@pytest.fixture(autouse=True)
def _not_as_root() -> None:
    """Root is welcome in this module."""


@pytest.fixture
def closed() -> Iterator[Path]:
    """A 0700 folder of ours, as mkdtemp makes it."""
    folder = Path(tempfile.mkdtemp(prefix="fb-closed-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def _wrapped(
    var_dir: Path,
    code: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path = BASE_DIR,
    before: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    wrapper = [sys.executable, "-m", "core.embedded.unprivileged", "--var-dir", str(var_dir)]
    return subprocess.run(
        [*before, *wrapper, "--", sys.executable, "-c", code],
        cwd=cwd,
        env=os.environ | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- for everybody ------------------------------------------------------------------------------


@needs_no_root
def test_an_ordinary_user_just_runs_the_command(tmp_path: Path) -> None:
    ran = _wrapped(tmp_path / "var", "import os; print(os.getuid(), os.environ.get('HOME'))")
    assert ran.stdout.split() == [str(os.getuid()), os.environ["HOME"]]
    assert not (tmp_path / "var").exists()


@needs_no_root
@needs_wrapper
def test_the_code_was_compiled_before() -> None:
    spec = importlib.util.find_spec("incidents.states")
    assert spec is not None
    assert spec.cached is not None
    assert Path(spec.cached).exists()


def test_a_program_that_does_not_exist_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(CannotBecomeUnprivileged, match="/no/such: no such program"):
        unprivileged.run(["/no/such"])


@needs_no_root
def test_the_first_folder_that_may_not_be_entered_is_found(tmp_path: Path) -> None:
    me = unprivileged.Account("me", os.getuid(), os.getgid(), ())
    (tmp_path / "shut" / "inner").mkdir(parents=True)
    (tmp_path / "open").mkdir()
    (tmp_path / "shut").chmod(0o600)
    try:
        wanted = {tmp_path / "shut" / "inner", tmp_path / "open"}
        assert closed_doors(me, wanted) == {tmp_path / "shut"}
    finally:
        (tmp_path / "shut").chmod(0o700)


def test_firebreak_user_decides_and_may_not_be_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREBREAK_USER", "nobody")
    assert choose_account(tmp_path).uid == pwd.getpwnam("nobody").pw_uid
    for name in ("root", "no-such-account"):
        monkeypatch.setenv("FIREBREAK_USER", name)
        with pytest.raises(CannotBecomeUnprivileged, match="FIREBREAK_USER"):
            choose_account(tmp_path)


@needs_wrapper
def test_what_the_wrapper_started_is_nobody_special_for_good() -> None:
    assert 0 not in (*os.getresuid(), *os.getresgid(), *os.getgroups())
    with pytest.raises(PermissionError):
        os.setuid(0)
    assert Path(os.environ["HOME"]).stat().st_uid == os.getuid()


# --- for root -----------------------------------------------------------------------------------


@needs_root
def test_root_becomes_the_owner_of_var_dir(closed: Path) -> None:
    var_dir = closed / "var"
    var_dir.mkdir()
    os.chown(var_dir, 4321, 4321)  # an account that has no name
    ran = _wrapped(var_dir, "import os; print(os.getresuid(), os.getresgid(), os.getgroups())")
    assert ran.stdout == "(4321, 4321, 4321) (4321, 4321, 4321) [4321]\n", ran.stderr


@needs_root
def test_all_of_var_dir_is_handed_over_and_nothing_outside(closed: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    var_dir, outside = closed / "var", closed / "outside"
    (var_dir / "postgres").mkdir(parents=True)
    (var_dir / "secret_key").touch()
    outside.touch()
    (var_dir / "link").symlink_to(outside)
    (var_dir / "second-name").hardlink_to(outside)
    ran = _wrapped(var_dir, "import os; print(os.environ['HOME'])")
    assert ran.stdout == f"{var_dir}/home\n", ran.stderr
    for name in ("", "postgres", "secret_key", "home", "link"):
        assert (var_dir / name).lstat().st_uid == nobody
    assert outside.stat().st_uid == 0


@needs_root
def test_a_var_dir_with_strange_files_is_refused(closed: Path) -> None:
    (closed / "payroll.ods").touch()
    ran = _wrapped(closed, "print('ran')")
    assert ran.returncode == 1
    assert "files that are not Firebreak's" in ran.stderr
    assert ran.stdout == ""
    assert (closed / "payroll.ods").stat().st_uid == 0


@pytest.fixture
def checkout(closed: Path) -> Path:
    """A clone below a 0700 folder that the account may not enter, with a secret beside it."""
    (closed / "secret").write_text("root only")
    clone = closed / "firebreak"
    shutil.copytree(BASE_DIR / "core", clone / "core", ignore=shutil.ignore_patterns("__pycache__"))
    return clone


@needs_root
def test_a_clone_in_a_closed_folder_runs_and_sees_nothing_else_of_it(checkout: Path) -> None:
    closed = checkout.parent
    ran = _wrapped(
        checkout / "var",
        "import os, core.embedded as e, psycopg, sys;"
        f"print(os.getuid(), os.getcwd(), e.__file__, os.listdir({str(closed)!r}));"
        "open('var/written', 'w').write('yes')",
        cwd=checkout,
    )
    expected = f"{checkout} {checkout}/core/embedded/__init__.py ['firebreak']"
    assert ran.stdout == f"{pwd.getpwnam('nobody').pw_uid} {expected}\n", ran.stderr
    assert (checkout / "var" / "written").read_text() == "yes"
    assert closed.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in closed.iterdir()) == ["firebreak", "secret"]


@needs_root
def test_a_clone_that_is_the_closed_folder_itself_runs(checkout: Path) -> None:
    checkout.chmod(0o700)
    (checkout / "manage.py").write_text("print('managed')")
    ran = _wrapped(
        checkout / "var",
        "import core.embedded.stack; exec(open('manage.py').read())",
        cwd=checkout,
    )
    assert ran.stdout == "managed\n", ran.stderr
    assert checkout.stat().st_mode & 0o777 == 0o700


@needs_root
def test_files_that_only_root_may_read_are_named(checkout: Path) -> None:
    (checkout / "core" / "embedded" / "unprivileged.py").chmod(0o600)
    ran = _wrapped(checkout / "var", "print('ran')", cwd=checkout)
    assert ran.returncode == 1
    assert f"cannot enter {checkout}/core/embedded/unprivileged.py" in ran.stderr


@needs_root
def test_where_the_kernel_refuses_there_is_one_message_with_the_remedies(checkout: Path) -> None:
    limited = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    ran = _wrapped(checkout / "var", "print('ran')", cwd=checkout, before=limited)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    for word in ("nobody", str(checkout.parent), "/srv", "ordinary user", "FIREBREAK_USER"):
        assert word in ran.stderr
