"""Giving out a file that somebody else made, so that it is nothing but a file in the reader's browser."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

# Without an origin of its own (`sandbox`) and with no source allowed, nothing in it runs.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


def strangers_file(
    data: bytes, *, name: str, content_type: str, sha256: str, inline: bool = False
) -> HttpResponse:
    """The file as a download; `inline` lets a browser show it, which is for images alone.

    `content_type` is what Firebreak found in it. `Content-Digest` is its SHA-256 (RFC 9530).
    """
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    charset = "; charset=utf-8" if content_type.startswith("text/") else ""
    headers = {
        **HEADERS,
        "Content-Disposition": content_disposition_header(not inline, name) or "attachment",
        "Content-Digest": f"sha-256=:{digest}:",
    }
    return HttpResponse(data, content_type=content_type + charset, headers=headers)


def own_file(response: HttpResponseBase, *, name: str, content_type: str) -> HttpResponseBase:
    """A file that Firebreak wrote itself, of what people said: a download that no cache keeps."""
    response.headers["Content-Type"] = content_type
    for header, value in HEADERS.items():
        response.headers[header] = value
    response.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return response
