"""The guard around libraries that open sockets of their own: where they may connect to, and for how long.

`core.http` asks before it connects. Libraries for Slack, mail and the like do not, so that here the
interpreter is asked instead: its audit events say of every look-up and every connection, from whatever
library, before it happens. Only the thread inside `guarded` is looked at. The address that a socket is
about to connect to is the one that is judged, so that a name that changes its mind gains nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Collection, Iterator
from typing import Any

from core.http import is_allowed

Host = tuple[str, int]

CONNECT_SECONDS = 3.0
RESOLVE_SECONDS = 3.0
# What starts a program or forks, which no channel has a reason for.
_PROGRAMS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.startfile"}
)


class Refused(OSError):
    """The guard did not let a library do this."""


class Guard:
    """What one thread may do. `refused` is what it was not let do, `is_over` that its time was up."""

    def __init__(self, *, deadline_seconds: float, hosts: Collection[Host] | None, trusted: bool) -> None:
        self.refused = ""
        self.is_over = False
        self._hosts = None if hosts is None else {(host.lower(), port) for host, port in hosts}
        self._trusted = trusted
        self._looked_up = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timers: list[threading.Timer] = []
        self._deadline_seconds = deadline_seconds
        self._later(deadline_seconds, self._end)

    def why(self, error: BaseException) -> str:
        """In words why a library failed; never its own words, which may quote an address with a secret."""
        if self.refused:
            return self.refused
        if self.is_over:
            return f"no whole answer within {self._deadline_seconds:g} s"
        cause = getattr(error, "reason", None)  # as urllib wraps it
        cause = cause if isinstance(cause, OSError) else error
        said = cause.strerror if isinstance(cause, OSError) else None
        return f"{type(cause).__name__}: {said}" if said else type(cause).__name__

    def close(self) -> None:
        """Nothing is watched any more."""
        with self._lock:
            for timer in self._timers:
                timer.cancel()
            for watched in self._sockets:
                watched.close()
            self._sockets.clear()

    # --- what the interpreter is about to do ------------------------------------------------------------

    def look_up(self, host: Any, port: Any) -> None:
        """Before a name is resolved: only those that are meant, and not for long."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        number = int(port) if str(port or "").isdecimal() else port
        if self._hosts is not None and (name.lower(), number) not in self._hosts:
            self._refuse(f"{name} is not the host that is meant")
        self._looked_up = True
        # Nothing can interrupt a resolver that hangs: it is asked in another thread first.
        asked = threading.Thread(target=_resolve, args=(host, port), daemon=True)
        asked.start()
        asked.join(RESOLVE_SECONDS)
        if asked.is_alive():
            self._refuse(f"nobody resolved {name} within {RESOLVE_SECONDS:g} s")

    def connect(self, sock: socket.socket, address: Any) -> None:
        """Before a socket connects."""
        if self.is_over:
            raise Refused("the time is up")
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            self._refuse("only TCP is allowed")
        host, port = str(address[0]), address[1]
        try:
            ipaddress.ip_address(host.split("%", 1)[0])
        except ValueError:  # whoever resolves it behind our back may find something else
            self._refuse(f"{host[:100]} is a name, not an address")
        if self._hosts is not None and not (
            self._looked_up and port in {port for _host, port in self._hosts}
        ):
            self._refuse("this is not the host that is meant")
        if not self._trusted and not is_allowed(host):
            self._refuse("its address is not allowed (see OUTBOUND_ALLOWED_NETWORKS)")
        self._watch(sock)

    def start_program(self) -> None:
        self._refuse("no program may be started")

    def _refuse(self, why: str) -> None:
        self.refused = why
        raise Refused(why)

    # --- time -------------------------------------------------------------------------------------------

    def _watch(self, sock: socket.socket) -> None:
        """Keep a handle on the connection, whatever the library wraps around the socket."""
        watched = socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
        with self._lock:
            self._sockets.append(watched)
        self._later(CONNECT_SECONDS, self._end_unless_connected, watched)

    def _later(self, seconds: float, work: Any, *args: Any) -> None:
        timer = threading.Timer(seconds, work, args)
        timer.daemon = True
        with self._lock:
            self._timers.append(timer)
        timer.start()

    def _end(self) -> None:
        """The time is up: whoever reads or writes finds the connection closed."""
        with self._lock:
            self.is_over = True
            for watched in self._sockets:
                _shut(watched)

    def _end_unless_connected(self, watched: socket.socket) -> None:
        with self._lock:
            if watched in self._sockets:
                try:
                    watched.getpeername()
                except OSError:
                    self.refused = self.refused or f"no connection within {CONNECT_SECONDS:g} s"
                    _shut(watched)


class _Here(threading.local):
    guard: Guard | None = None


_here = _Here()
_installing = threading.Lock()
_installed = False


@contextlib.contextmanager
def guarded(
    *, deadline_seconds: float, hosts: Collection[Host] | None = None, trusted: bool = False
) -> Iterator[Guard]:
    """Inside, this thread's sockets connect to allowed addresses only, and are cut off at the deadline.

    `hosts` are the only ones meant (name and port). They are `trusted` where whoever runs this process
    has named them: then a private address is as good as any. No program is started inside.
    """
    _install()
    assert _here.guard is None, "one guard at a time"
    guard = Guard(deadline_seconds=deadline_seconds, hosts=hosts, trusted=trusted)
    _here.guard = guard
    try:
        yield guard
    finally:
        _here.guard = None
        guard.close()


def _install() -> None:
    """Once a process, and only in one that needs it: an audit hook cannot be taken away again."""
    global _installed
    with _installing:
        if not _installed:
            sys.addaudithook(_audit)
            _installed = True


def _audit(event: str, args: tuple[Any, ...], here: _Here = _here) -> None:
    guard = here.guard
    if guard is None:
        return
    if event == "socket.connect":
        guard.connect(args[0], args[1])
    elif event == "socket.getaddrinfo":
        guard.look_up(args[0], args[1])
    elif event in ("socket.sendto", "socket.sendmsg"):
        if args[1] is not None:  # a datagram; what is sent over a connection names no address
            guard.connect(args[0], args[1])
    elif event in _PROGRAMS:
        guard.start_program()


def _resolve(host: Any, port: Any) -> None:
    with contextlib.suppress(OSError, UnicodeError):
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _shut(watched: socket.socket) -> None:
    with contextlib.suppress(OSError):
        watched.shutdown(socket.SHUT_RDWR)
