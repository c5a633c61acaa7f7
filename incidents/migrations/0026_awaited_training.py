"""Courses that somebody has never done, and when it was said to them."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("incidents", "0025_retrospectives"),
    ]

    operations = [
        migrations.CreateModel(
            name="AwaitedTraining",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("course", models.CharField(max_length=60)),
                ("due_at", models.DateTimeField(help_text="Until when it is to be done for the first time.")),
                ("reminded_at", models.DateTimeField(null=True)),
                (
                    "overdue_at",
                    models.DateTimeField(help_text="When it was said last that it is overdue.", null=True),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [models.Index(fields=["due_at"], name="awaited_training_by_due")],
                "constraints": [
                    models.UniqueConstraint(fields=("user", "course"), name="one_awaited_training_per_course")
                ],
            },
        ),
    ]
