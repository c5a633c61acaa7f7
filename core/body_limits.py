"""How much a request may hold, asked by everything that reads one."""

from __future__ import annotations

import re

from django.conf import settings


def body_limit(path: str, content_type: str = "") -> int:
    """In bytes: of an upload its own, BODY_LIMITS of the address, else DATA_UPLOAD_MAX_MEMORY_SIZE."""
    limit: int = settings.BODY_LIMITS.get(path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    return max(limit, upload_limit(path, content_type))


def upload_limit(path: str, content_type: str) -> int:
    """What a form with files may hold at an address that takes files (UPLOADS); 0 for any other request."""
    if content_type.split(";")[0].strip().lower() != "multipart/form-data":
        return 0
    limits = (limit for pattern, limit in settings.UPLOADS if re.fullmatch(pattern, path))
    return next(limits, 0)
