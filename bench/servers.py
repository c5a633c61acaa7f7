"""The processes under measurement: started with the Procfile's own command lines, ended at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.embedded.processes import die_with_parent, kill_session
from core.embedded.supervisor import parse_procfile

ROOT = Path(__file__).resolve().parents[1]
APPLICATION = "config.asgi:application"
CEILING = "bench.ceiling.asgi:application"
START_SECONDS = 90.0


@dataclass(frozen=True)
class Web:
    """A web process that answers on `port`; `started_in` seconds to its first answer."""

    port: int
    started_in: float
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class Memory:
    """What a process holds, in MiB: `pss` counts shared pages in part, `rss` whole."""

    name: str
    processes: int
    pss: float
    rss: float


@contextlib.contextmanager
def web(
    environment: Mapping[str, str], port: int, log: Path, application: str = APPLICATION
) -> Iterator[Web]:
    """Run the Procfile's web process, or the ceiling behind the same server with the same flags."""
    path = "/accounts/login/" if application == APPLICATION else "/api/v1/incidents/"
    own = {**environment, "HOST": "127.0.0.1", "PORT": str(port), "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    argv = [
        application if word == APPLICATION else word for word in parse_procfile(ROOT / "Procfile", own)["web"]
    ]
    with running(argv, own, log) as process:
        started_in = first_answer(port, path, process, log)
        yield Web(port, started_in, process)


@contextlib.contextmanager
def whole_stack(var_dir: Path, port: int, log: Path) -> Iterator[Web]:
    """`manage.py run` in a VAR_DIR of its own, with every process of the Procfile."""
    dropped = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL", "PUBLIC_URL")
    own = {name: value for name, value in os.environ.items() if name not in dropped}
    own |= {"VAR_DIR": str(var_dir), "PORT": str(port), "HOST": "127.0.0.1"}
    with running([sys.executable, "manage.py", "run"], own, log, grace=60) as process:
        yield Web(port, first_answer(port, "/accounts/login/", process, log), process)


@contextlib.contextmanager
def worker(name: str, environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process of the Procfile; it is still starting."""
    own = {**environment, "HOST": "127.0.0.1", "PORT": "0"}
    with running(parse_procfile(ROOT / "Procfile", own)[name], own, log) as process:
        yield process


@contextlib.contextmanager
def running(
    argv: list[str], environment: Mapping[str, str], log: Path, grace: float = 15
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, env=dict(environment), cwd=ROOT, stdout=output, stderr=output, start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            kill_session(process.pid)
            process.wait(grace)


def first_answer(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> float:
    began = time.perf_counter()
    while time.perf_counter() - began < START_SECONDS:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                if answer.status == 200:
                    return time.perf_counter() - began
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path} answers {error.code}:\n{log.read_text()[-2000:]}") from error
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"no answer in {START_SECONDS:.0f} s:\n{log.read_text()[-2000:]}")


def memory_of(name: str, pid: int) -> Memory:
    """A process and all below it."""
    main = psutil.Process(pid)
    pss = rss = count = 0
    for process in (main, *main.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            held = process.memory_full_info()
            pss, rss, count = pss + getattr(held, "pss", 0), rss + held.rss, count + 1
    return Memory(name, count, pss / 2**20, rss / 2**20)


def memory_by_process(supervisor: int) -> list[Memory]:
    """The processes of `manage.py run`, each with what it started, the supervisor itself last."""
    main = psutil.Process(supervisor)
    found = [memory_of(_name_of(child.cmdline()), child.pid) for child in main.children()]
    held = main.memory_full_info()
    return [*found, Memory("supervisor", 1, getattr(held, "pss", 0) / 2**20, held.rss / 2**20)]


def _name_of(words: list[str]) -> str:
    line = " ".join(words)
    for name in ("granian", "checks@", "comms@", "runner@", "celery.*beat", "watchdog", "postgres", "valkey"):
        if all(part in line for part in name.split(".*")):
            return {"granian": "web", "celery.*beat": "beat"}.get(name, name.rstrip("@"))
    return Path(words[0]).name if words else "?"


def manage(environment: Mapping[str, str], *words: str, typed: str = "") -> str:
    """Run a manage.py command, which reads `typed`; returns what it prints."""
    words = (sys.executable, "manage.py", *words)
    done = subprocess.run(
        words, env=dict(environment), cwd=ROOT, check=True, input=typed, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody has at this moment."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
