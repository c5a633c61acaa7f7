"""The history of configuration to read: who changed what, when, from which value to which."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pghistory.core
from django.db import connection, models
from psycopg import sql

from core.access import may
from core.actors import Actor
from core.models.history import Change
from core.selectors.change_texts import Names, describe, who_of

LENGTH = 50
# A search reads this many of the newest changes of each kind, so that it costs the same in ten years.
SEARCHED = 10_000
LABELS = {"created": "Created", "changed": "Changed", "deleted": "Deleted", "known": "As it was"}

Asked = tuple[type[Change], sql.Composable]  # a history table, and which of its rows
_TRUE = sql.SQL("TRUE")


@dataclass(frozen=True)
class Row:
    """One row of a history table, and the row before it of the same thing."""

    model: type[Change]
    values: dict[str, Any]
    before: dict[str, Any] | None

    @property
    def at(self) -> dt.datetime:
        return dt.datetime.fromisoformat(self.values["pgh_created_at"])

    @property
    def cursor(self) -> str:
        return f"{self.values['pgh_created_at']}~{self.values['pgh_id']}"


@dataclass(frozen=True)
class ChangeLine:
    """One change for a list. `label` is one of LABELS' keys, `values` are (column, before, after)."""

    at: dt.datetime
    who: str
    door: str
    request_id: str
    thing: str
    name: str
    label: str
    label_text: str
    values: tuple[tuple[str, str | None, str | None], ...]


@dataclass(frozen=True)
class ChangePage:
    """A page of changes, newest first; `before` is the next one's cursor, `things` what may be asked for."""

    lines: tuple[ChangeLine, ...]
    before: str
    things: tuple[str, ...]


def list_changes(actor: Actor, *, thing: str = "", words: str = "", before: str = "") -> ChangePage:
    """A page of everything `actor` may see: one query, and one per kind of name in it (at most four)."""
    seen = [model for model in history_models() if may(actor, model.seen_by)]
    asked: list[Asked] = [(model, _TRUE) for model in seen if thing in ("", model.thing)]
    things = tuple(sorted(model.thing for model in seen))
    return _page(_read(asked, words=words.strip()[:100], before=_cursor(before)), things)


def list_changes_of(actor: Actor, subject: models.Model, *, before: str = "") -> ChangePage:
    """A page of the changes of one thing and of what belongs to it, such as an account's levels."""
    asked: list[Asked] = []
    for model in history_models():
        columns = _columns_pointing_at(model, type(subject)) if may(actor, model.seen_by) else []
        same = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(subject.pk)) for name in columns]
        if same:
            asked.append((model, sql.SQL(" OR ").join(same)))
    return _page(_read(asked, words="", before=_cursor(before)), ())


def history_models() -> list[type[Change]]:
    """Every table of the history."""
    return [model for model in pghistory.core.event_models() if issubclass(model, Change)]


def _columns_pointing_at(model: type[Change], thing: type[models.Model]) -> list[str]:
    return [
        column.column
        for column in model._meta.fields
        if isinstance(column, models.ForeignKey) and column.related_model is thing
    ]


# The innermost query is bounded and follows an index, so that no page reads the whole history.
_ONE_TABLE = """
(SELECT {label} AS model, c.pgh_created_at, c.pgh_id, to_jsonb(c),
        (SELECT to_jsonb(p) FROM {table} p
          WHERE p.pgh_obj_id = c.pgh_obj_id AND p.pgh_id < c.pgh_id ORDER BY p.pgh_id DESC LIMIT 1)
   FROM (SELECT * FROM (SELECT * FROM {table} WHERE ({condition}) AND {older}
                         ORDER BY pgh_created_at DESC, pgh_id DESC LIMIT {searched}) newest
          WHERE {words} ORDER BY pgh_created_at DESC, pgh_id DESC LIMIT {length}) c)
"""
_ALL_TABLES = "{} ORDER BY 2 DESC, 3 DESC LIMIT {}"


def _read(asked: Sequence[Asked], *, words: str, before: tuple[dt.datetime, int] | None) -> list[Row]:
    """The newest rows of these tables, and one more than a page has."""
    if not asked:
        return []
    length = sql.Literal(LENGTH + 1)
    older: sql.Composable = _TRUE
    matching: sql.Composable = _TRUE
    if before:
        older = sql.SQL("(pgh_created_at, pgh_id) < ({}, {})").format(*map(sql.Literal, before))
    if words:
        matching = sql.SQL("to_jsonb(newest)::text ILIKE {}").format(sql.Literal(f"%{_escaped(words)}%"))
    parts = [
        sql.SQL(_ONE_TABLE).format(
            label=sql.Literal(model._meta.label),
            table=sql.Identifier(model._meta.db_table),
            condition=condition,
            older=older,
            words=matching,
            searched=sql.Literal(SEARCHED) if words else length,
            length=length,
        )
        for model, condition in asked
    ]
    models_by_label = {model._meta.label: model for model, _condition in asked}
    query = sql.SQL(_ALL_TABLES).format(sql.SQL(" UNION ALL ").join(parts), length)
    with connection.cursor() as cursor:
        cursor.execute(query.as_string(connection.connection))
        return [
            Row(models_by_label[label], json.loads(row), json.loads(old) if old else None)
            for label, _at, _id, row, old in cursor.fetchall()
        ]


def _page(rows: list[Row], things: tuple[str, ...]) -> ChangePage:
    shown = rows[:LENGTH]
    names = Names.of((row.model, values) for row in shown for values in (row.values, row.before or {}))
    lines = tuple(_line(row, names) for row in shown)
    return ChangePage(lines, shown[-1].cursor if len(rows) > LENGTH else "", things)


def _line(row: Row, names: Names) -> ChangeLine:
    said = row.values["pgh_context"] or {}
    label = row.values["pgh_label"]
    return ChangeLine(
        at=row.at,
        who=who_of(row.values),
        door=said.get("door", ""),
        request_id=said.get("request", ""),
        thing=row.model.thing,
        name=" of ".join(text for text in _name(row, names) if text),
        label=label,
        label_text=LABELS.get(label, label),
        values=tuple(_values(row, names)),
    )


def _name(row: Row, names: Names) -> Iterator[str]:
    for column in row.model.named_by:
        yield describe(row.model, column, row.values, names) or ""


def _values(row: Row, names: Names) -> Iterator[tuple[str, str | None, str | None]]:
    """What differs; all that is not empty of something that came or went."""
    label = row.values["pgh_label"]
    for column in row.model.columns:
        now = describe(row.model, column, row.values, names)
        before = describe(row.model, column, row.before, names) if row.before else None
        shown = column.replace("_", " ")
        if label == "deleted":
            if now is not None:
                yield shown, now, None
        elif label != "changed":
            if now is not None:
                yield shown, None, now
        elif now != before:
            yield shown, before, now


def _cursor(text: str) -> tuple[dt.datetime, int] | None:
    """A page's cursor; one that is none means the newest page."""
    at, _, number = text.partition("~")
    try:
        moment = dt.datetime.fromisoformat(at)
        return (moment, int(number[:18])) if moment.tzinfo else None
    except ValueError:
        return None


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
