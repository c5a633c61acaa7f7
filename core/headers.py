"""Headers that every answer carries, whoever gives it: Django, the live stream or the gate before both."""

from __future__ import annotations

from collections.abc import Mapping

# No page uses any of these; nothing that gets into one may either.
_UNUSED_FEATURES = (
    "accelerometer", "autoplay", "camera", "display-capture", "fullscreen", "geolocation", "gyroscope",
    "magnetometer", "microphone", "midi", "payment", "usb", "screen-wake-lock", "xr-spatial-tracking",
)  # fmt: skip
PERMISSIONS_POLICY = ", ".join(f"{feature}=()" for feature in _UNUSED_FEATURES)

# What answers of Django have from its own and django-csp's middleware, for those that never reach them.
BARE: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": PERMISSIONS_POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


def bare_headers(*, hsts_seconds: int) -> list[tuple[bytes, bytes]]:
    """BARE in the form of ASGI, with Strict-Transport-Security where the installation is behind TLS."""
    found = dict(BARE)
    if hsts_seconds:
        found["strict-transport-security"] = f"max-age={hsts_seconds}; includeSubDomains; preload"
    return [(name.encode(), value.encode()) for name, value in found.items()]
