"""What this app forgets."""

from __future__ import annotations

from core.retention import Old

UNCONFIRMED = Old("comms_subscriber", "asked_at", only="confirmed_at IS NULL")
STATUS_DAYS = Old("comms_componentday", "day")
# What came of webhooks, once it was sent or given up; the attempts first, which the deliveries wait for.
WEBHOOK_ATTEMPTS = Old("comms_webhookattempt", "at")
WEBHOOK_DELIVERIES = Old(
    "comms_webhookdelivery",
    "finished_at",
    only="NOT EXISTS (SELECT FROM comms_webhookattempt a WHERE a.delivery_id = comms_webhookdelivery.id)",
)
