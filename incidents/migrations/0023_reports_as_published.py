"""What the files of a published report say at their head, the history of its timeline, and a section more."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER report_row_changes_are_append_only BEFORE UPDATE OR DELETE ON incidents_reportrowchange
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
"""
NOT_APPEND_ONLY = "DROP TRIGGER report_row_changes_are_append_only ON incidents_reportrowchange;"
SECTIONS = [
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
    ("no_prevention", "Why no prevention measure"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0010_patient_consumers"),
        ("incidents", "0022_insights"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReportRowChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.PositiveIntegerField()),
                ("revision", models.PositiveIntegerField()),
                ("included", models.BooleanField()),
                ("event_text", models.CharField(blank=True, max_length=500)),
                ("action_text", models.CharField(blank=True, max_length=500)),
                ("owner", models.CharField(blank=True, max_length=200)),
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=200)),
                (
                    "changed_by_account",
                    models.BigIntegerField(help_text="No foreign key: accounts may go.", null=True),
                ),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="core.event"
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="row_changes",
                        to="incidents.report",
                    ),
                ),
            ],
            options={"ordering": ["-pk"]},
        ),
        migrations.AddConstraint(
            model_name="reportrowchange",
            constraint=models.UniqueConstraint(
                fields=("report", "event", "version"), name="one_change_per_version_of_a_row"
            ),
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
        migrations.AddField(
            model_name="publishedreport",
            name="title",
            field=models.CharField(blank=True, db_default="", max_length=200),
        ),
        migrations.AddField(
            model_name="publishedreport",
            name="severity",
            field=models.CharField(blank=True, db_default="", max_length=2),
        ),
        migrations.AddField(
            model_name="publishedreport",
            name="severity_name",
            field=models.CharField(blank=True, db_default="", max_length=200),
        ),
        migrations.AlterField(
            model_name="reporttext",
            name="section",
            field=models.CharField(choices=SECTIONS, max_length=24),
        ),
        migrations.AlterField(
            model_name="reportchange",
            name="section",
            field=models.CharField(choices=SECTIONS, max_length=24),
        ),
        migrations.RemoveConstraint(model_name="reporttext", name="report_section_is_known"),
        AddConstraintNotValid(
            model_name="reporttext",
            constraint=models.CheckConstraint(
                condition=models.Q(("section__in", [key for key, _label in SECTIONS])),
                name="report_section_is_known",
            ),
        ),
    ]
