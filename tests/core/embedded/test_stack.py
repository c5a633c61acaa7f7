"""One stack per VAR_DIR, whatever dies; the next start finds everything."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from core.embedded.stack import StackAlreadyRunning, open_stack, secret_key
from tests.core.embedded.conftest import Eventually, Program, is_running

RUN_STACK = """
    import time
    from pathlib import Path
    from core.embedded.stack import open_stack
    with open_stack(Path({var_dir!r}), environ={{}}) as stack:
        print("pids", *[server.pid for server in stack.servers])
        time.sleep(600)
"""

Start = Callable[[str], Program]


def _write(env: dict[str, str]) -> None:
    with psycopg.connect(env["DATABASE_OWNER_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    redis.Redis.from_url(env["REDIS_URL"]).set("kept", "42")


def _read(env: dict[str, str]) -> tuple[object, object]:
    with psycopg.connect(env["DATABASE_OWNER_URL"]) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    return row, redis.Redis.from_url(env["REDIS_URL"]).get("kept")


@pytest.mark.parametrize("victims", ["supervisor", "everything"])
def test_after_kill_9_nothing_is_left_running_and_nothing_is_lost(
    var_dir: Path, program: Start, eventually: Eventually, victims: str
) -> None:
    with open_stack(var_dir, {}) as stack:
        _write(stack.env)
    running = program(RUN_STACK.format(var_dir=str(var_dir)))
    eventually(lambda: "pids" in running.output())
    below = running.below()
    assert {process.name() for process in below} >= {"postgres", "valkey-server"}

    running.signal(signal.SIGKILL)
    if victims == "everything":
        for pid in running.output().split()[1:]:
            os.kill(int(pid), signal.SIGKILL)
    running.process.wait()
    with open_stack(var_dir, {}) as stack:  # at once, while the old servers are still dying
        assert _read(stack.env) == ((42,), b"42")
    eventually(lambda: not any(map(is_running, below)))


def test_a_second_start_is_refused_and_names_the_first(
    var_dir: Path, program: Start, eventually: Eventually
) -> None:
    running = program(RUN_STACK.format(var_dir=str(var_dir)))
    eventually(lambda: "pids" in running.output())
    expected = rf"already running in {var_dir} \(pid {running.process.pid}\)"
    with pytest.raises(StackAlreadyRunning, match=expected), open_stack(var_dir, {}):
        pass
    assert running.process.poll() is None


def test_servers_named_by_the_environment_are_not_started(var_dir: Path) -> None:
    given = {"DATABASE_URL": "postgresql://db.example/prod", "REDIS_URL": "unix:///r.sock?db=2"}
    with open_stack(var_dir, given) as stack:
        assert stack.servers == ()
        assert stack.env == given | {
            "CELERY_BROKER_URL": "redis+socket:///r.sock?virtual_host=2",
            "VAR_DIR": str(var_dir),
        }


def test_a_broker_of_the_users_own_is_kept(var_dir: Path) -> None:
    given = {"DATABASE_URL": "postgresql://db.example/prod", "CELERY_BROKER_URL": "amqp://mq"}
    with open_stack(var_dir, given) as stack:
        assert stack.servers == ()
        assert stack.env["CELERY_BROKER_URL"] == "amqp://mq"
        assert "REDIS_URL" not in stack.env


def test_all_who_come_first_get_the_same_secret(tmp_path: Path) -> None:
    var_dir = tmp_path / "var"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: secret_key(var_dir), range(64)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 50
    assert stat.S_IMODE((var_dir / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in var_dir.iterdir()] == ["secret_key"]
