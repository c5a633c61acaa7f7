"""Where a request comes from: one answer for limits, sign-ins and /metrics, whatever its headers claim."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN = "unknown"  # what has no address (a Unix socket) shares one allowance


def client_address(request: HttpRequest) -> Address | None:
    """The address as NUM_PROXIES trusted proxies saw it, else the direct peer's; None when it has none."""
    return forwarded_address(request) or _read(request.META.get("REMOTE_ADDR", ""))


def forwarded_address(request: HttpRequest) -> Address | None:
    """What the outermost of NUM_PROXIES trusted proxies wrote; None where too few of them wrote."""
    proxies: int = settings.NUM_PROXIES
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return _read(hops[-proxies]) if 0 < proxies <= len(hops) else None


def sender_of(request: HttpRequest) -> str:
    """Whom a limit counts: the address, of IPv6 the /64, which one host owns."""
    address = client_address(request)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or UNKNOWN)


def _read(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip().strip("[]").split("%", 1)[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
