"""The one guarded HTTP client: resolve once, judge the address, connect to exactly that address."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpcore2
import httpx2
from django.conf import settings
from httpcore2._backends.auto import AutoBackend

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Blocked(httpx2.TransportError):
    """The address is private or otherwise not allowed for outbound requests."""


class Unresolved(httpx2.ConnectError):
    """The name has no address, or nobody says which one."""


class TooLarge(httpx2.TransportError):
    """The answer is larger than was asked for."""


@dataclass(frozen=True)
class Answer:
    """What a server said: the status, the headers in lower case, the body (capped), and until when its
    certificate is valid (None without TLS)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    certificate_ends: dt.datetime | None = None


class Failure(StrEnum):
    """Why there was no answer."""

    BLOCKED = "blocked"  # by our own guard
    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    TLS = "tls"
    BROKEN = "broken"  # it began to answer, and not with HTTP, or with too much of it


POOL_SIZE = 10
RESOLVE_SECONDS = 3.0
# What `GuardedClient.request` raises where there is no answer.
NO_ANSWER = (httpx2.HTTPError, httpx2.InvalidURL, OSError)


def failure_of(error: BaseException) -> Failure:
    """Which of them an exception of NO_ANSWER is."""
    match error:
        case Blocked():
            return Failure.BLOCKED
        case Unresolved():
            return Failure.UNRESOLVED
        case httpx2.TimeoutException():
            return Failure.TIMED_OUT
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return Failure.TLS
        cause = cause.__cause__ or cause.__context__
    return Failure.UNREACHABLE if isinstance(error, httpx2.ConnectError | OSError) else Failure.BROKEN


def is_web_address(url: object) -> bool:
    """Whether it is an http or https address without credentials, of 2,000 characters at most."""
    if not isinstance(url, str) or len(url) > 2000:
        return False
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        web = parts.scheme in ("http", "https") and bool(parts.hostname)
        return web and "@" not in parts.netloc and parts.port != 0
    return False


