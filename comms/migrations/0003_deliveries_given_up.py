from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Counting what was given up must not read the whole history."""

    atomic = False  # built while deliveries go on

    dependencies = [("comms", "0002_initial")]

    operations = [
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state", "dead")), fields=["due_at"], name="deliveries_given_up"
            ),
        ),
    ]
