"""The pytest plugin gives tests servers of their own, and never those of an installation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

BASE_DIR = Path(__file__).resolve().parents[3]

INNER = """
import os
import psycopg
import redis

ROLES = {"DATABASE_URL": "firebreak_app", "DATABASE_OWNER_URL": "firebreak_owner"}

def test_servers():
    for name, role in ROLES.items():
        with psycopg.connect(os.environ[name]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (role,)
    assert redis.Redis.from_url(os.environ["REDIS_URL"]).ping()
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(os.environ["VAR_DIR"] + " " + os.environ["DATABASE_URL"] + "\\n")

def test_servers_again():
    test_servers()
"""


def _run_pytest(folder: Path, source: str, *options: str, env: Mapping[str, str] | None = None) -> list[str]:
    (folder / "test_inner.py").write_text(source)
    seen = folder / "seen"
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    outer.pop("DJANGO_SETTINGS_MODULE", None)
    plugins = ("-p", "tests.plugins.embedded_servers", "-p", "no:cacheprovider")
    where = ("-c", "/dev/null", "--rootdir", str(folder), str(folder))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, *where],
        cwd=BASE_DIR,
        env=outer | {"SEEN": str(seen)} | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return seen.read_text().splitlines()


@pytest.mark.parametrize("options", [(), ("-n", "2")])
@pytest.mark.faults
def test_a_session_has_its_own_servers_and_takes_them_away(tmp_path: Path, options: tuple[str, ...]) -> None:
    real = {"DATABASE_URL": "postgresql://db.example/prod", "REDIS_URL": "redis://cache.example"}
    first, second = _run_pytest(tmp_path, INNER, *options, env=real)
    assert first == second  # also in the workers of xdist
    var_dir, database_url = first.split()
    assert database_url == f"postgresql://firebreak_app@/firebreak?host={var_dir}/run"
    assert not Path(var_dir).exists()


@pytest.mark.faults
def test_a_broken_conftest_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import no_such_module")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(AssertionError, match="no_such_module"):
        _run_pytest(tmp_path, INNER, env={"TMPDIR": str(scratch)})
    assert list(scratch.iterdir()) == []


@pytest.mark.faults
def test_servers_named_for_tests_are_used_instead(tmp_path: Path) -> None:
    named = {"TEST_DATABASE_URL": "postgresql://ci/test", "TEST_REDIS_URL": "redis://ci/1"}
    source = """
import os

def test_environment():
    assert "DATABASE_OWNER_URL" not in os.environ
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(os.environ["DATABASE_URL"] + " " + os.environ["CELERY_BROKER_URL"])
"""
    real = {"DATABASE_OWNER_URL": "postgresql://owner@db.example/prod"}
    assert _run_pytest(tmp_path, source, env=named | real) == ["postgresql://ci/test redis://ci/1"]
