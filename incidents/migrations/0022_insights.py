"""An index from which the figures of any span are read, without the rows; made without holding up writers."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("incidents", "0021_checklists_to_remind_of")]
    operations = [
        migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            "incident",
            models.Index(
                fields=["declared_at"],
                include=(
                    "id",
                    "severity",
                    "restricted",
                    "status",
                    "acknowledged_at",
                    "resolved_at",
                    "response_due_at",
                    "response_breached_at",
                ),
                condition=models.Q(("drill", False)),
                name="incidents_measured",
            ),
        ),
        migrations.RunSQL("RESET lock_timeout", migrations.RunSQL.noop),
    ]
