"""Whether the monitoring itself is out."""

from __future__ import annotations

import datetime as dt


def freeze_reason(now: dt.datetime) -> str | None:
    """Why automatic rollbacks are frozen, in words; None while the monitoring can be trusted."""
    return None
