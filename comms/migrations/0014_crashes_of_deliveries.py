"""How often sending crashed, and what is tried again by recipient; built while messages are sent."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("comms", "0013_indexes_of_channels")]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="crashes",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state", "retrying")),
                fields=["channel", "recipient", "id"],
                name="deliveries_tried_again",
            ),
        ),
    ]
