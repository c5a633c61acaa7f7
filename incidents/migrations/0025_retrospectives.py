"""A review may be the retrospective of one incident, and an action item come from a review."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("incidents", "0024_validate_reports")]
    operations = [
        migrations.AddField(
            model_name="review",
            name="incident",
            field=models.ForeignKey(
                db_index=False,
                help_text="Whose retrospective it is; null for a review of the process.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="retrospectives",
                to="incidents.incident",
            ),
        ),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.UniqueConstraint(
                condition=models.Q(("incident__isnull", False)),
                fields=("incident",),
                name="one_retrospective_per_incident",
            ),
        ),
        migrations.AddField(
            model_name="actionitem",
            name="review",
            field=models.ForeignKey(
                db_index=False,
                help_text="The review that it comes from, where it was one.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="action_items",
                to="incidents.review",
            ),
        ),
    ]
