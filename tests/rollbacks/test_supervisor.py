"""The detached supervisor alone: once, whole, whatever the command does, and whoever dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollbacks import supervisor
from rollbacks.supervisor import Ended, Job, Life, program, recording

ENVIRONMENT = {
    "PATH": os.defpath,
    "FIREBREAK_ROLLBACK": "RB-TEST",
    "FIREBREAK_STEP": "change",
    "FIREBREAK_FENCE": "1",
}


def _job(code: str, **changes: Any) -> Job:
    job: dict[str, Any] = {
        "program": sys.executable,
        "argv": (sys.executable, "-c", f"import os, sys, time, subprocess, signal\n{code}"),
        "directory": "/",
        "environment": ENVIRONMENT,
        "timeout_seconds": 30.0,
        "no_output_timeout_seconds": None,
        "limits": {"processes": 64, "open_files": 256},
    }
    return Job(**(job | changes))


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    supervisor.prepare(folder)
    return folder


def _run(run_dir: Path, code: str, **changes: Any) -> Ended:
    supervisor.start(run_dir, _job(code, **changes))
    _until(lambda: supervisor.look(run_dir) is Life.ENDED)
    return supervisor.ended(run_dir)


def _until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def _said(run_dir: Path) -> str:
    return recording.tail(run_dir / "output")


def _is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_a_command_runs_once_however_many_supervisors_are_started(run_dir: Path, tmp_path: Path) -> None:
    job = _job(f"open({str(tmp_path / 'ledger')!r}, 'a').write('ran\\n'); time.sleep(0.5); print('done')")
    started = [supervisor.start(run_dir, job) for _ in range(10)]
    _until(lambda: supervisor.look(run_dir) is Life.ENDED)
    assert sorted(process.wait(30) for process in started) == [0] + [1] * 9
    supervisor.start(run_dir, job).wait(30)
    assert (tmp_path / "ledger").read_text() == "ran\n"
    assert supervisor.ended(run_dir) == Ended("exited", 0, 0, 5)


def test_the_command_gets_nothing_of_ours_but_what_it_is_told(run_dir: Path) -> None:
    code = (
        "print(sorted(set(os.environ) - {'LC_CTYPE'}), sys.stdin.read() == '', os.getsid(0) == os.getpid(),"
        " oct(os.umask(0)), sorted(os.listdir('/proc/self/fd'))[:4],"
        " signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    )
    _run(run_dir, code)
    assert _said(run_dir).strip() == f"{sorted(ENVIRONMENT)} True True 0o77 ['0', '1', '2', '3'] True"


def test_a_program_that_is_missing_says_so(run_dir: Path) -> None:
    ended = _run(run_dir, "", program="/no/such/program", argv=("/no/such/program",))
    assert (ended.ending, ended.exit_code) == ("exited", 127)
    assert "cannot start /no/such/program: No such file" in _said(run_dir)


def test_the_worker_may_die_the_command_goes_on(run_dir: Path, tmp_path: Path) -> None:
    """Started by a process that is killed at once: the supervisor and its command do not care."""
    starter = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from rollbacks import supervisor\n"
        "from tests.rollbacks.test_supervisor import _job; import os, signal, time\n"
        "supervisor.start(Path(sys.argv[2]), _job('time.sleep(1.5); print(42)'))\n"
        "while supervisor.look(Path(sys.argv[2])) is supervisor.Life.UNCLAIMED: time.sleep(0.02)\n"
        "os.killpg(0, signal.SIGKILL)"
    )
    root = str(Path(__file__).resolve().parents[2])
    died = subprocess.run(
        [sys.executable, "-c", starter, root, str(run_dir)], cwd=root, start_new_session=True, check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert supervisor.look(run_dir) is Life.RUNNING
    _until(lambda: supervisor.look(run_dir) is Life.ENDED)
    assert (supervisor.ended(run_dir).exit_code, _said(run_dir)) == (0, "42\n")


def test_when_the_supervisor_dies_nobody_pretends_to_know(run_dir: Path) -> None:
    child = (
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'], start_new_session=True)"
    )
    supervisor.start(run_dir, _job(f"{child}; print(p.pid, flush=True); time.sleep(99)"))
    _until(lambda: _said(run_dir).strip() != "")
    grandchild = int(_said(run_dir))
    who = supervisor._read(run_dir / "claim")
    assert who is not None
    os.kill(who["pid"], signal.SIGKILL)
    _until(lambda: supervisor.look(run_dir) is Life.LOST)
    assert not _is_gone(grandchild), "its command runs on, with a child in a session of its own"
    assert supervisor.end_leftovers(run_dir) == 2
    _until(lambda: _is_gone(grandchild))


def test_a_pid_that_is_another_process_now_is_not_taken_for_it(run_dir: Path) -> None:
    """After a restart of the host the recorded pid may be anybody's."""
    mine = program.identity(os.getpid())
    for theirs in (mine | {"start_ticks": 1}, mine | {"boot": "another boot"}):
        program.write_whole(run_dir / "claim", theirs)
        assert supervisor.look(run_dir) is Life.LOST
    program.write_whole(run_dir / "claim", mine)
    assert supervisor.look(run_dir) is Life.RUNNING


