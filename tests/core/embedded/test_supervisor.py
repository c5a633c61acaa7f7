"""`make run` lets running steps finish, forces on demand, restarts crashes, leaves no process."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.embedded.child import Backoff
from core.embedded.console import Console
from core.embedded.supervisor import SAME_REQUEST_SECONDS, ProcfileInvalid, parse_procfile
from tests.core.embedded.conftest import Eventually, Program, is_running

Start = Callable[[str], Program]

# A worker like Celery's: its pool process does the step and would die of a signal to the group.
WORKER = """
    import os, signal, subprocess, sys, time
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    signal.signal(signal.SIGQUIT, lambda *_: sys.exit(1))
    step = subprocess.Popen([sys.executable, "-c", '''
    import pathlib, sys, time
    print("step runs")
    while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)
    print("step is complete")
    ''', {release!r}])
    detached = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                                start_new_session=True)
    try:
        while not stop: time.sleep(0.05)
        print("worker finishes its step")
        step.wait()
        print("worker ends")
    finally:
        step.kill()
        detached.kill()
        detached.wait()
"""
SUPERVISE = """
    import signal, sys, textwrap
    from core.embedded.child import Child
    from core.embedded.console import Console
    from core.embedded.supervisor import Supervisor
    def python(name, source, **more):
        return Child(name, [sys.executable, "-c", textwrap.dedent(source)], **more)
    idle = "import time; print('idle'); time.sleep(600)"
    children = [{children}]
    sys.exit(Supervisor(children, Console([child.name for child in children])).run())
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The step of WORKER ends when this file exists."""
    return tmp_path / "release"


def _with_busy_worker(program: Start, release: Path, grace: float = 300) -> Program:
    worker = WORKER.format(release=str(release)).replace("\n    ", "\n")
    how = f"grace_seconds={grace}, death_signal=signal.SIGQUIT"
    children = f"python('web', idle), python('worker', {worker!r}, {how})"
    return program(SUPERVISE.format(children=children))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_lets_the_running_step_finish_and_leaves_no_process(
    program: Start, release: Path, eventually: Eventually, stop: signal.Signals
) -> None:
    running = _with_busy_worker(program, release)
    eventually(lambda: "step runs" in running.output() and len(running.below()) == 4)
    running.signal(stop)
    eventually(lambda: "worker finishes its step" in running.output())
    assert len(running.below()) == 4
    release.touch()
    running.process.wait(60)
    told = running.output()
    assert told.index("step is complete") < told.index("worker ends")
    assert told.index("worker ended with 0") < told.index("web killed by SIGTERM")
    assert running.process.returncode == 0
    assert running.below() == []


def test_a_second_ctrl_c_ends_everything_now(program: Start, release: Path, eventually: Eventually) -> None:
    running = _with_busy_worker(program, release)
    eventually(lambda: "step runs" in running.output() and len(running.below()) == 4)
    running.signal(signal.SIGINT)
    eventually(lambda: "worker finishes its step" in running.output())
    time.sleep(SAME_REQUEST_SECONDS)
    running.signal(signal.SIGINT)
    running.process.wait(60)
    assert "step is complete" not in running.output()
    assert running.process.returncode == 1
    assert running.below() == []  # also the process that has a session of its own


def test_one_request_that_arrives_twice_and_a_lost_terminal_force_nothing(
    program: Start, release: Path, eventually: Eventually
) -> None:
    running = _with_busy_worker(program, release)
    eventually(lambda: "step runs" in running.output())
    running.signal(signal.SIGTERM)
    running.signal(signal.SIGINT)
    eventually(lambda: "worker finishes its step" in running.output())
    time.sleep(SAME_REQUEST_SECONDS)
    running.signal(signal.SIGHUP)
    eventually(lambda: "waiting for worker since" in running.output())
    release.touch()
    running.process.wait(60)
    assert "step is complete" in running.output()
    assert running.process.returncode == 0


def test_who_does_not_end_within_its_grace_is_killed_and_named(
    program: Start, release: Path, eventually: Eventually
) -> None:
    running = _with_busy_worker(program, release, grace=0.5)
    eventually(lambda: "step runs" in running.output())
    running.below()
    running.signal(signal.SIGTERM)
    running.process.wait(60)
    assert "worker did not end within 0.5 s" in running.output()
    assert "web killed by SIGTERM" in running.output()
    assert running.process.returncode == 1
    assert running.below() == []


def test_kill_9_of_the_supervisor_leaves_no_process(
    program: Start, release: Path, eventually: Eventually
) -> None:
    running = _with_busy_worker(program, release)
    eventually(lambda: "step runs" in running.output() and len(running.below()) == 4)
    below = running.below()
    running.signal(signal.SIGKILL)
    running.process.wait()
    eventually(lambda: not any(map(is_running, below)))


def test_a_crash_is_said_backed_off_and_its_leftovers_do_not_stay(
    program: Start, eventually: Eventually
) -> None:
    crash = (
        "import os, subprocess, sys; subprocess.Popen(['sleep', '600']);"
        " sys.stdout.write('no newline at the end'); sys.stdout.flush(); os._exit(3)"
    )
    children = f"python('web', {crash!r}), Child('gone', ['/no/such/program'])"
    running = program(SUPERVISE.format(children=children))
    eventually(lambda: "starting again in 2.0 s" in running.output())
    told = running.output()
    assert "web    | no newline at the end" in told
    assert "web ended with 3 after" in told
    assert told.index("again in 0.5 s") < told.index("again in 1.0 s") < told.index("in 2.0 s")
    assert "gone cannot start: [Errno 2]" in told
    assert [process.name() for process in running.below() if process.name() == "sleep"] == []


def test_a_dead_server_is_started_again(var_dir: Path, program: Start, eventually: Eventually) -> None:
    running = program(f"""
        import sys
        from pathlib import Path
        from core.embedded.console import Console
        from core.embedded.stack import open_stack
        from core.embedded.supervisor import Supervisor
        with open_stack(Path({str(var_dir)!r}), {{}}, durable=False) as stack:
            sys.exit(Supervisor([], Console([]), stack.servers).run())
    """)

    def servers() -> dict[str, int]:
        return {
            process.name(): process.pid
            for process in running.below()
            if process.ppid() == running.process.pid
        }

    eventually(lambda: (var_dir / "run" / "valkey.sock").exists() and len(servers()) == 2)
    before = servers()
    time.sleep(0.5)  # the supervisor has to be past the start of the stack
    for process in running.below():
        if process.pid in before.values():
            process.kill()
    eventually(lambda: len(servers()) == 2 and not set(before.values()) & set(servers().values()))
    running.signal(signal.SIGTERM)
    running.process.wait(60)
    assert "postgres died: starting it again" in running.output()
    assert "valkey died: starting it again" in running.output()
    assert running.process.returncode == 0
    assert running.below() == []


def test_delays_double_to_half_a_minute_and_begin_anew_after_a_healthy_run() -> None:
    backoff, now, delays = Backoff(), 1000.0, []
    for _ in range(8):
        delays.append(backoff.failed(now))
        assert not backoff.is_over(now + delays[-1] - 0.01)
        now += delays[-1] + 1
        assert backoff.is_over(now)
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.failed(now + 60) == 0.5


def test_lines_are_aligned_and_keep_strangers_from_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say = Console(["web", "worker"], sys.stdout)
    say("web", "GET /\x1b[2J\t200")
    say("worker", "ready")
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(" web    | GET /?[2J\t200")
    assert second.endswith(" worker | ready")
    Console(["web"], sys.stdout)("web", "as wide as what the system says")
    assert " web    | as wide" in capsys.readouterr().out


def test_a_procfile_becomes_argument_lists(tmp_path: Path) -> None:
    procfile = tmp_path / "Procfile"
    procfile.write_text(
        "# comment\n\nweb: python -m granian --port ${PORT} 'a b'\nworker: celery -A $APP worker\n"
    )
    assert parse_procfile(procfile, {"PORT": "8000", "APP": "my app"}) == {
        "web": [sys.executable, "-m", "granian", "--port", "8000", "a b"],
        "worker": ["celery", "-A", "my app", "worker"],
    }


@pytest.mark.parametrize("line", ["web", "web:", ": x", "web: $NOWHERE", "web: 'open", "a: b\na: c"])
def test_a_wrong_procfile_line_is_named(tmp_path: Path, line: str) -> None:
    procfile = tmp_path / "Procfile"
    procfile.write_text(line)
    with pytest.raises(ProcfileInvalid, match=r"Procfile:\d+: "):
        parse_procfile(procfile, {})
