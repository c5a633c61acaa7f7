"""Post-incident reports: what people wrote, its history, and what was published."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER report_changes_are_append_only BEFORE UPDATE OR DELETE ON incidents_reportchange
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
CREATE TRIGGER published_reports_are_append_only BEFORE UPDATE OR DELETE ON incidents_publishedreport
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
"""
NOT_APPEND_ONLY = """
DROP TRIGGER report_changes_are_append_only ON incidents_reportchange;
DROP TRIGGER published_reports_are_append_only ON incidents_publishedreport;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0010_patient_consumers"),
        ("incidents", "0016_tasks_and_evidence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Report",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("draft", "Draft"), ("in_review", "In review"), ("published", "Published")],
                        default="draft",
                        max_length=10,
                    ),
                ),
                ("revision", models.PositiveIntegerField(default=1)),
                ("version", models.PositiveIntegerField(default=1)),
                ("drafted_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("submitted_at", models.DateTimeField(null=True)),
                ("submitted_by", models.CharField(blank=True, max_length=200)),
                ("published_at", models.DateTimeField(help_text="When it was published last.", null=True)),
                ("published_by", models.CharField(blank=True, max_length=200)),
                (
                    "reminded_at",
                    models.DateTimeField(
                        help_text="When it was said that this due time comes near.", null=True
                    ),
                ),
                (
                    "overdue_at",
                    models.DateTimeField(
                        help_text="When it was said that this due time had passed.", null=True
                    ),
                ),
                (
                    "incident",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="report",
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
                (
                    "submitted_by_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="PublishedReport",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("revision", models.PositiveIntegerField()),
                ("markdown", models.TextField()),
                ("sha256", models.CharField(max_length=64)),
                ("published_at", models.DateTimeField()),
                ("published_by", models.CharField(max_length=200)),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="published",
                        to="incidents.report",
                    ),
                ),
            ],
            options={
                "ordering": ["-revision"],
            },
        ),
        migrations.CreateModel(
            name="ReportChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "section",
                    models.CharField(
                        choices=[
                            ("impact", "Impact"),
                            ("primary_cause", "Primary cause"),
                            ("contributing_factors", "Contributing factors"),
                            ("actions_taken", "Actions taken"),
                            ("users_affected", "Users affected"),
                            ("impact_duration", "Duration of impact"),
                            ("functionality_affected", "Functionality affected"),
                            ("revenue_impact", "Revenue impact"),
                            ("sla_breach", "SLA breach"),
                            ("customer_complaints", "Customer complaints"),
                            ("went_well", "What went well"),
                            ("could_be_improved", "What could be improved"),
                        ],
                        max_length=24,
                    ),
                ),
                ("version", models.PositiveIntegerField()),
                ("revision", models.PositiveIntegerField()),
                ("text", models.TextField(blank=True)),
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=200)),
                (
                    "changed_by_account",
                    models.BigIntegerField(help_text="No foreign key: accounts may go.", null=True),
                ),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="changes",
                        to="incidents.report",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="ReportRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("included", models.BooleanField()),
                ("event_text", models.CharField(blank=True, max_length=500)),
                ("action_text", models.CharField(blank=True, max_length=500)),
                ("owner", models.CharField(blank=True, max_length=200)),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="core.event"
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="incidents.report",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ReportText",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "section",
                    models.CharField(
                        choices=[
                            ("impact", "Impact"),
                            ("primary_cause", "Primary cause"),
                            ("contributing_factors", "Contributing factors"),
                            ("actions_taken", "Actions taken"),
                            ("users_affected", "Users affected"),
                            ("impact_duration", "Duration of impact"),
                            ("functionality_affected", "Functionality affected"),
                            ("revenue_impact", "Revenue impact"),
                            ("sla_breach", "SLA breach"),
                            ("customer_complaints", "Customer complaints"),
                            ("went_well", "What went well"),
                            ("could_be_improved", "What could be improved"),
                        ],
                        max_length=24,
                    ),
                ),
                ("text", models.TextField(blank=True)),
                ("version", models.PositiveIntegerField(default=1)),
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=200)),
                (
                    "by_machine",
                    models.BooleanField(help_text="Nobody has touched what was drafted from the timeline."),
                ),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="texts",
                        to="incidents.report",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="report",
            index=models.Index(
                condition=models.Q(
                    models.Q(("state", "published"), _negated=True), ("overdue_at__isnull", True)
                ),
                fields=["due_at"],
                name="reports_due",
            ),
        ),
        migrations.AddIndex(
            model_name="report",
            index=models.Index(fields=["state", "due_at"], name="reports_by_state"),
        ),
        migrations.AddConstraint(
            model_name="report",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["draft", "in_review", "published"])),
                name="report_state_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="report",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "published"), _negated=True),
                    models.Q(("published_at__isnull", False), models.Q(("published_by", ""), _negated=True)),
                    _connector="OR",
                ),
                name="published_report_says_when_and_by_whom",
            ),
        ),
        migrations.AddConstraint(
            model_name="publishedreport",
            constraint=models.UniqueConstraint(
                fields=("report", "revision"), name="one_published_report_per_revision"
            ),
        ),
        migrations.AddConstraint(
            model_name="reportchange",
            constraint=models.UniqueConstraint(
                fields=("report", "section", "version"), name="one_change_per_version_of_a_section"
            ),
        ),
        migrations.AddConstraint(
            model_name="reportrow",
            constraint=models.UniqueConstraint(
                fields=("report", "event"), name="one_row_per_report_and_event"
            ),
        ),
        migrations.AddConstraint(
            model_name="reporttext",
            constraint=models.UniqueConstraint(fields=("report", "section"), name="one_text_per_section"),
        ),
        migrations.AddConstraint(
            model_name="reporttext",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "section__in",
                        [
                            "impact",
                            "primary_cause",
                            "contributing_factors",
                            "actions_taken",
                            "users_affected",
                            "impact_duration",
                            "functionality_affected",
                            "revenue_impact",
                            "sla_breach",
                            "customer_complaints",
                            "went_well",
                            "could_be_improved",
                        ],
                    )
                ),
                name="report_section_is_known",
            ),
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
