"""Contacts as CSV: read strictly, and written so that no spreadsheet takes a name for a formula. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.sheets import guarded, unguarded

COLUMNS = (
    *("name", "kind", "title", "role", "audiences", "email", "phone", "chat", "time_zone", "reach"),
    *("quiet_from", "quiet_until", "support_url", "user", "active"),
)
LISTS = ("audiences", "reach")
MOST_ROWS = 10_000
MOST_ERRORS = 100


@dataclass(frozen=True)
class Wrong:
    """What is wrong in one cell; `row` counts as a spreadsheet does, the header is row 1."""

    row: int
    column: str
    detail: str


def write(rows: Iterable[Mapping[str, str]]) -> str:
    """Rows of COLUMNS as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([guarded(row.get(column, "")) for column in COLUMNS])
    return out.getvalue()


def read(data: bytes) -> tuple[list[dict[str, str]], list[Wrong]]:
    """Its rows, by column, and what is wrong with the sheet itself; columns that are missing are left out."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        return [], [Wrong(row, "", "This is not UTF-8: save the sheet as CSV UTF-8.")]
    if "\0" in text:
        return [], [Wrong(text[: text.index("\0")].count("\n") + 1, "", "There is a NUL character.")]
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        return [], [Wrong(1, "", f"This is no CSV: {error}.")]
    if not lines or not any(lines[0]):
        return [], [Wrong(1, "", "The first row names the columns.")]
    header = [name.strip().lower() for name in lines[0]]
    if wrong := _wrong_header(header):
        return [], wrong
    if len(lines) - 1 > MOST_ROWS:
        return [], [Wrong(MOST_ROWS + 2, "", f"At most {MOST_ROWS:,} rows.")]
    return _rows(header, lines[1:])


def _wrong_header(header: Sequence[str]) -> list[Wrong]:
    wrong = [Wrong(1, name[:60], "There is no such column.") for name in header if name not in COLUMNS]
    wrong += [Wrong(1, name, "It is there twice.") for name in sorted(set(header)) if header.count(name) > 1]
    if "name" not in header:
        wrong.append(Wrong(1, "name", "This column is missing."))
    return wrong


def _rows(header: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[list[dict[str, str]], list[Wrong]]:
    rows: list[dict[str, str]] = []
    wrong: list[Wrong] = []
    for number, line in enumerate(lines, start=2):
        if not any(cell.strip() for cell in line):
            rows.append({})  # an empty row is none, and the next ones keep their numbers
        elif len(line) != len(header):
            wrong.append(Wrong(number, "", f"It has {len(line)} cells; the header has {len(header)}."))
        else:
            rows.append({name: unguarded(cell.strip()) for name, cell in zip(header, line, strict=True)})
    return rows, wrong
