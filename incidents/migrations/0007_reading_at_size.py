"""Indexes for lists that stay as fast with a million incidents; made without holding up writers."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# One word of the search is what letters and digits make: INC-2026-11-24-0001 has five.
SEARCH_WORDS = """
CREATE FUNCTION incidents_search_words(ref text, title text, description text, impact text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('pg_catalog.simple'::regconfig, regexp_replace(
        ref || ' ' || title || ' ' || left(description, 20000) || ' ' || left(impact, 20000), '[^[:alnum:]]+', ' ', 'g'))
"""
# Words that wait to be sorted into the index are read by every search: few may wait.
SEARCH_INDEX = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS incidents_search ON incidents_incident
 USING gin (incidents_search_words(ref, title, description, impact)) WITH (gin_pending_list_limit = 256)
"""
OF_A_SERVICE = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS incidents_of_a_service ON incidents_incident_services (service_id, incident_id)
"""

# Filters go together: all security incidents may be P0. Without this the database multiplies shares.
TOGETHER = """
CREATE STATISTICS IF NOT EXISTS incidents_filtered_together (mcv) ON severity, kind, status, drill
  FROM incidents_incident
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("incidents", "0006_lost_grant_ends_sessions")]
    operations = [
        # A large table takes longer than the settings' timeouts allow a request.
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            "incident", models.Index(fields=["severity", "-id"], name="incidents_by_severity")
        ),
        AddIndexConcurrently("incident", models.Index(fields=["kind", "-id"], name="incidents_by_kind")),
        AddIndexConcurrently("incident", models.Index(fields=["status", "-id"], name="incidents_by_status")),
        AddIndexConcurrently(
            "incident",
            models.Index(fields=["-id"], condition=models.Q(drill=True), name="incidents_drills"),
        ),
        migrations.RunSQL(OF_A_SERVICE, "DROP INDEX CONCURRENTLY IF EXISTS incidents_of_a_service"),
        migrations.RunSQL(SEARCH_WORDS, "DROP FUNCTION incidents_search_words(text, text, text, text)"),
        migrations.RunSQL(SEARCH_INDEX, "DROP INDEX CONCURRENTLY IF EXISTS incidents_search"),
        migrations.RunSQL(TOGETHER, "DROP STATISTICS IF EXISTS incidents_filtered_together"),
        migrations.RunSQL("ANALYZE incidents_incident", migrations.RunSQL.noop),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
