"""What a step said, from any byte on."""

from __future__ import annotations

from dataclasses import dataclass

from rollbacks.models import RollbackStep

MOST_PIECES = 16


@dataclass(frozen=True)
class Output:
    """Bytes of the step's newest attempt; `next_byte` is where to go on reading."""

    data: bytes
    next_byte: int


def output_after(step: RollbackStep, after: int) -> Output:
    """What stands after a byte, up to about a MiB (one query); what is not kept is counted in its place."""
    data, position = b"", after
    pieces = step.output.filter(attempt=step.attempt, end__gt=after).order_by("start")
    for piece in pieces[:MOST_PIECES]:
        if piece.start > position and position > 0:
            data += f"\n… {piece.start - position} bytes are not kept …\n".encode()
        data += piece.text.encode()[max(0, position - piece.start) :]
        position = piece.end
    return Output(data, position)
