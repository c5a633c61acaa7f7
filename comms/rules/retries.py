"""When a delivery that failed is tried again. Pure. Source: research, P13."""

from __future__ import annotations

WAITS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0)  # then the last one again and again
GIVE_UP_SECONDS = 6 * 3600.0
MOST_RETRY_AFTER = 300.0
JITTER_RATIO = 0.2
FALL_THROUGH_ATTEMPTS = 2  # then the person's next channel is tried as well


def next_wait(attempts: int, *, age_seconds: float, chance: float, retry_after: float | None) -> float | None:
    """Seconds until the next attempt after `attempts` failed ones; None: it is given up, after six hours.

    `chance` in 0..1 spreads by ±20 %, so that what failed together does not come back together. What
    the other side asked for (`retry_after`) is the least, and counts up to five minutes.
    """
    if age_seconds >= GIVE_UP_SECONDS:
        return None
    wait = WAITS[min(attempts, len(WAITS)) - 1] if attempts > 0 else 0.0
    wait *= 1 + JITTER_RATIO * (2 * chance - 1)
    return max(wait, min(retry_after or 0.0, MOST_RETRY_AFTER))
