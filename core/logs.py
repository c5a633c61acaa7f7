"""Log lines: one entry each, with what it is about, without secrets, and not to be forged.

Used by Django's LOGGING and by Granian's own (config/granian_logs.json), so it needs no settings.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
import uuid
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django_structlog.app_settings import app_settings
from django_structlog.middlewares import RequestMiddleware

Entry = MutableMapping[str, Any]

HEADER = "X-Request-ID"
_SANE_ID = re.compile(r"[A-Za-z0-9_.:-]{8,64}")
_REFERENCE = re.compile(r"(INC|RB)-\d{4}-\d{2}-\d{2}-\d{4,}")

_of_requests = logging.getLogger(RequestMiddleware.__module__)

# --- what may not be written ---------------------------------------------------------------------
HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(
    r"(?i)(pass(word|wd|phrase)?|secret|token|authorization|cookie|api_?key|credential|session_?id"
    r"|csrf|signature|routing_key|private)"
)
_HARMLESS_NAMES = frozenset({"token_id"})
_SECRETS_IN_TEXT = (
    (re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@", re.I), r"\g<keep>:" + HIDDEN + "@"),
    (re.compile(r"(?P<keep>\b(bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}", re.I), r"\g<keep>" + HIDDEN),
    (re.compile(r"(?P<keep>\bfb_[0-9a-f]{12}_)[A-Za-z0-9_-]{20,}"), r"\g<keep>" + HIDDEN),
    (
        re.compile(r"(?P<keep>/a/[0-9A-Za-z]+\.[0-9A-Za-z]+\.[0-9A-Za-z]+\.)[A-Za-z0-9_-]{8,}"),
        r"\g<keep>" + HIDDEN,
    ),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]{16,}"), "whsec_" + HIDDEN),
    (
        re.compile(
            r"(?P<keep>\b[\w-]*(?:password|passwd|passphrase|secret|token|api_?key|signature|sessionid"
            r"|authorization|cookie)[\"']?\s*[=:]\s*[\"']?)(?!\[hidden\])[^\s&\"',;}\]]+",
            re.I,
        ),
        r"\g<keep>" + HIDDEN,
    ),
    (re.compile(r"(?P<keep>[?&](code|state|key|sig)=)[^\s&\"']+", re.I), r"\g<keep>" + HIDDEN),
)


def hide_secrets(_logger: object, _method: str, entry: Entry) -> Entry:
    """Hide what is named like a secret, and what looks like one inside of texts."""
    for name in list(entry):
        entry[name] = without_secrets(entry[name], name)
    return entry


def without_secrets(value: Any, name: str = "") -> Any:
    """The value of this name, of whatever depth, with secrets hidden."""
    if _SECRET_NAME.search(name) and name not in _HARMLESS_NAMES and value is not None:
        return HIDDEN
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {str(key): without_secrets(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return value


def clean(text: str) -> str:
    """The text without passwords in addresses, bearer tokens, cookies and the like."""
    for pattern, replacement in _SECRETS_IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


# --- what a line looks like ----------------------------------------------------------------------
# Everything that could begin another line or command a terminal, also in Unicode.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def as_json(_logger: object, _method: str, entry: Entry) -> str:
    """One JSON object on one line: `time`, `level`, `event` first."""
    first = {name: entry.pop(name) for name in ("time", "level", "event") if name in entry}
    return json.dumps({**first, **dict(sorted(entry.items()))}, default=str, ensure_ascii=True)


def as_line(_logger: object, _method: str, entry: Entry) -> str:
    """For people: `LEVEL logger: event key=value`; a traceback below it, indented."""
    entry.pop("time", None)
    level, logger, event = (str(entry.pop(name, "")) for name in ("level", "logger", "event"))
    trace = str(entry.pop("exception", "") or entry.pop("stack", ""))
    about = "".join(f" {name}={_plain(value)}" for name, value in sorted(entry.items()) if value is not None)
    line = _CONTROL.sub(_escaped, f"{level.upper()} {logger}: {event}{about}")
    below = "".join(f"\n    | {_CONTROL.sub(_escaped, row)}" for row in trace.splitlines())
    return line + below


def _plain(value: Any) -> str:
    text = value.replace('"', "'") if isinstance(value, str) else json.dumps(value, default=str)
    return f'"{text}"' if set(text) & set(' "=') else text


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


# --- putting it together -------------------------------------------------------------------------
SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.StackInfoRenderer(),
    # Plain: the rich kind prints local variables, among them passwords.
    structlog.processors.format_exc_info,
]


def formatter() -> logging.Formatter:
    """The formatter of every handler: LOG_FORMAT is json, or line (the default)."""
    render = as_json if os.environ.get("LOG_FORMAT", "line") == "json" else as_line
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, hide_secrets, render],
    )


def configure() -> None:
    """Send structlog's own loggers the same way as the standard ones."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def id_from(header: str) -> str:
    """The id that a proxy gave a request when it is one, else a new one."""
    return header if _SANE_ID.fullmatch(header) else str(uuid.uuid4())


def request_id() -> str:
    """The id of the request or task under way, which a person can quote; "" outside of one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def subject(kwargs: Mapping[str, Any]) -> dict[str, str]:
    """What an address of these arguments is about: the reference of an incident or a rollback."""
    found = _REFERENCE.fullmatch(str(kwargs.get("ref", "")))
    return {} if found is None else {"incident" if found[1] == "INC" else "rollback": found[0]}


def say_answered(request: str, code: int, seconds: float, **about: object) -> None:
    """The line of a request that was answered before it came to RequestLogMiddleware, in the same form."""
    level = app_settings.STATUS_2XX_LOG_LEVEL
    if _of_requests.isEnabledFor(level):
        said = {"code": code, "request": request, "seconds": round(seconds, 4), **about}
        structlog.get_logger(_of_requests.name).log(level, "request_finished", **said)


about = structlog.contextvars.bound_contextvars
"""`with about(rollback=ref):` every line written inside says what it is about."""


class RequestLogMiddleware(RequestMiddleware):
    """A line per request, with an id that the answer carries too.

    The id of a proxy is taken over when it is one; anything else is replaced, not escaped.
    """

    def prepare(self, request: HttpRequest) -> None:
        request.META["HTTP_X_REQUEST_ID"] = id_from(request.META.get("HTTP_X_REQUEST_ID", ""))
        super().prepare(request)
        request.firebreak_began = time.perf_counter()  # type: ignore[attr-defined]

    def process_view(self, request: HttpRequest, _view: Any, _args: Any, kwargs: Mapping[str, Any]) -> None:
        structlog.contextvars.bind_contextvars(**subject(kwargs))

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        response[HEADER] = request_id()
        took = time.perf_counter() - request.firebreak_began  # type: ignore[attr-defined]
        structlog.contextvars.bind_contextvars(seconds=round(took, 4))
        super().handle_response(request, response)
