"""Indexes for pages that cost the same with ten thousand services; made without holding up writers."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("incidents", "0012_alerts")]
    operations = [
        migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently("service", models.Index(fields=["name", "slug"], name="services_by_name")),
        AddIndexConcurrently(
            "monitor",
            models.Index(
                fields=["service"],
                condition=models.Q(("enabled", True), models.Q(("level", "ok"), _negated=True)),
                name="monitors_in_trouble",
            ),
        ),
        migrations.RunSQL("RESET lock_timeout", migrations.RunSQL.noop),
    ]
