"""Whether somebody's last messages arrived, without reading all of them; built while messages are sent."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("comms", "0011_webhooks")]

    operations = [
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state__in", ("sent", "dead"))),
                fields=["contact", "-id"],
                name="deliveries_of_a_contact",
            ),
        ),
    ]
