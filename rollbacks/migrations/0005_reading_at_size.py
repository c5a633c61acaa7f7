"""Indexes for lists that stay as fast with a long history; made without holding up writers."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("rollbacks", "0004_history_of_configuration")]
    operations = [
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently("rollback", models.Index(fields=["state", "-id"], name="rollbacks_by_state")),
        AddIndexConcurrently(
            "rollback", models.Index(fields=["service", "-id"], name="rollbacks_of_a_service")
        ),
        AddIndexConcurrently(
            "rollback",
            models.Index(fields=["-id"], condition=models.Q(drill=True), name="rollbacks_drills"),
        ),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
