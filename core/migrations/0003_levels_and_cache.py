"""The account levels as groups, and the table of the database cache."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

LEVELS = ("viewer", "responder", "commander", "administrator")
CACHE_TABLE = """
CREATE TABLE core_cache (
    cache_key varchar(255) NOT NULL PRIMARY KEY,
    value text NOT NULL,
    expires timestamp with time zone NOT NULL
);
CREATE INDEX core_cache_expires ON core_cache (expires);
"""


def create_levels(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    groups = apps.get_model("auth", "Group").objects.using(editor.connection.alias)
    for name in LEVELS:
        groups.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("core", "0002_append_only_events")]
    operations = [
        migrations.RunPython(create_levels, migrations.RunPython.noop),
        migrations.RunSQL(CACHE_TABLE, "DROP TABLE core_cache"),
    ]