@pytest.mark.parametrize(
    ("changes", "ending"),
    [({"timeout_seconds": 1.0}, "timed_out"), ({"no_output_timeout_seconds": 1.0}, "silent")],
)
def test_one_that_hangs_is_ended_with_its_whole_tree(
    changes: dict[str, float], ending: str, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ignores TERM, and its child left its session: ten seconds to obey, then both are killed."""
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(99)"
    code = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n"
        "print(p.pid, flush=True); time.sleep(99)"
    )
    ended = _run(run_dir, code, **changes)
    assert (ended.ending, ended.exit_code, ended.survivors) == (ending, -signal.SIGKILL, 0)
    _until(lambda: _is_gone(int(_said(run_dir))))


def test_one_that_obeys_is_not_killed(run_dir: Path) -> None:
    code = "signal.signal(signal.SIGTERM, lambda *_: (print('tidied up', flush=True), sys.exit(3)))\nprint(1, flush=True)\ntime.sleep(99)"
    supervisor.start(run_dir, _job(code))
    _until(lambda: _said(run_dir) == "1\n")
    supervisor.ask_to_stop(run_dir)
    _until(lambda: supervisor.look(run_dir) is Life.ENDED)
    assert supervisor.ended(run_dir) == Ended("cancelled", 3, 0, 12)
    assert _said(run_dir) == "1\ntidied up\n"


def test_a_daemon_that_keeps_the_pipe_open_does_not_hold_us_up(run_dir: Path) -> None:
    """A double fork into a session of its own, with our pipe as its output; the command ends well."""
    code = (
        "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  print(os.getpid(), flush=True); time.sleep(99)\n os._exit(0)\n"
        "os.wait(); time.sleep(0.3)"
    )
    began = time.monotonic()
    ended = _run(run_dir, code)
    assert (ended.ending, ended.exit_code, ended.survivors) == ("exited", 0, 0)
    assert time.monotonic() - began < 30
    _until(lambda: _is_gone(int(_said(run_dir))))


@pytest.mark.skipif(os.getuid() == 0, reason="the kernel does not count root's processes")
def test_a_fork_bomb_stays_within_its_limit(run_dir: Path) -> None:
    code = "while True:\n try: os.fork()\n except OSError: time.sleep(0.05)"
    ended = _run(run_dir, code, timeout_seconds=3.0, limits={"processes": 30, "open_files": 64})
    assert (ended.ending, ended.survivors) == ("timed_out", 0)


def test_the_memory_and_the_files_of_a_command_are_limited(run_dir: Path) -> None:
    limits = {"memory_bytes": 300 * 2**20, "file_size_bytes": 2**20, "processes": 64}
    code = "try: bytearray(2**30)\nexcept MemoryError: print('no memory')\n"
    code += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\ntry: open('/tmp/big','wb').write(bytes(2**22))\nexcept OSError as e: print(e.strerror)\n"
    _run(run_dir, code, limits=limits)
    assert _said(run_dir) == "no memory\nFile too large\n"


def test_any_amount_of_output_is_drained_and_its_two_ends_are_kept(run_dir: Path) -> None:
    code = "w = sys.stdout.write\nw('first\\n')\nfor i in range(800): w('x' * 65535 + '\\n')\nw('last\\n')"
    ended = _run(run_dir, code)
    assert (ended.exit_code, ended.output_bytes) == (0, 6 + 800 * 65536 + 5)
    assert (run_dir / "output").stat().st_size <= 2 * program.KEPT_BYTES + 8
    assert recording.read(run_dir / "output").data.startswith(b"first\nxxx")
    assert _said(run_dir).endswith("\nlast\n")


@given(st.lists(st.binary(max_size=200_000), max_size=8), st.integers(0, 1_500_000))
def test_a_recording_keeps_the_first_and_the_last_256_kib(
    tmp_path_factory: Any, writes: list[bytes], after: int
) -> None:
    path = tmp_path_factory.mktemp("recording") / "output"
    with program.Recording(path) as written:
        for data in writes:
            written.write(data)
    whole, kept = b"".join(writes), program.KEPT_BYTES
    piece = recording.read(path, after)
    assert piece.total == len(whole)
    assert piece.data == whole[piece.start : piece.start + len(piece.data)]
    if after < len(whole):
        assert piece.data, "something is there from everywhere on"
        if after < kept or after >= len(whole) - kept:
            assert piece.start == after, "both ends are whole"
    tail = recording.read(path, max(0, len(whole) - 65_536))
    assert tail.data == whole[-65_536:]


def test_reading_while_it_is_written_never_shows_what_was_not_there(run_dir: Path) -> None:
    """Numbered lines: every piece that a reader gets is a stretch of the true output."""
    code = "for i in range(300000): sys.stdout.write('%09d\\n' % i)"
    supervisor.start(run_dir, _job(code))
    position = 0
    while supervisor.look(run_dir) is not Life.ENDED:
        piece = recording.read(run_dir / "output", position)
        skip = -piece.start % 10
        for offset in range(skip, len(piece.data) - 9, 5000 - 5000 % 10):
            assert int(piece.data[offset : offset + 9]) == (piece.start + offset) // 10
        position = piece.start + len(piece.data)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (
            b"\xff\x00\x1b[31mred\x1b[0m\x07",
            "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}red\N{REPLACEMENT CHARACTER}",
        ),
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        (b"\x1b]0;title\x07text", "text"),
        (b"PASSWORD=hunter22 and more", "PASSWORD=[hidden] and more"),
        (b'{"api_key": "abc123", "x": 1}', '{"api_key": "[hidden]", "x": 1}'),
        (b"Authorization: Bearer abcdef.ghi", "Authorization: [hidden] [hidden]"),
        (b"postgres://app:s3cret@db/x", "postgres://app:[hidden]@db/x"),
        (b"AKIAABCDEFGHIJKLMNOP", "AKIA[hidden]"),
        (b"ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_[hidden]"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nok", "[hidden]\nok"),
        (b"the secret of success is work", "the secret of success is work"),
    ],
)
def test_what_is_shown_is_clean_and_without_secrets(raw: bytes, shown: str) -> None:
    assert recording.clean(raw) == shown


def test_what_this_process_knows_as_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "correct horse battery")
    assert recording.clean(b"it said correct horse battery staple") == "it said [hidden] staple"


@pytest.mark.parametrize(
    "hostile",
    [b"-x" * 130_000, b"password" * 30_000, b"://" * 80_000, b"-----BEGIN PRIVATE KEY-----" * 9_000],
)
def test_no_output_makes_the_cleaning_slow(hostile: bytes) -> None:
    began = time.process_time()
    recording.clean(hostile)
    assert time.process_time() - began < 20, "linear, give or take: a quadratic pattern takes minutes"


def test_failpoints_are_off_unless_switched_on(run_dir: Path) -> None:
    with contextlib.suppress(KeyError):
        del os.environ["FIREBREAK_FAILPOINT"]
    program.failpoint("supervisor.claimed")
    assert _run(run_dir, "").exit_code == 0
