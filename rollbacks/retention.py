"""What this app forgets."""

from __future__ import annotations

import datetime as dt

from core.retention import execute

_OLD = """
SELECT o.id FROM rollbacks_stepoutput o
  JOIN rollbacks_rollbackstep s ON s.id = o.step_id JOIN rollbacks_rollback r ON r.id = s.rollback_id
 WHERE r.completed_at < %s
"""


class OldOutput:
    """What steps said, long after the end of their rollback; the last 64 KiB of each stay with the step."""

    def count(self, before: dt.datetime) -> int:
        """How many pieces a run would forget."""
        return execute(f"SELECT count(*) FROM ({_OLD}) old", before)  # noqa: S608

    def forget(self, before: dt.datetime, limit: int) -> int:
        """Delete one batch; returns how many it had."""
        return execute(
            f"DELETE FROM rollbacks_stepoutput WHERE id IN ({_OLD} LIMIT %s FOR UPDATE OF o SKIP LOCKED)",  # noqa: S608
            before,
            limit,
        )


OUTPUT = OldOutput()
