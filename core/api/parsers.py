"""Reading request bodies: JSON as its standard has it, and nothing that cannot be stored."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.parsers import BaseParser

MAX_BYTES = 1_048_576
MAX_DEPTH = 20


class BodyTooLarge(APIException):
    """More than a mebibyte."""

    status_code = 413
    default_code = "too_large"
    default_detail = f"A request holds at most {MAX_BYTES} bytes."


class StrictJSONParser(BaseParser):
    """UTF-8 JSON: no NaN, no Infinity, no name twice, no NUL or lone surrogate, 20 levels at most."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body: bytes = stream.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise BodyTooLarge
        try:
            document = json.loads(
                body.decode(),
                object_pairs_hook=_unique,
                parse_constant=_refuse_constant,
                parse_float=_finite,
            )
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        _check_texts(document)
        return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _value in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a name appears twice in an object")
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is out of range")
    return value


def _check_texts(document: Any) -> None:
    """Walks without recursion, because depth is what a sender chooses."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > MAX_DEPTH:
            raise ParseError("The body is nested too deeply.")
        if isinstance(value, str) and not _is_storable(value):
            raise ValidationError(_at(path, "Must not contain NUL or lone surrogates."))
        if isinstance(value, dict):
            if not all(map(_is_storable, value)):
                raise ValidationError(_at(path, "A name must not contain NUL or lone surrogates."))
            waiting += [((*path, name), item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, str(index)), item) for index, item in enumerate(value)]


def _is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _at(path: tuple[str, ...], text: str) -> Any:
    detail: Any = [text]
    for name in reversed(path):
        detail = {name: detail}
    return detail
