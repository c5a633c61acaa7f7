"""What is kept and for how long: the history of configuration, old rows, backups."""

from pathlib import Path

import pghistory

from config.settings.base import VAR_DIR, env

# --- history of configuration: see core.history ---------------------------------------------------
PGHISTORY_BASE_MODEL = "core.models.history.Change"
PGHISTORY_APPEND_ONLY = True  # triggers refuse even the owner; the application's role has no right at all
PGHISTORY_CREATED_AT_FUNCTION = "CLOCK_TIMESTAMP()"
# Beside the values, not in a table of its own: a context that is updated would not be append-only.
PGHISTORY_CONTEXT_FIELD = pghistory.ContextJSONField()
PGHISTORY_OBJ_FIELD = pghistory.ObjForeignKey(related_name="+", related_query_name="+")

# --- retention: days until a row is forgotten, 0 keeps it for ever; see RETENTION in the wiring ---
RETENTION_SAMPLES_DAYS = env.int("RETENTION_SAMPLES_DAYS", default=3)  # measurements, once rolled up
RETENTION_ROLLUPS_DAYS = env.int("RETENTION_ROLLUPS_DAYS", default=35)  # their five minutes
RETENTION_INBOUND_DAYS = env.int("RETENTION_INBOUND_DAYS", default=7)  # deliveries of alerts, once processed
RETENTION_ALERTS_DAYS = env.int("RETENTION_ALERTS_DAYS", default=365)  # alerts, after they ended
RETENTION_OUTPUT_DAYS = env.int("RETENTION_OUTPUT_DAYS", default=90)  # of commands, after the rollback's end
RETENTION_WEBHOOKS_DAYS = env.int(
    "RETENTION_WEBHOOKS_DAYS", default=30
)  # after a delivery was sent or given up
RETENTION_SESSIONS_DAYS = env.int("RETENTION_SESSIONS_DAYS", default=1)  # after a session ended
RETENTION_CACHE_DAYS = env.int("RETENTION_CACHE_DAYS", default=1)  # after an entry ended
RETENTION_HEARTBEATS_DAYS = env.int("RETENTION_HEARTBEATS_DAYS", default=7)  # of hosts that are gone
RETENTION_TOKENS_DAYS = env.int("RETENTION_TOKENS_DAYS", default=365)  # after a token expired
RETENTION_UNCONFIRMED_DAYS = env.int(
    "RETENTION_UNCONFIRMED_DAYS", default=3
)  # subscriptions nobody confirmed
RETENTION_STATUS_DAYS = env.int("RETENTION_STATUS_DAYS", default=400)  # of components, for the status page
RETENTION_ADMIN_LOG_DAYS = env.int("RETENTION_ADMIN_LOG_DAYS", default=365)  # the history keeps the same

# --- backups --------------------------------------------------------------------------------------
BACKUP_DIR = Path(env.str("BACKUP_DIR", default=str(VAR_DIR / "backups")))
BACKUP_KEEP = env.int("BACKUP_KEEP", default=14)  # how many `manage.py backup` leaves there

# --- upgrades -------------------------------------------------------------------------------------
MIGRATE_LOCK_TIMEOUT_SECONDS = env.float("MIGRATE_LOCK_TIMEOUT_SECONDS", default=2.0)  # for one table
MIGRATE_PATIENCE_SECONDS = env.float("MIGRATE_PATIENCE_SECONDS", default=300.0)  # trying again, in all
