"""How senders find what is due in their lane; built while messages are sent."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("comms", "0007_messages_by_every_way")]

    operations = [
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state__in", ("pending", "retrying", "sending"))),
                fields=["lane", "urgent", "due_at", "id"],
                name="deliveries_of_a_lane",
            ),
        ),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state__in", ("pending", "sending"))),
                fields=["channel", "recipient", "id"],
                name="deliveries_to_somebody",
            ),
        ),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("lane__in", ("sms", "voice")), ("state", "sent")),
                fields=["channel", "recipient", "-sent_at"],
                name="deliveries_that_rang",
            ),
        ),
    ]