def canonical(text: str) -> Address:
    """The address that packets would really go to, unwrapped from its IPv6 disguises."""
    address = ipaddress.ip_address(text.split("%", 1)[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address.sixtofour:
            return address.sixtofour
        if address.teredo:
            return address.teredo[1]
        if address in _NAT64:
            return ipaddress.ip_address(int(address) & 0xFFFFFFFF)
    return address


def is_allowed(text: str) -> bool:
    """Whether outbound requests may go to this address: public, or in OUTBOUND_ALLOWED_NETWORKS."""
    address = canonical(text)
    if any(address in ipaddress.ip_network(network) for network in settings.OUTBOUND_ALLOWED_NETWORKS):
        return True
    return address.is_global and not address.is_multicast


def asked_to_wait(retry_after: str) -> float | None:
    """The seconds that a `Retry-After` asks for; None without one. A date is not read: callers have waits."""
    readable = retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 8
    return float(retry_after) if readable else None


def what_is_wrong_with_address(url: object) -> str | None:
    """Why nothing may be sent there, for whoever enters it; whatever happens to its name, sending asks again.

    A name that nobody resolves now is not refused: it may be there tomorrow.
    """
    if not is_web_address(url):
        return "Must be an http or https address of at most 2,000 characters, without user and password."
    host = urlsplit(str(url)).hostname or ""
    try:
        found = anyio.run(_resolve, host)
    except (TimeoutError, OSError, UnicodeError):
        return None
    if not all(is_allowed(str(item[4][0])) for item in found):
        return "This address is private; OUTBOUND_ALLOWED_NETWORKS says which of those may be reached."
    return None


async def _resolve(host: str) -> list[Any]:
    with anyio.fail_after(RESOLVE_SECONDS):
        return list(await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM))


class _Stage:
    """How far a request has come: a name that is still being resolved is no slow answer."""

    resolving = False


_stage: ContextVar[_Stage] = ContextVar("stage")


class _GuardedBackend(AutoBackend):
    """Connects by address, after every address of the name was found to be allowed."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Any:
        # Before the request's own deadline: who is not found in time is not slow to answer.
        patience = RESOLVE_SECONDS if timeout is None else min(RESOLVE_SECONDS, timeout / 2)
        stage = _stage.get(_Stage())
        stage.resolving = True
        try:
            with anyio.fail_after(patience):
                found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise Unresolved(f"nobody resolved {host} within {patience:g} s") from error
        except OSError as error:
            raise Unresolved(f"cannot resolve {host}") from error
        stage.resolving = False
        addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
        if not addresses or not all(is_allowed(address) for address in addresses):
            raise Blocked(f"{host} has an address that is not allowed (see OUTBOUND_ALLOWED_NETWORKS)")
        failure: Exception | None = None
        for address in addresses[:4]:
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError(host)

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> Any:
        raise Blocked("Unix sockets are not allowed")


# What every request says unless it says otherwise.
_SAID = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "Firebreak"}


@functools.cache
def trusted(ca_file: str) -> ssl.SSLContext:
    """Which certificates are believed; read once a process, which takes longer than most requests."""
    context = httpx2.create_ssl_context(trust_env=False)
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class _Pool:
    """A few connections, and how many requests use them."""

    def __init__(self) -> None:
        self.transport = httpx2.AsyncHTTPTransport(
            verify=trusted(settings.OUTBOUND_CA_FILE),
            trust_env=False,
            limits=httpx2.Limits(max_connections=2 * POOL_SIZE, max_keepalive_connections=POOL_SIZE),
        )
        self.transport._pool._network_backend = _GuardedBackend()
        self.busy = 0


class GuardedClient:
    """An async client for checks and webhooks: no redirects, no proxies, a total deadline, a size cap.

    Use as `async with GuardedClient() as client: await client.request(...)`.
    """

    def __init__(self, *, connections: int = 100) -> None:
        self._most = max(1, connections // POOL_SIZE)
        self._pools: list[_Pool] = []

    async def __aenter__(self) -> GuardedClient:
        return self

    async def __aexit__(self, *_details: Any) -> None:
        for pool in self._pools:
            await pool.transport.aclose()

    def _least_busy(self) -> _Pool:
        """A pool looks through all its connections for every request: many small ones cost far less."""
        found = min(self._pools, key=lambda pool: pool.busy, default=None)
        if found is None or (found.busy >= POOL_SIZE and len(self._pools) < self._most):
            found = _Pool()
            self._pools.append(found)
        return found

    async def request(
        self,
        method: str,
        url: str,
        *,
        deadline_seconds: float,
        max_bytes: int = 1_000_000,
        cut: bool = False,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        connect_seconds: float | None = None,
    ) -> Answer:
        """One request; raises httpx2.TransportError (Blocked, TooLarge, timeouts) when there is no answer.

        With `cut` the body ends at `max_bytes` or a little later, and a longer one is no failure.
        """
        body = bytearray()
        started = time.monotonic()
        # Straight to the transport: nothing is wanted of a client's redirects, cookies and hooks.
        said = httpx2.Headers(_SAID)
        said.update(headers)
        request = httpx2.Request(
            method,
            url,
            headers=said,
            content=content,
            extensions={
                "timeout": httpx2.Timeout(
                    deadline_seconds, connect=connect_seconds or deadline_seconds
                ).as_dict()
            },
        )
        stage = _Stage()
        _stage.set(stage)
        pool = self._least_busy()
        pool.busy += 1
        try:
            with anyio.fail_after(deadline_seconds):
                response = await pool.transport.handle_async_request(request)
                try:
                    ends = _certificate_ends(response) if request.url.scheme == "https" else None
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > max_bytes:
                            if cut:
                                break
                            raise TooLarge(f"the answer is larger than {max_bytes} bytes")
                finally:
                    await response.aclose()
        except TimeoutError as error:
            waited = time.monotonic() - started
            if stage.resolving:  # a process that was held up comes to both deadlines at once
                raise Unresolved(f"nobody resolved {request.url.host} within {waited:.1f} s") from error
            raise httpx2.ReadTimeout(f"no whole answer within {waited:.1f} s") from error
        finally:
            pool.busy -= 1
        named = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, named, bytes(body), ends)


def fetch(method: str, url: str, **asked: Any) -> Answer:
    """One request by a client of its own, as `GuardedClient.request`; for a thread without an event loop."""

    async def go() -> Answer:
        async with GuardedClient() as client:
            return await client.request(method, url, **asked)

    return asyncio.run(go())


def _certificate_ends(response: httpx2.Response) -> dt.datetime | None:
    """Only while the answer is read: afterwards the connection may be another's."""
    stream = response.extensions.get("network_stream")
    secured = stream.get_extra_info("ssl_object") if stream is not None else None
    found = secured.getpeercert() if secured is not None else None
    if not found or "notAfter" not in found:
        return None
    return dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), dt.UTC)
