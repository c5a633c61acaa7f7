"""Reading request bodies: JSON in UTF-8, small enough, and nothing that cannot be stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser, MultiPartParser

from core.body_limits import body_limit
from core.strict_json import NotStrictJson, loads, parse


class BodyTooLarge(APIException):
    """More than DATA_UPLOAD_MAX_MEMORY_SIZE."""

    status_code = 413
    default_code = "too_large"

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(f"A request holds at most {limit or settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.")


class StrictJSONParser(BaseParser):
    """UTF-8 JSON of at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes; see core.strict_json."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        _require_utf_8(media_type or "")
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body: bytes = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge
        try:
            return loads(body.decode())
        except NotStrictJson as error:
            if error.path is None:
                raise ParseError(error.said) from error
            raise ValidationError(_at(error.path, error.said)) from error
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8.") from error


class Sent(dict[str, Any]):
    """A JSON object with the text that it was."""

    text: str = ""


class SentJSONParser(BaseParser):
    """A JSON object of a sender whose content is cleaned later: only the syntax is checked.

    The limit is the address's own (BODY_LIMITS), and a byte order mark is no reason to lose an alert.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Sent:
        _require_utf_8(media_type or "")
        limit = body_limit((parser_context or {})["request"].path)
        body: bytes = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(limit)
        try:
            text = body.decode("utf-8-sig")
            document = parse(text)
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8.") from error
        except NotStrictJson as error:
            raise ParseError(error.said) from error
        if not isinstance(document, dict):
            raise ParseError("The body must be a JSON object.")
        sent = Sent(document)
        sent.text = text
        return sent


class UploadParser(MultiPartParser):
    """A form with files; how much it may hold the gate and the middleware look at (UPLOADS)."""


def _require_utf_8(media_type: str) -> None:
    charset = parse_header_parameters(media_type)[1].get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(media_type, "JSON is UTF-8; send no other charset.")


def _at(path: tuple[str, ...], text: str) -> Any:
    detail: Any = [text]
    for name in reversed(path):
        detail = {name: detail}
    return detail
