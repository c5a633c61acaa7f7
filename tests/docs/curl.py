"""The curl commands of a page, sent through the whole application by Django's test client."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import string
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

MORE = "…"
# What differs from run to run inside a text: times, days, ids of requests, digests, cursors.
_VOLATILE = re.compile(
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\d{4}-\d\d-\d\d(T[0-9:.]+Z)?|\b[0-9a-f]{64}\b|cursor=[^&\"]+"
)
_VOLATILE_NUMBERS = {"duration_seconds", "id", "next_update_due_at"}


@dataclass(frozen=True)
class Shown:
    """An answer as a page shows it."""

    status: int
    headers: dict[str, str]
    body: Any


def shown_answer(text: str) -> Shown:
    head, _, body = text.partition("\n\n")
    first, *headers = head.splitlines()
    pairs = (line.split(": ", 1) for line in headers)
    return Shown(int(first.split()[1]), dict(pairs), json.loads(body))


def send(client: Client, command: str, variables: dict[str, str]) -> Any:
    """Do what curl would do; an option that is not known here is an error."""
    words = shlex.split(string.Template(command.replace("\\\n", " ")).substitute(variables))
    assert words.pop(0) == "curl", command
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-i", action="store_true", required=True)
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    parser.add_argument("-F", dest="form", action="append", default=[])
    asked = parser.parse_args(words)
    headers = dict(header.split(": ", 1) for header in asked.headers)
    sent_type = headers.pop("Content-Type", "application/x-www-form-urlencoded" if asked.data else "")
    assert asked.url.startswith(variables["URL"]), asked.url
    if asked.form:
        asked.method, sent_type = "POST", MULTIPART_CONTENT
        asked.data = encode_multipart(BOUNDARY, dict(map(_part, asked.form)))
    return client.generic(
        asked.method or ("POST" if asked.data else "GET"),
        asked.url.removeprefix(variables["URL"]),
        asked.data or "",
        content_type=sent_type,
        headers={"Host": variables["URL"].partition("//")[2], **headers},
    )


def _part(given: str) -> tuple[str, Any]:
    """`name=value`, or `name=@file`, which holds a line of a log."""
    name, _, value = given.partition("=")
    if value.startswith("@"):
        return name, SimpleUploadedFile(value[1:], b"10:15 ERROR payment refused\r\n")
    return name, value


def differences(shown: Any, real: Any, place: str = "") -> list[str]:
    """Where a real answer is not like the shown one; a shown "…" stands for any number of others."""
    if isinstance(shown, dict) and isinstance(real, dict):
        wanted = {key for key in shown if key != MORE}
        found = [f"{place}/{key} is missing" for key in sorted(wanted - set(real))]
        if MORE not in shown:
            found += [f"{place}/{key} is not shown" for key in sorted(set(real) - wanted)]
        return found + [
            line
            for key in wanted & set(real)
            for line in differences(shown[key], real[key], f"{place}/{key}")
        ]
    if isinstance(shown, list) and isinstance(real, list):
        if len(real) < len(shown):
            return [f"{place} has only {len(real)} items"]
        pairs = zip(shown, real, strict=False)
        return [line for n, (a, b) in enumerate(pairs) for line in differences(a, b, f"{place}/{n}")]
    if type(shown) is not type(real):
        return [f"{place} is {real!r}, shown {shown!r}"]
    if isinstance(shown, str):
        same = _VOLATILE.sub("*", shown) == _VOLATILE.sub("*", real)
        return [] if same else [f"{place} is {real!r}, shown {shown!r}"]
    last = place.rpartition("/")[2]
    return [] if shown == real or last in _VOLATILE_NUMBERS else [f"{place} is {real!r}, shown {shown!r}"]
