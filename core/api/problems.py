"""Refusals as RFC 9457 problem details, and their place in the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg.errors
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, IntegrityError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions

from core import problem
from core.api.parsers import BodyTooLarge
from core.api.versions import etag_of
from core.errors import Conflict, FirebreakError, Invalid, NotAllowed, NotFound
from core.versions import VersionChanged

_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)


class Busy(Conflict):
    """Others are changing the same thing at this moment; the same request may work a second later."""

    code = "busy"


def handle(exception: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """The framework's exception handler: None for what is our own fault, which stays a 500."""
    refusal = _as_refusal(exception)
    if isinstance(refusal, FirebreakError):
        answer = problem.answer(refusal.status, refusal.code, refusal.message, **_extras(refusal))
        if isinstance(refusal, VersionChanged):
            answer["ETag"] = etag_of(refusal.version)
        if refusal.retry_after is not None:
            answer["Retry-After"] = str(refusal.retry_after)
        return answer
    if isinstance(refusal, exceptions.ValidationError):
        errors = list(_flatten(refusal.detail))
        said = "; ".join(f"{error['pointer'] or 'body'}: {error['detail']}" for error in errors)
        return problem.answer(400, Invalid.code, said, errors=errors)
    if isinstance(refusal, exceptions.APIException):
        answer = problem.answer(refusal.status_code, _code_of(refusal), _text_of(refusal))
        for header, attribute in (("WWW-Authenticate", "auth_header"), ("Retry-After", "wait")):
            if value := getattr(refusal, attribute, None):
                answer[header] = str(value)
        return answer
    return None


def _as_refusal(exception: Exception) -> Exception:
    """Refusals of Django and of the database in our own words."""
    match exception:
        case Http404():
            return NotFound("Nothing is at this address.")
        case PermissionDenied():
            return NotAllowed("Not allowed.")
        case DjangoValidationError():
            return exceptions.ValidationError(
                exception.message_dict if hasattr(exception, "error_dict") else exception.messages
            )
        case RequestDataTooBig():
            return BodyTooLarge()
        case SuspiciousOperation():
            return exceptions.ParseError("The request is malformed.")
        case DataError():
            return exceptions.ParseError("A value is outside of what can be stored.")
        case IntegrityError() if isinstance(exception.__cause__, psycopg.errors.UniqueViolation):
            return Conflict("Somebody else was first: this exists already.")
        case OperationalError() if isinstance(exception.__cause__, _BUSY):
            return Busy("Others are changing this at the moment; try again.")
    return exception


def _extras(error: FirebreakError) -> dict[str, Any]:
    extras: dict[str, Any] = dict(error.more)
    if error.state is not None:
        extras["state"] = error.state
    if isinstance(error, Invalid):
        extras["errors"] = [{"pointer": f"/{name}", "detail": text} for name, text in error.fields.items()]
    return extras


def _flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    if isinstance(detail, dict):
        for name, item in detail.items():
            step = str(name).replace("~", "~0").replace("/", "~1")
            yield from _flatten(item, path if name == "non_field_errors" else f"{path}/{step}")
    elif isinstance(detail, list):
        nested = any(isinstance(item, dict | list) for item in detail)
        for index, item in enumerate(detail):
            yield from _flatten(item, f"{path}/{index}" if nested else path)
    else:
        yield {"pointer": path, "detail": str(detail)}


def _code_of(error: exceptions.APIException) -> str:
    codes = error.get_codes()
    return codes if isinstance(codes, str) else error.default_code


def _text_of(error: exceptions.APIException) -> str:
    return str(error.detail) if isinstance(error.detail, str) else str(error.default_detail)


_PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable; for programs."},
        "request_id": {"type": "string", "description": "Names this request in the logs; quote it."},
        "state": {"type": "string", "description": "The current state, where that is the reason."},
        "section": {"type": "string", "description": "Of a report: what somebody else wrote since."},
        "theirs": {"type": "string", "description": "What it says now."},
        "version": {"type": "integer", "description": "Its version now."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


_PROBLEM_CONTENT = {problem.CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_TEXT = {"schema": {"type": "string"}}
_RESPONSES = {
    "Problem": {"description": "Refused, and why.", "content": _PROBLEM_CONTENT},
    "VersionChanged": {
        "description": "It is no longer at the version of `If-Match`; `state` is where it is now.",
        "headers": {"ETag": _TEXT | {"description": "Its version now."}},
        "content": _PROBLEM_CONTENT,
    },
    "VersionRequired": {
        "description": "This installation takes no such change without `If-Match`.",
        "content": _PROBLEM_CONTENT,
    },
    "TooManyRequests": {
        "description": "More requests a minute than this token, account or address may send.",
        "headers": {
            "Retry-After": {
                "description": "Seconds to wait.",
                "required": True,
                "schema": {"type": "integer", "minimum": 1},
            }
        },
        "content": _PROBLEM_CONTENT,
    },
}


def describe_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Adds to every operation of the schema how it is refused."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
    components.setdefault("responses", {}).update(_RESPONSES)
    for operations in result["paths"].values():
        for method, operation in operations.items():
            operation["responses"] = _refusals(method, operation) | operation["responses"]
    return result


def _refusals(method: str, operation: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    takes = {parameter["name"] for parameter in operation.get("parameters", ())}
    refusals = {"4XX": "Problem", "429": "TooManyRequests"}
    if "If-Match" in takes:
        refusals["412"] = "VersionChanged"
        if method == "patch":
            refusals["428"] = "VersionRequired"
    found: dict[str, dict[str, Any]] = {
        status: {"$ref": f"#/components/responses/{name}"} for status, name in sorted(refusals.items())
    }
    if "If-None-Match" in takes:
        found["304"] = {"description": "It is at this version still.", "headers": {"ETag": _TEXT}}
    return found
