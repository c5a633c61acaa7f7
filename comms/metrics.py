"""This app's numbers for /metrics, by queries over what is under way or was given up."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection
from prometheus_client import Metric

from comms.selectors.operation import GIVEN_UP_SHOWN_SECONDS
from comms.states import DUE_STATES, DeliveryState
from core.operation.metrics import gauges

_STATES = """
SELECT state, count(*) FROM comms_delivery WHERE state = ANY(%s) GROUP BY state
 UNION ALL
SELECT %s, count(*) FROM comms_delivery
 WHERE state = 'dead' AND due_at > clock_timestamp() - make_interval(secs => %s)
"""


def collect() -> Iterator[Metric]:
    """Deliveries under way by state, and those given up within the last hour."""
    with connection.cursor() as cursor:
        cursor.execute(_STATES, [list(DUE_STATES), DeliveryState.DEAD, GIVEN_UP_SHOWN_SECONDS])
        counts = dict(cursor.fetchall())
    yield gauges(
        "firebreak_deliveries",
        "Deliveries under way; dead: given up within the last hour.",
        "state",
        ((str(state), float(counts.get(state, 0))) for state in (*DUE_STATES, DeliveryState.DEAD)),
    )
