"""What is kept and for how long: the history of configuration, old rows, backups."""

import pghistory

# --- history of configuration: see core.history ---------------------------------------------------
PGHISTORY_BASE_MODEL = "core.models.history.Change"
PGHISTORY_APPEND_ONLY = True  # triggers refuse even the owner; the application's role has no right at all
PGHISTORY_CREATED_AT_FUNCTION = "CLOCK_TIMESTAMP()"
# Beside the values, not in a table of its own: a context that is updated would not be append-only.
PGHISTORY_CONTEXT_FIELD = pghistory.ContextJSONField()
PGHISTORY_OBJ_FIELD = pghistory.ObjForeignKey(related_name="+", related_query_name="+")
