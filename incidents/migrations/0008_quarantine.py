"""A release that must not be returned to, since when and why."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0007_reading_at_size"),
    ]

    operations = [
        migrations.AddField(
            model_name="release",
            name="quarantine_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
        migrations.AddField(
            model_name="release",
            name="quarantined_at",
            field=models.DateTimeField(
                editable=False,
                help_text="Since when it must not be returned to, even while it is live.",
                null=True,
            ),
        ),
    ]
