"""The index for finding contacts by words; made without holding up writers."""

from django.db import migrations

CONTACT_WORDS = """
CREATE FUNCTION comms_contact_words(name text, title text, role text, email text, phone text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('pg_catalog.simple'::regconfig, regexp_replace(
        name || ' ' || title || ' ' || role || ' ' || email || ' ' || phone, '[^[:alnum:]]+', ' ', 'g'))
"""
CONTACTS_SEARCH = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS contacts_search ON comms_contact
 USING gin (comms_contact_words(name, title, role, email, phone)) WITH (gin_pending_list_limit = 256)
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("comms", "0014_crashes_of_deliveries")]
    operations = [
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        migrations.RunSQL(CONTACT_WORDS, "DROP FUNCTION comms_contact_words(text, text, text, text, text)"),
        migrations.RunSQL(CONTACTS_SEARCH, "DROP INDEX CONCURRENTLY IF EXISTS contacts_search"),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
