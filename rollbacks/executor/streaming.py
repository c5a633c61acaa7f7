"""Keeping what a command says while it runs: pieces in the database, which every page can read."""

from __future__ import annotations

from pathlib import Path

from django.db.models import QuerySet

from rollbacks.models import RollbackStep, StepOutput
from rollbacks.supervisor import recording
from rollbacks.supervisor.program import KEPT_BYTES

PIECE_BYTES = 65_536
LONGEST_LINE_BYTES = 4_096


class OutputStream:
    """The output of one attempt on its way from the recording into the database.

    Goes on where another worker stopped. While the command floods, only its newest 64 KiB per look are
    kept: the beginning and the end stay whole, the middle is counted.
    """

    def __init__(self, step: RollbackStep, file: Path) -> None:
        self._step, self._file = step, file
        last = self._kept().order_by("-start").first()
        self._end = last.end if last else 0
        self._raw_end = last.raw_end if last else 0
        self._seen = -1

    def push(self, *, last: bool = False) -> bool:
        """Keep what came since the last look; whether anything did."""
        total = recording.read(self._file, limit=0).total
        whole_lines = not last and total != self._seen  # a line that stays half is shown at the next look
        self._seen, came = total, False
        while (piece := self._next(total, newest=KEPT_BYTES if last else PIECE_BYTES)).data:
            data = _whole_lines(piece.data) if whole_lines else piece.data
            if not data:
                break
            self._keep(piece.start, data)
            came = True
        if came:
            self._forget_the_middle()
        return came

    def _next(self, total: int, *, newest: int) -> recording.Piece:
        after = self._raw_end
        if after >= KEPT_BYTES and total - after > newest:
            after = total - newest
        return recording.read(self._file, after, limit=PIECE_BYTES)

    def _keep(self, raw_start: int, data: bytes) -> None:
        left_out = raw_start - self._raw_end
        text = f"\n… {left_out} bytes left out …\n" if left_out > 0 else ""
        text += recording.clean(data)
        start, self._end = self._end, self._end + len(text.encode())
        self._raw_end = raw_start + len(data)
        StepOutput.objects.bulk_create(
            [
                StepOutput(
                    step=self._step,
                    attempt=self._step.attempt,
                    start=start,
                    end=self._end,
                    raw_end=self._raw_end,
                    text=text,
                )
            ],
            ignore_conflicts=True,  # a worker that was taken over may have kept the same piece
        )

    def _forget_the_middle(self) -> None:
        middle = self._kept().filter(start__gte=KEPT_BYTES, end__lt=self._end - KEPT_BYTES)
        middle.delete()

    def _kept(self) -> QuerySet[StepOutput]:
        return StepOutput.objects.filter(step=self._step, attempt=self._step.attempt)


def _whole_lines(data: bytes) -> bytes:
    """Without the line that has only begun, so that half a secret is not seen; a very long one is cut."""
    whole = data[: data.rfind(b"\n") + 1]
    if whole or len(data) < LONGEST_LINE_BYTES:
        return whole
    return data[:-4] if len(data) > 4 else data


def keep_text(step: RollbackStep, text: str) -> None:
    """What a kind without a recording said, after what it said before in this attempt."""
    if not text:
        return
    last = StepOutput.objects.filter(step=step, attempt=step.attempt).order_by("-start").first()
    start = last.end if last else 0
    end = start + len(text.encode())
    StepOutput.objects.bulk_create(
        [StepOutput(step=step, attempt=step.attempt, start=start, end=end, raw_end=end, text=text)],
        ignore_conflicts=True,  # a worker that was taken over may have kept the same piece
    )
