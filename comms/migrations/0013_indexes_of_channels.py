"""What a channel sent and what went wrong last, also by contact; built while messages are sent."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("comms", "0012_channels")]

    operations = [
        migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state", "sent")),
                fields=["channel", "sent_at"],
                name="deliveries_of_a_channel",
            ),
        ),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state__in", ("retrying", "dead"))),
                fields=["channel", "due_at"],
                name="deliveries_that_failed",
            ),
        ),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state__in", ("sent", "dead"))),
                fields=["contact", "-id"],
                name="deliveries_of_a_contact",
            ),
        ),
    ]
