"""Drills with their scenarios, scorecards and the weeks in which overdue rehearsals were told."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION rollbacks_refuse_reviving_drill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'drill % is %: it cannot become %', OLD.id, OLD.state, NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ended_drill_stays_ended';
END $$;
CREATE TRIGGER ended_drill_stays_ended BEFORE UPDATE OF state ON rollbacks_drill
    FOR EACH ROW WHEN (OLD.state IN ('finished', 'cancelled') AND NEW.state <> OLD.state)
    EXECUTE FUNCTION rollbacks_refuse_reviving_drill();
"""
BACKWARD = """
DROP TRIGGER ended_drill_stays_ended ON rollbacks_drill;
DROP FUNCTION rollbacks_refuse_reviving_drill();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0017_reports"),
        ("rollbacks", "0007_decisions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RehearsalLapse",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("week", models.DateField(unique=True)),
                ("said_at", models.DateTimeField()),
                ("services", models.PositiveIntegerField()),
            ],
            options={
                "ordering": ["-week"],
            },
        ),
        migrations.CreateModel(
            name="Drill",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("scenario", models.CharField(max_length=60)),
                ("plan", models.JSONField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("planned", "Planned"),
                            ("running", "Running"),
                            ("finished", "Finished"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="planned",
                        max_length=10,
                    ),
                ),
                ("slot", models.CharField(blank=True, max_length=20)),
                ("starts_at", models.DateTimeField()),
                ("page_people", models.BooleanField(default=False)),
                ("planned_by", models.CharField(max_length=200)),
                ("planned_at", models.DateTimeField()),
                ("reminded_at", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("deadline_at", models.DateTimeField(help_text="When it ends by itself.", null=True)),
                ("injects_sent", models.PositiveSmallIntegerField(default=0)),
                ("ended_at", models.DateTimeField(null=True)),
                ("outcome", models.CharField(blank=True, help_text="Why it ended.", max_length=500)),
                ("scorecard", models.JSONField(null=True)),
                ("notes", models.TextField(blank=True)),
                ("due_at", models.DateTimeField(null=True)),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "incident",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="incidents.incident",
                    ),
                ),
                ("participants", models.ManyToManyField(related_name="+", to=settings.AUTH_USER_MODEL)),
                (
                    "planned_by_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="incidents.service"
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="drills_due"
                    ),
                    models.Index(fields=["service", "-id"], name="drills_of_a_service"),
                    models.Index(fields=["state", "-id"], name="drills_by_state"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["planned", "running", "finished", "cancelled"])),
                        name="drill_state_is_known",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("slot", ""), _negated=True),
                        fields=("slot",),
                        name="one_drill_for_each_day_of_the_calendar",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")),
                        fields=("service",),
                        name="one_running_drill_per_service",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ("running", "finished")), _negated=True),
                            models.Q(("incident__isnull", False), ("started_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="drill_that_was_held_has_its_incident",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "finished"), _negated=True),
                            ("scorecard__isnull", False),
                            _connector="OR",
                        ),
                        name="finished_drill_has_its_scorecard",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", True), ("state__in", ("planned", "running"))),
                            models.Q(("ended_at__isnull", False), ("state__in", ("finished", "cancelled"))),
                            _connector="OR",
                        ),
                        name="drill_that_is_over_has_its_end",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
