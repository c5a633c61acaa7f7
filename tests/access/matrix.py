"""Reading matrix.yaml, and the addresses that the URL resolver knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.contrib import admin
from django.urls import get_resolver
from ruamel.yaml import YAML

FILE = Path(__file__).with_name("matrix.yaml")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ADMIN_VIEWS = (
    "",
    "add/",
    "{object_id}/",
    "{object_id}/change/",
    "{object_id}/history/",
    "{object_id}/delete/",
)
Status = int | str  # a status, "ok" or "login"


@dataclass(frozen=True)
class Profile:
    """Who may: the expected status by level, where it matters for one's own and for others'."""

    name: str
    own: Mapping[str, Status]
    other: Mapping[str, Status]
    scope: str | None
    token: Status
    ok: tuple[int, ...] | None


@dataclass(frozen=True)
class Case:
    """One request of the matrix, still without who sends it."""

    path: str
    method: str
    profile: Profile
    ok: tuple[int, ...]
    send: Mapping[str, Any]
    given: str | None
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_api(self) -> bool:
        return self.path.startswith(("/api/", "/v2/"))


@dataclass(frozen=True)
class AdminTable:
    """One table of the admin and who may see and write it."""

    label: str
    see: str
    write: str
    add: bool
    delete: bool

    @property
    def path(self) -> str:
        return f"/admin/{self.label.replace('.', '/')}/"


@dataclass(frozen=True)
class Matrix:
    """The file, read."""

    levels: tuple[str, ...]
    cases: tuple[Case, ...]
    tables: tuple[AdminTable, ...]
    paths: frozenset[str]

    def cases_of(self, path: str, method: str) -> list[Case]:
        return [case for case in self.cases if (case.path, case.method) == (path, method)]


def read_matrix(text: str | None = None) -> Matrix:
    """The matrix of the file, or of a text."""
    raw = YAML(typ="safe").load(FILE.read_text() if text is None else text)
    levels = tuple(raw["levels"])
    profiles = {name: _profile(name, row, levels) for name, row in raw["profiles"].items()}
    tables = tuple(
        AdminTable(label, row["see"], row["write"], row.get("add", True), row["delete"])
        for label, row in raw["admin"].items()
    )
    cases = tuple(
        _case(path, method, row, profiles)
        for path, methods in raw["routes"].items()
        for method, rows in methods.items()
        for row in (rows if isinstance(rows, list) else [rows])
    )
    of_tables = {table.path + view for table in tables for view in ADMIN_VIEWS}
    return Matrix(levels, cases, tables, frozenset(raw["routes"]) | of_tables)


def known_routes(urlconf: str | None = None) -> dict[str, Any]:
    """Every address of the URL resolver as the matrix writes it, with its view."""
    return dict(_walk(get_resolver(urlconf).url_patterns, "/"))


def tables_of_the_admin() -> set[str]:
    return {model._meta.label_lower for model in admin.site._registry}


def _walk(patterns: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        path = prefix + readable(str(pattern.pattern))
        if hasattr(pattern, "url_patterns"):
            yield from _walk(pattern.url_patterns, path)
        else:
            yield path, pattern.callback


def readable(pattern: str) -> str:
    """`<str:ref>` and `(?P<ref>…)` become `{ref}`; anchors go."""
    pattern = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"{\1}", pattern)
    pattern = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", pattern)
    return pattern.removeprefix("^").removesuffix("$")


def _profile(name: str, row: Mapping[str, Any], levels: tuple[str, ...]) -> Profile:
    def by_level(key: str) -> dict[str, Status]:
        statuses = row.get(key, row.get("levels"))
        assert statuses is not None, f"{name} has no levels"
        assert len(statuses) == len(levels), f"{name}: one status for each level"
        return dict(zip(levels, statuses, strict=True))

    ok = row.get("ok")
    return Profile(
        name,
        by_level("own"),
        by_level("other"),
        row.get("scope"),
        row.get("token", "ok"),
        None if ok is None else (ok,),
    )


def _case(path: str, method: str, row: Any, profiles: Mapping[str, Profile]) -> Case:
    row = {"may": row} if isinstance(row, str) else row
    assert method in METHODS, f"{path}: {method} is no method of the matrix"
    unknown = set(row) - {"may", "ok", "send", "given", "with"}
    assert not unknown, f"{method} {path}: {unknown}"
    profile = profiles[row["may"]]
    ok = row.get("ok", profile.ok or 200)
    return Case(
        path,
        method,
        profile,
        ok=(ok,) if isinstance(ok, int) else tuple(ok),
        send=row.get("send", {}),
        given=row.get("given"),
        values=row.get("with", {}),
    )
