"""Indexes for finding services and releases by words and versions; made without holding up writers."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

SERVICE_WORDS = """
CREATE FUNCTION incidents_service_words(slug text, name text, environment text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('pg_catalog.simple'::regconfig, regexp_replace(
        slug || ' ' || name || ' ' || environment, '[^[:alnum:]]+', ' ', 'g'))
"""
SERVICES_SEARCH = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS services_search ON incidents_service
 USING gin (incidents_service_words(slug, name, environment)) WITH (gin_pending_list_limit = 256)
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("incidents", "0013_services_at_size")]
    operations = [
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        migrations.RunSQL(SERVICE_WORDS, "DROP FUNCTION incidents_service_words(text, text, text)"),
        migrations.RunSQL(SERVICES_SEARCH, "DROP INDEX CONCURRENTLY IF EXISTS services_search"),
        AddIndexConcurrently(
            "release",
            models.Index(fields=["version"], opclasses=["varchar_pattern_ops"], name="releases_by_version"),
        ),
        AddIndexConcurrently(
            "release",
            models.Index(
                fields=["commit"],
                opclasses=["varchar_pattern_ops"],
                condition=~models.Q(commit=""),
                name="releases_by_commit",
            ),
        ),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
