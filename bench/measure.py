"""Firebreak, the ceiling and the database in alternating short windows, so that a noisy neighbour meets all three."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.load import MakeRequest, Window, run_window

WARM_UP_SECONDS = 0.15


@dataclass
class Cell:
    """One operation at one size of history with so many connections."""

    operation: str
    beside: str
    size: int
    connections: int
    own: list[Window] = field(default_factory=list)
    ceiling: list[Window] = field(default_factory=list)
    database: list[Window] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(window.rate for window in self.own)

    @property
    def ratios(self) -> list[float]:
        """Firebreak's rate over the ceiling's, of each neighbouring pair of windows."""
        return [
            own.rate / ceiling.rate
            for own, ceiling in zip(self.own, self.ceiling, strict=True)
            if ceiling.rate
        ]

    @property
    def failures(self) -> int:
        return sum(len(window.failures) for window in self.own)

    @property
    def ceiling_failures(self) -> int:
        return sum(len(window.failures) for window in (*self.ceiling, *self.database))

    @property
    def load_share(self) -> float:
        """The load generator's share of one core beside Firebreak."""
        return statistics.median(window.own_share for window in self.own)

    @property
    def database_milliseconds(self) -> float:
        """What the database takes for the statements of one request, one connection's median."""
        found = [second for window in self.database for second in window.latencies]
        return statistics.median(found) * 1000 if found else float("nan")

    def percentile(self, percent: int) -> float:
        """Milliseconds, over the latencies of all windows."""
        found = sorted(second for window in self.own for second in window.latencies)
        return found[min(len(found) - 1, len(found) * percent // 100)] * 1000 if found else float("nan")

    @property
    def is_filled(self) -> bool:
        """Something was answered in each part."""
        return all(
            windows and any(window.latencies for window in windows)
            for windows in (self.own, self.ceiling, self.database)
        )


@dataclass(frozen=True)
class Side:
    """A server and what it is asked."""

    port: int
    make: MakeRequest
    expected: int


def measure(
    cell: Cell,
    own: Side,
    ceiling: Side,
    alone: Callable[[float], Window],
    *,
    rounds: int,
    seconds: float,
) -> Cell:
    """Fill a cell: in each round the three take their turn, every second round in the other order."""

    def load(side: Side, windows: list[Window]) -> Callable[[], None]:
        return lambda: windows.append(
            run_window(
                side.port,
                side.make,
                connections=cell.connections,
                seconds=seconds,
                expected=side.expected,
            )
        )

    for side in (own, ceiling):
        warm = min(WARM_UP_SECONDS, seconds)
        run_window(side.port, side.make, connections=cell.connections, seconds=warm, expected=side.expected)
    turns: Sequence[Callable[[], None]] = (
        load(own, cell.own),
        load(ceiling, cell.ceiling),
        lambda: cell.database.append(alone(seconds / 2)),
    )
    for number in range(rounds):
        for turn in turns if number % 2 == 0 else reversed(turns):
            turn()
    return cell
