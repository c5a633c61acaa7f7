"""What this app forgets."""

from core.retention import Old

UNCONFIRMED = Old("comms_subscriber", "asked_at", only="confirmed_at IS NULL")
STATUS_DAYS = Old("comms_componentday", "day")
