"""The items of checklists that somebody is to be reminded of, found without reading all of them."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("incidents", "0020_full_text")]

    operations = [
        migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="checklistitem",
            index=models.Index(
                condition=models.Q(("remind_at__isnull", False), ("ticked_at__isnull", True)),
                fields=["remind_at"],
                name="checklist_items_to_remind_of",
            ),
        ),
    ]
