"""Matchers of labels, as Alertmanager has them: `team="shop"`, `env!="dev"`, `job=~"web-.*"`, `az!~"eu"`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic_core import SchemaError, SchemaValidator, core_schema

Op = Literal["=", "!=", "=~", "!~"]
OPS: tuple[Op, ...] = ("=", "!=", "=~", "!~")
PATTERN_LENGTH = 500
_WRITTEN = re.compile(r'\s*([^\s=!~"{},]{1,256})\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"\s]*))\s*', re.S)
_ESCAPED = re.compile(r"\\(.)", re.S)


class WrongMatcher(ValueError):
    """It is no matcher, or its regular expression is none."""


@dataclass(frozen=True)
class Matcher:
    """A label that an alert does not have counts as empty. A regular expression fits the whole value."""

    label: str
    op: Op
    value: str

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.op}"{value}"'

    def fits(self, labels: Mapping[str, str]) -> bool:
        has = labels.get(self.label, "")
        if self.op in ("=", "!="):
            return (has == self.value) is (self.op == "=")
        return _expression(self.value).isinstance_python(has) is (self.op == "=~")


def matcher(label: str, op: str, value: str) -> Matcher:
    """A checked matcher; raises WrongMatcher."""
    if not label or op not in OPS:
        raise WrongMatcher("a matcher is a label, one of = != =~ !~, and a value")
    if op in ("=~", "!~"):
        if len(value) > PATTERN_LENGTH:
            raise WrongMatcher(f"a regular expression has at most {PATTERN_LENGTH} characters")
        _expression(value)
    return Matcher(label, op, value)


def parse(text: str) -> Matcher:
    """One matcher as Alertmanager writes it, with or without quotes; raises WrongMatcher."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise WrongMatcher(f'"{text.strip()[:80]}" is no matcher; write one as team="shop" or job=~"web-.*"')
    label, op, quoted, bare = found.groups()
    value = _ESCAPED.sub(lambda m: "\n" if m[1] == "n" else m[1], quoted) if quoted is not None else bare
    return matcher(label, op, value)


def all_fit(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(each.fits(labels) for each in matchers)


def fits_anything(matchers: Iterable[Matcher]) -> bool:
    """Whether an alert without any label would fit: then it says nothing about what is meant."""
    return all_fit(matchers, {})


@functools.lru_cache(maxsize=128)
def _expression(pattern: str) -> SchemaValidator:
    """Matched in time linear in the value, whatever the pattern (no look-around, no back-references)."""
    try:
        _compile(pattern)  # by itself first: "a)|(b" would undo the anchors
        return _compile(rf"\A(?s:{pattern})\z")
    except SchemaError as error:
        said = str(error).partition("error: ")[2].strip() or "it cannot be compiled"
        raise WrongMatcher(f"{pattern[:80]!r} is no regular expression that is taken here: {said}") from error


def _compile(pattern: str) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True))
