"""How much a request may hold, asked by everything that reads one."""

from __future__ import annotations

from django.conf import settings


def body_limit(path: str) -> int:
    """In bytes: BODY_LIMITS of the address, else DATA_UPLOAD_MAX_MEMORY_SIZE."""
    limit: int = settings.BODY_LIMITS.get(path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    return limit
