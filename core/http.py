"""The one guarded HTTP client: resolve once, judge the address, connect to exactly that address."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import httpcore2
import httpx2
from django.conf import settings
from httpcore2._backends.auto import AutoBackend

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Blocked(httpx2.TransportError):
    """The address is private or otherwise not allowed for outbound requests."""


class TooLarge(httpx2.TransportError):
    """The answer is larger than was asked for."""


@dataclass(frozen=True)
class Answer:
    """What a server said: the status, the headers in lower case, the body (capped)."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
        try:
            with anyio.fail_after(timeout):
                found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"resolving {host} took too long") from error
        except OSError as error:
            raise httpcore2.ConnectError(f"cannot resolve {host}") from error
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


class GuardedClient:
    """An async client for checks and webhooks: no redirects, no proxies, a total deadline, a size cap.

    Use as `async with GuardedClient() as client: await client.request(...)`.
    """

    def __init__(self, *, connections: int = 100) -> None:
        transport = httpx2.AsyncHTTPTransport(
            trust_env=False,
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=20),
        )
        transport._pool._network_backend = _GuardedBackend()
        self._client = httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)

    async def __aenter__(self) -> GuardedClient:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._client.__aexit__(*details)

    async def request(
        self,
        method: str,
        url: str,
        *,
        deadline_seconds: float,
        max_bytes: int = 1_000_000,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """One request; raises httpx2.TransportError (Blocked, TooLarge, timeouts) when there is no answer."""
        body = bytearray()
        started = time.monotonic()
        try:
            with anyio.fail_after(deadline_seconds):
                async with self._client.stream(
                    method,
                    url,
                    headers=dict(headers or {}),
                    content=content,
                    timeout=deadline_seconds,
                ) as response:
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > max_bytes:
                            raise TooLarge(f"the answer is larger than {max_bytes} bytes")
        except TimeoutError as error:
            waited = time.monotonic() - started
            raise httpx2.ReadTimeout(f"no whole answer within {waited:.1f} s") from error
        return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))
