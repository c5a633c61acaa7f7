"""Rate budgets, counted without the write-ahead log; the ETag of answers that are replayed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0003_levels_and_cache")]
    operations = [
        migrations.CreateModel(
            name="RateBudget",
            fields=[
                ("key", models.CharField(max_length=120, primary_key=True, serialize=False)),
                ("minute", models.BigIntegerField()),
                ("taken", models.IntegerField()),
                ("before", models.IntegerField()),
                ("granted", models.IntegerField()),
            ],
        ),
        migrations.RunSQL(
            "ALTER TABLE core_ratebudget SET UNLOGGED", "ALTER TABLE core_ratebudget SET LOGGED"
        ),
        migrations.AddField(
            model_name="idempotentanswer",
            name="etag",
            field=models.CharField(blank=True, db_default="", max_length=40),
        ),
    ]
