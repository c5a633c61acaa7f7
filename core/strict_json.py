"""JSON as its standard has it, and nothing that PostgreSQL cannot store."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_DEPTH = 20


class NotStrictJson(ValueError):
    """The text is no usable JSON. `path` leads to a wrong value where the document itself is whole."""

    def __init__(self, said: str, path: tuple[str, ...] | None = None) -> None:
        super().__init__(said)
        self.said = said
        self.path = path


def loads(text: str) -> Any:
    """The document: no NaN, no Infinity, no name twice, no NUL or lone surrogate, 20 levels at most."""
    document = parse(text)
    for path, value in _walk(document):
        if isinstance(value, str) and not is_storable(value):
            raise NotStrictJson("Must not contain NUL or lone surrogates.", path)
        if isinstance(value, dict) and not all(map(is_storable, value)):
            raise NotStrictJson("A name must not contain NUL or lone surrogates.", path)
    return document


def parse(text: str) -> Any:
    """The same of a sender whose texts are cleaned later (an alert must not be lost over a character)."""
    try:
        document = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
        )
    except RecursionError as error:
        raise NotStrictJson("The body is nested too deeply.") from error
    except ValueError as error:
        raise NotStrictJson(f"The body is not JSON: {error}") from error
    for _path, _value in _walk(document):
        pass  # for its depth
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


def _walk(document: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value with its path, without recursion, because depth is what a sender chooses."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > MAX_DEPTH:
            raise NotStrictJson("The body is nested too deeply.")
        yield path, value
        if isinstance(value, dict):
            waiting += [((*path, name), item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, str(index)), item) for index, item in enumerate(value)]


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold it."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
