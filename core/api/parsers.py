"""Reading request bodies: JSON in UTF-8, small enough, and nothing that cannot be stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser

from core.strict_json import NotStrictJson, loads


class BodyTooLarge(APIException):
    """More than DATA_UPLOAD_MAX_MEMORY_SIZE."""

    status_code = 413
    default_code = "too_large"

    def __init__(self) -> None:
        super().__init__(f"A request holds at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.")


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


def _require_utf_8(media_type: str) -> None:
    charset = parse_header_parameters(media_type)[1].get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(media_type, "JSON is UTF-8; send no other charset.")


def _at(path: tuple[str, ...], text: str) -> Any:
    detail: Any = [text]
    for name in reversed(path):
        detail = {name: detail}
    return detail
