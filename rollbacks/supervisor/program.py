"""The supervisor of one command: a small program of its own, so that the command outlives its worker.

`python -I -S program.py RUN_DIR` reads `job.json` there and, exactly once for that folder, runs its
command. It uses the standard library alone and knows nothing of Firebreak. What it leaves in the folder:

    claim       made with O_EXCL before anything else: whoever has it runs the command, nobody else ever
    child.json  the command's pid and start ticks
    output      see Recording: the first and the last 256 KiB of what it said
    exit.json   how it ended, written whole or not at all

A file named `stop` in the folder asks it to end the command. The whole tree of the command ends with it,
children that made sessions of their own too: they come back to the supervisor, which is their subreaper.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

KEPT_BYTES = 262_144
POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0
DRAIN_SECONDS = 1.0
CANNOT_START = 127
PR_SET_CHILD_SUBREAPER = 36


def main(run_dir: Path) -> int:
    """Run the job of this folder unless somebody has; 0 when it was run, 1 when it was claimed before."""
    failpoint("supervisor.begun")
    if not _claim(run_dir):
        return 1
    failpoint("supervisor.claimed")
    job = json.loads((run_dir / "job.json").read_bytes())
    _adopt_orphans()
    with Recording(run_dir / "output") as recording:
        ending = _Command(job, run_dir, recording).run()
    ending["output_bytes"] = recording.total
    failpoint("supervisor.ended")
    write_whole(run_dir / "exit.json", ending)
    failpoint("supervisor.written")
    return 0


def _claim(run_dir: Path) -> bool:
    """Made durable before the command starts: a claim that a power cut undoes would allow a second run."""
    try:
        claim = os.open(run_dir / "claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    os.write(claim, json.dumps(identity(os.getpid())).encode())
    os.fsync(claim)
    os.close(claim)
    _sync_folder(run_dir)
    return True


def identity(pid: int) -> dict[str, Any]:
    """What tells this process from another that has its number later, also after a restart of the host."""
    return {"pid": pid, "start_ticks": start_ticks(pid), "boot": boot_id()}


def start_ticks(pid: int) -> int | None:
    """When the process began, in ticks since the host's start; None when there is none, or a dead one."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in ("Z", "X") else int(fields[19])


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def is_alive(who: dict[str, Any]) -> bool:
    """Whether the very process of this `identity` runs."""
    ticks = start_ticks(who["pid"])
    return ticks is not None and (who["start_ticks"], who["boot"]) == (ticks, boot_id())


