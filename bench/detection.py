"""How long after a source begins to be bad its incident is open, its rollback begins and changes something.

What counts is when another session sees it: each is looked for every twentieth of a second.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

import psycopg

from bench import stored
from bench.checks import await_that, newest_sample
from bench.stored import FIRST

LOOK_EVERY_SECONDS = 0.05
# So long after the last breach whatever is missing counts as missed.
PATIENCE_SECONDS = 30.0
INTERVAL = 10
WITHIN_SECONDS = 2.0
STEPS = ("measured", "incident", "decided", "changed")
AIMED = "decided"

_SEEN = """
SELECT s.id - %(first)s,
       EXISTS (SELECT FROM incidents_monitor m WHERE m.id = s.id AND m.level = 'critical'),
       EXISTS (SELECT FROM incidents_incident i WHERE i.origin_id = s.id),
       EXISTS (SELECT FROM rollbacks_decision d WHERE d.service_id = s.id AND d.verdict = 'started'),
       EXISTS (SELECT FROM rollbacks_rollback r WHERE r.service_id = s.id AND r.mutated_at IS NOT NULL)
  FROM incidents_service s WHERE s.id = ANY(%(ids)s)
"""
_REFUSED = """
SELECT DISTINCT reason ->> 'text' FROM rollbacks_decision, jsonb_array_elements(reasons) AS reason
 WHERE service_id = ANY(%(ids)s) AND verdict <> 'started' LIMIT 3
"""


@dataclass
class Detected:
    """Of each breach, how many seconds after its beginning each step was seen."""

    samples: int
    background: int
    breaches: list[dict[str, float]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # of those that started no rollback

    @property
    def missed(self) -> int:
        return sum(len(seen) < len(STEPS) for seen in self.breaches)

    def percentile(self, step: str, percent: int, *, since: str = "") -> float:
        """Seconds from the breach, or from the step `since`, to `step`."""
        found = sorted(
            seen[step] - (seen[since] if since else 0)
            for seen in self.breaches
            if {step, since or step} <= seen.keys()
        )
        return found[min(len(found) - 1, len(found) * percent // 100)] if found else float("nan")


def measure(
    link: psycopg.Connection,
    url: str,
    first: int,
    samples: int,
    *,
    breaches: int,
    spread: float,
    background: int,
) -> Detected:
    """Let `breaches` services fail one after the other within `spread` seconds, beside other monitors."""
    before = newest_sample(link)
    _check_others(link, background)
    await_that(lambda: newest_sample(link) > before, "the first check")  # the workers are up
    choose = random.Random(first)
    begins = time.time() + stored.LEAD_SECONDS
    breaks = sorted(round(begins + choose.uniform(0, spread), 3) for _ in range(breaches))
    stored.breaching(
        link, first=first, breaks=breaks, url=url, interval=INTERVAL, lasts=stored.BREACH_SECONDS
    )
    found: dict[int, dict[str, float]] = {number: {} for number in range(1, breaches + 1)}
    ends = breaks[-1] + INTERVAL + PATIENCE_SECONDS
    while (missing := [n for n, seen in found.items() if len(seen) < len(STEPS)]) and time.time() < ends:
        for number, *reached in link.execute(_SEEN, {"first": first, "ids": [first + n for n in missing]}):
            for step, is_there in zip(STEPS, reached, strict=True):
                if is_there:
                    found[number].setdefault(step, time.time() - breaks[number - 1])
        time.sleep(LOOK_EVERY_SECONDS)
    stored.settle(link)
    reasons = link.execute(_REFUSED, {"ids": [first + number for number in missing]}).fetchall()
    return Detected(samples, background, list(found.values()), [text for (text,) in reasons])


def _check_others(link: psycopg.Connection, background: int) -> None:
    """As many of either kind, once a minute each."""
    link.execute(
        "UPDATE incidents_monitor SET enabled = true, interval_seconds = 60,"
        " next_check_due_at = now() + random() * interval '1 minute' WHERE id %% 100000 < %s AND id >= %s",
        [background // 2, min(FIRST.values())],
    )
