"""Action items; whose an item of a checklist is, and when they are reminded of it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

UNFINISHED = ("open", "in_progress")


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0017_reports"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ActionItem",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("action", "Action item"),
                            ("immediate", "Prevention, immediate"),
                            ("long_term", "Prevention, long-term"),
                        ],
                        db_default="action",
                        default="action",
                        max_length=9,
                    ),
                ),
                ("title", models.CharField(max_length=200)),
                ("description", models.TextField(blank=True)),
                ("due_on", models.DateField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("in_progress", "In progress"),
                            ("done", "Done"),
                            ("dropped", "Dropped"),
                        ],
                        db_default="open",
                        default="open",
                        max_length=11,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("created_by", models.CharField(max_length=200)),
                ("finished_at", models.DateTimeField(null=True)),
                ("finished_by", models.CharField(blank=True, max_length=200)),
                (
                    "finished_note",
                    models.TextField(blank=True, help_text="What was done, or why it will not be."),
                ),
                (
                    "remind_at",
                    models.DateTimeField(help_text="When its owner is reminded next.", null=True),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "incident",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="action_items",
                        to="incidents.incident",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [
                    models.Index(
                        condition=Q(("remind_at__isnull", False)),
                        fields=["remind_at"],
                        name="action_items_to_remind_of",
                    ),
                    models.Index(fields=["state", "due_on"], name="action_items_by_due"),
                    models.Index(fields=["owner", "id"], name="action_items_by_owner"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(("state__in", ["open", "in_progress", "done", "dropped"])),
                        name="action_item_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=Q(("kind__in", ["action", "immediate", "long_term"])),
                        name="action_item_kind_is_known",
                    ),
                    models.CheckConstraint(
                        condition=Q(state__in=UNFINISHED, finished_at__isnull=True, finished_by="")
                        | (~Q(state__in=UNFINISHED) & Q(finished_at__isnull=False) & ~Q(finished_by="")),
                        name="finished_action_item_says_when_and_by_whom",
                    ),
                    models.CheckConstraint(
                        condition=Q(remind_at__isnull=True) | Q(state__in=UNFINISHED, due_on__isnull=False),
                        name="only_due_action_items_are_reminded_of",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="checklistitem",
            name="owner",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="checklistitem",
            name="remind_at",
            field=models.DateTimeField(
                help_text="When its owner is reminded that its window ends; null once that was said.",
                null=True,
            ),
        ),
    ]
