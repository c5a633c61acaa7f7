"""What automation decides is stored, once and for good; a single measurement is confirmed first."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER decisions_are_append_only BEFORE UPDATE OR DELETE ON rollbacks_decision
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
"""
NOT_APPEND_ONLY = "DROP TRIGGER decisions_are_append_only ON rollbacks_decision"


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0009_history_of_second_factors"),
        ("incidents", "0009_checklists"),
        ("rollbacks", "0006_trusted_engine"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Decision",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                (
                    "monitor",
                    models.BigIntegerField(help_text="No foreign key: monitors are removed.", null=True),
                ),
                ("metric", models.CharField(max_length=60)),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("started", "Rollback started"),
                            ("awaits_approval", "Approval asked for"),
                            ("refused", "Not rolled back"),
                            ("not_called_for", "No rollback called for"),
                        ],
                        max_length=16,
                    ),
                ),
                ("reasons", models.JSONField(default=list)),
                ("evidence", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.AddField(
            model_name="rollback",
            name="breach_at",
            field=models.DateTimeField(help_text="When that monitor measured what it asks for.", null=True),
        ),
        migrations.AddField(
            model_name="rollback",
            name="breach_check",
            field=models.CharField(
                blank=True,
                choices=[
                    ("waiting", "Waits for confirmation"),
                    ("confirmed", "Confirmed"),
                    ("refuted", "Refuted"),
                    ("timed_out", "Not confirmed in time"),
                ],
                db_default="",
                default="",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="rollback",
            name="breach_check_until",
            field=models.DateTimeField(
                help_text="Until when the breach must be confirmed before anything is changed.", null=True
            ),
        ),
        migrations.AddField(
            model_name="rollback",
            name="monitor",
            field=models.BigIntegerField(
                help_text="The monitor that made automation ask; no foreign key: monitors are removed.",
                null=True,
            ),
        ),
        migrations.AddConstraint(
            model_name="rollback",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("breach_check", "waiting"), _negated=True),
                    ("mutated_at", None),
                    _connector="OR",
                ),
                name="nothing_changes_before_the_breach_is_confirmed",
            ),
        ),
        migrations.AddField(
            model_name="decision",
            name="cause_event",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="core.event"
            ),
        ),
        migrations.AddField(
            model_name="decision",
            name="incident",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="incidents.incident"
            ),
        ),
        migrations.AddField(
            model_name="decision",
            name="rollback",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="rollbacks.rollback",
            ),
        ),
        migrations.AddField(
            model_name="decision",
            name="service",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="incidents.service"
            ),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(fields=["service", "-id"], name="decisions_of_a_service"),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(fields=["incident", "-id"], name="decisions_of_an_incident"),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(fields=["verdict", "-id"], name="decisions_by_verdict"),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(fields=["at"], name="decisions_by_time"),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(
                condition=models.Q(("rollback__isnull", False), ("verdict", "refused")),
                fields=["-id"],
                name="decisions_unconfirmed",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("verdict__in", ["started", "awaits_approval", "refused", "not_called_for"])
                ),
                name="verdict_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("verdict__in", ("refused", "not_called_for")),
                    ("rollback__isnull", False),
                    _connector="OR",
                ),
                name="who_decides_for_a_rollback_names_it",
            ),
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
