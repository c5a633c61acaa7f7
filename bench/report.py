"""What was measured, as a page of Markdown."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.measure import Cell
from bench.scale import Scale
from bench.servers import Memory

AIM = 0.6
PACKAGES = ("django", "djangorestframework", "psycopg", "granian", "a2wsgi")
LIMITS = """\
- Load generator, both servers and PostgreSQL share this machine's cores; nothing else is meant to run. Absolute figures
  belong to this machine and this hour. The ratio is taken of windows that lie side by side, so that noise meets both.
- The load is a closed loop: a connection sends its next request when the last is answered. Requests that were never sent
  because the server was slow are in no percentile.
- *Ceiling* is a bare Django REST framework view behind the same server: ModelSerializer, one statement, no login, no
  filters, no other tables, the same JSON shape. Lists and pages of all kinds are compared with the bare list of 50. It
  is a yardstick, not a bound: where Firebreak builds its answers more cheaply it may come out above it.
- *Database* is the same statements as one request sends, over psycopg in threads of one process, without Django; for a create
  it is one insert and its commit. Above some thousands a second that process is the limit, not PostgreSQL.
- Background workers do not run beside the web process here: what an incident sets in motion is not part of its create.
- Creates give dense numbers per day: the counter's row is locked from the number to the commit, so creates queue there.
- `load` is the load generator's share of one core while Firebreak was measured.
- The history is written by SQL: rows have real sizes, the hash chain is not made. About thirty incidents are open at any size.
"""


@dataclass
class Findings:
    """All that a run found out."""

    scale: Scale
    commit: str
    settings: Mapping[str, str]
    cells: list[Cell] = field(default_factory=list)
    statements: dict[tuple[str, int], int] = field(default_factory=dict)
    memory: list[Memory] = field(default_factory=list)
    starts: dict[str, list[float]] = field(default_factory=dict)
    seeding: dict[int, float] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        return sum(cell.failures + cell.ceiling_failures for cell in self.cells)


def write(found: Findings, sections: Iterable[str] = ()) -> str:
    """The whole page, with the sections of what else was measured."""
    parts = [
        "# Results of `make bench`\n",
        _about(found),
        "## The aims\n",
        _aims(found),
        "## Requests\n",
        _cells(found.cells),
        "## Flat with history\n",
        _flatness(found),
        "## Memory\n",
        table(
            ("process", "processes", "PSS MiB", "RSS MiB"),
            [(m.name, str(m.processes), f"{m.pss:.0f}", f"{m.rss:.0f}") for m in found.memory],
        ),
        "## Cold start\n",
        table(
            ("what", "seconds (median)", "each"),
            [
                (what, f"{statistics.median(each):.1f}", ", ".join(f"{one:.1f}" for one in each))
                for what, each in found.starts.items()
            ],
        ),
        "## Limits of these figures\n",
        LIMITS,
        *sections,
    ]
    return "\n".join(parts)


def _about(found: Findings) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    settings = ", ".join(f"{name} {value}" for name, value in found.settings.items())
    seeded = ", ".join(f"{size:,} in {seconds:.0f} s" for size, seconds in found.seeding.items())
    lines = [
        f"- {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, commit {found.commit}, {found.scale.name} run of {found.seconds / 60:.1f} min",
        f"- machine: {os.cpu_count()} × {_processor()}, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.platform()}",
        f"- Python {platform.python_version()}, {versions}",
        f"- PostgreSQL: {settings}",
        f"- windows: {found.scale.rounds} × {found.scale.seconds} s for list, detail and create, "
        f"{found.scale.more_rounds} × {found.scale.more_seconds} s for the others, each beside its ceiling's",
        f"- incidents stored: {seeded}",
        f"- load average (1 min) during the run: {min(found.loads):.1f} to {max(found.loads):.1f}",
    ]
    lines += [f"- **not measured**: {what}" for what in found.left_out]
    return "\n".join(lines) + "\n"


def _aims(found: Findings) -> str:
    lines = []
    for name in ("list", "detail"):
        ratios = [ratio for cell in found.cells if cell.operation == name for ratio in cell.ratios]
        if ratios:
            median = statistics.median(ratios)
            verdict = "met" if median >= AIM else "missed"
            lines.append(
                f"- {name}: {median:.0%} of the ceiling (median of {len(ratios)} pairs), aim {AIM:.0%}: **{verdict}**"
            )
    creates = [cell for cell in found.cells if cell.operation == "create"]
    if creates:
        failures = sum(cell.failures for cell in creates)
        most = max(cell.connections for cell in creates)
        lines.append(f"- failed creates, up to {most} connections: **{failures}**")
    lines.append(f"- failed requests altogether, the ceiling's included: **{found.failed}**")
    return "\n".join(lines) + "\n"


def _cells(cells: Sequence[Cell]) -> str:
    head = (
        "request", "stored", "c", "req/s", "p50 ms", "p95 ms", "p99 ms", "failed",
        "ceiling req/s", "ratio (spread)", "database req/s", "load",
    )  # fmt: skip
    return table(head, [_cell(cell) for cell in cells])


def _cell(cell: Cell) -> tuple[str, ...]:
    ratios = cell.ratios or [float("nan")]
    return (
        cell.operation,
        f"{cell.size:,}",
        str(cell.connections),
        f"{cell.rate:.0f}",
        *(f"{cell.percentile(percent):.1f}" for percent in (50, 95, 99)),
        str(cell.failures) + (f" (+{cell.ceiling_failures} ceiling)" if cell.ceiling_failures else ""),
        f"{statistics.median(window.rate for window in cell.ceiling):.0f}"
        + (f" ({cell.beside})" if cell.beside != cell.operation else ""),
        f"{statistics.median(ratios):.0%} ({min(ratios):.0%}–{max(ratios):.0%})",
        f"{statistics.median(window.rate for window in cell.database):.0f}",
        f"{cell.load_share:.0%}",
    )


def _flatness(found: Findings) -> str:
    """Statements and the database's time for one request, and the slowdown from first to last size."""
    sizes, fewest = found.scale.sizes, min(found.scale.connections)
    head = (
        "request",
        "statements",
        *(f"database ms at {size:,}" for size in sizes),
        f"p50 with {fewest} connection(s), last / first size",
    )
    single = {(cell.operation, cell.size): cell for cell in found.cells if cell.connections == fewest}
    rows = []
    for name in dict.fromkeys(cell.operation for cell in found.cells):
        cells = [single.get((name, size)) for size in sizes]
        counts = sorted({count for (each, _size), count in found.statements.items() if each == name})
        first, last = cells[0], cells[-1]
        growth = f"{last.percentile(50) / first.percentile(50):.2f}" if first and last else "–"
        times = (f"{cell.database_milliseconds:.1f}" if cell else "–" for cell in cells)
        rows.append((name, " or ".join(map(str, counts)), *times, growth))
    return table(head, rows)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown."""
    head = tuple(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
