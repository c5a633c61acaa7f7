"""The foundation's tables, one module per aggregate."""

from core.models.accounts import ApiToken, User
from core.models.counters import ReferenceCounter
from core.models.events import Event, PendingEvent, Stream
from core.models.heartbeats import HealthSnapshot, Heartbeat, Process
from core.models.idempotency import IdempotentAnswer
from core.models.ratelimits import RateBudget

__all__ = [
    "ApiToken",
    "Event",
    "HealthSnapshot",
    "Heartbeat",
    "IdempotentAnswer",
    "PendingEvent",
    "Process",
    "RateBudget",
    "ReferenceCounter",
    "Stream",
    "User",
]