def write_whole(path: Path, value: dict[str, Any]) -> None:
    """Write JSON so that the file is there whole or not at all, whatever happens meanwhile."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _adopt_orphans() -> None:
    """Whatever the command's tree leaves behind becomes our child instead of the host's."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Recording:
    """The file of an output of any length: how long it was, its first 256 KiB, a ring of its last ones.

    8 bytes of length (little endian), then KEPT_BYTES of the beginning, then KEPT_BYTES as a ring. The
    length is written after the bytes, so that a reader never counts bytes that are not there.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self.total = 0
        os.pwrite(self._file, bytes(8), 0)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def write(self, data: bytes) -> None:
        at = self.total
        head = data[: max(0, KEPT_BYTES - at)]
        if head:
            os.pwrite(self._file, head, 8 + at)
        rest, at = data[len(head) :], at + len(head)
        if len(rest) > KEPT_BYTES:  # only its end can stay
            rest, at = rest[-KEPT_BYTES:], at + len(rest) - KEPT_BYTES
        while rest:
            place = (at - KEPT_BYTES) % KEPT_BYTES
            piece = rest[: KEPT_BYTES - place]
            os.pwrite(self._file, piece, 8 + KEPT_BYTES + place)
            rest, at = rest[len(piece) :], at + len(piece)
        self.total += len(data)
        os.pwrite(self._file, self.total.to_bytes(8, "little"), 0)


class _Command:
    """The command of a job, from its start to the end of its last child."""

    def __init__(self, job: dict[str, Any], run_dir: Path, recording: Recording) -> None:
        self._job, self._run_dir, self._recording = job, run_dir, recording
        self._read_end = -1
        self._child = 0
        self._status: int | None = None

    def run(self) -> dict[str, Any]:
        self._read_end, write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        failpoint("supervisor.before_start")
        self._child = os.fork()
        if self._child == 0:
            self._become_the_command(write_end)
        os.close(write_end)
        write_whole(self._run_dir / "child.json", identity(self._child) | {"pid": self._child})
        failpoint("supervisor.started")
        ending = self._watch()
        survivors = _kill_descendants()
        self._drain(DRAIN_SECONDS)
        os.close(self._read_end)
        code = os.waitstatus_to_exitcode(self._status) if self._status is not None else None
        return {"ending": ending, "exit_code": code, "survivors": survivors}

    def _become_the_command(self, write_end: int) -> None:
        """In the child: nothing of the supervisor's but the three standard files reaches the command."""
        try:
            os.setsid()
            os.umask(0o077)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)  # ignored here, and that would be inherited
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(write_end, 1)
            os.dup2(write_end, 2)
            os.chdir(self._job["directory"])
            _limit(self._job["limits"])
            os.execve(self._job["program"], self._job["argv"], self._job["environment"])  # noqa: S606 - no shell is the point
        except OSError as error:
            os.write(2, f"cannot start {self._job['argv'][0]}: {error.strerror}\n".encode())
        finally:
            os._exit(CANNOT_START)

    def _watch(self) -> str:
        """Until the command ends or must be ended; says which."""
        deadline = time.monotonic() + self._job["timeout_seconds"]
        quiet_for = self._job.get("no_output_timeout_seconds")
        heard_at = time.monotonic()
        while True:
            if self._drain(POLL_SECONDS):
                heard_at = time.monotonic()
            if self._has_ended():
                return "exited"
            now = time.monotonic()
            if now >= deadline:
                return self._end("timed_out")
            if quiet_for is not None and now - heard_at >= quiet_for:
                return self._end("silent")
            if (self._run_dir / "stop").exists():
                return self._end("cancelled")

    def _has_ended(self) -> bool:
        while self._status is None:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self._child:
                self._status = status
        return self._status is not None

    def _end(self, ending: str) -> str:
        """TERM to the whole tree, ten seconds to obey; the KILL follows for whatever is left then."""
        for pid in descendants(os.getpid()):
            _signal(pid, signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < until and not self._has_ended():
            self._drain(POLL_SECONDS)
        if self._status is None:
            _signal(self._child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                self._status = os.waitpid(self._child, 0)[1]
        return ending

    def _drain(self, seconds: float) -> bool:
        """Take whatever comes for at most so long; whether anything came. Never waits for an end of file:
        a child that keeps the pipe open must not hold us up."""
        came, until = False, time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._read_end < 0 or not select.select([self._read_end], [], [], left)[0]:
                break
            data = os.read(self._read_end, 65_536)
            if not data:  # everybody has closed it: only the end of the process is left to wait for
                time.sleep(min(left, 0.02))
                break
            self._recording.write(data)
            came = True
        return came


def _limit(limits: dict[str, int | None]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NOFILE, limits.get("open_files"))
    _lower(resource.RLIMIT_AS, limits.get("memory_bytes"))
    _lower(resource.RLIMIT_FSIZE, limits.get("file_size_bytes"))
    # The kernel counts all of the account's: what is there already comes on top.
    processes = limits.get("processes")
    _lower(resource.RLIMIT_NPROC, None if processes is None else _threads_of(os.getuid()) + processes)


def _lower(which: int, value: int | None) -> None:
    if value is None:
        return
    hard = resource.getrlimit(which)[1]
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (most, most))


def _threads_of(uid: int) -> int:
    count = 0
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                fields = _stat(int(entry.name))
                count += int(fields[17]) if fields else 0
    return count


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on (the state): the second may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (OSError, ValueError):
        return None
    return text.rsplit(")", 1)[1].split()


def descendants(root: int) -> list[int]:
    """Every living process below `root`."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))) and fields[0] not in ("Z", "X"):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, open_ends = [], [root]
    while open_ends:
        below = children.get(open_ends.pop(), [])
        found += below
        open_ends += below
    return found


def _kill_descendants(seconds: float = 5.0) -> int:
    """End whatever is left of the tree; returns how many would not go.

    All are stopped before they are killed, so that none can make a new one between two looks.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        left = descendants(os.getpid())
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in left:
                _signal(pid, number)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not left:
            return 0
        time.sleep(0.02)
    return len(descendants(os.getpid()))


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def failpoint(name: str) -> None:
    """For the fault tests, a no-op unless switched on: die here as by kill -9.

    FIREBREAK_FAILPOINT is `name@path`: only whoever can create the path dies, so it happens once.
    """
    wanted, _, once = os.environ.get("FIREBREAK_FAILPOINT", "").partition("@")
    if wanted != name:
        return
    with contextlib.suppress(FileExistsError):
        os.close(os.open(once, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever stops the worker does not stop the command
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.exit(main(Path(sys.argv[1])))
