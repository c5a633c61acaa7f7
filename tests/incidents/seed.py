"""Every threshold of the seed, as it stands there; what is tested is the shipped playbook."""

from __future__ import annotations

import math

# Policy, metric, the threshold of its lower level (high; of performance: warning), the critical one.
# Source: seed, "Automatic Rollback Triggers" and "Performance Rollback Triggers".
SEED = (
    ("rollback_triggers", "error_rate", 0.02, 0.05),
    ("rollback_triggers", "response_time", 5000.0, 10_000.0),
    ("rollback_triggers", "security_events", 5.0, 10.0),
    ("rollback_triggers", "memory_usage", 0.8, 0.9),
    ("performance", "response_time", 2000.0, 5000.0),
    ("performance", "error_rate", 0.01, 0.05),
    ("performance", "memory_usage", 0.7, 0.9),
    ("performance", "cpu_usage", 0.8, 0.95),
)


def around(threshold: float) -> tuple[float, float, float]:
    """The number just below it, itself, and the number just above."""
    return math.nextafter(threshold, 0), threshold, math.nextafter(threshold, math.inf)
