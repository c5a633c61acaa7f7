"""The foundation's tables, one module per aggregate."""

from core.models.accounts import ApiToken, User
from core.models.counters import ReferenceCounter
from core.models.events import Event, PendingEvent, Stream
from core.models.heartbeats import HealthSnapshot, Heartbeat, Process
from core.models.idempotency import IdempotentAnswer

__all__ = [
    "ApiToken",
    "Event",
    "HealthSnapshot",
    "Heartbeat",
    "IdempotentAnswer",
    "PendingEvent",
    "Process",
    "ReferenceCounter",
    "Stream",
    "User",
]
