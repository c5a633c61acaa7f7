"""Tasks of an incident, and evidence that nobody changes once it is stored."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER evidence_is_append_only BEFORE UPDATE OR DELETE ON incidents_evidence
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
CREATE TRIGGER pieces_are_append_only BEFORE UPDATE OR DELETE ON incidents_evidencecontent
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
CREATE TRIGGER withdrawals_are_append_only BEFORE UPDATE OR DELETE ON incidents_evidencewithdrawal
    FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
"""
NOT_APPEND_ONLY = """
DROP TRIGGER evidence_is_append_only ON incidents_evidence;
DROP TRIGGER pieces_are_append_only ON incidents_evidencecontent;
DROP TRIGGER withdrawals_are_append_only ON incidents_evidencewithdrawal;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0010_patient_consumers"),
        ("incidents", "0015_presence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Evidence",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("description", models.CharField(blank=True, max_length=500)),
                (
                    "kind",
                    models.CharField(
                        choices=[("image", "Image"), ("text", "Text"), ("file", "File")], max_length=5
                    ),
                ),
                ("content_type", models.CharField(max_length=60)),
                ("size", models.PositiveIntegerField(help_text="Bytes.")),
                ("sha256", models.CharField(max_length=64)),
                ("attached_at", models.DateTimeField()),
                ("attached_by", models.CharField(max_length=200)),
                (
                    "attached_by_account",
                    models.BigIntegerField(help_text="No foreign key: accounts may go.", null=True),
                ),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="evidence",
                        to="incidents.incident",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="EvidenceContent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveIntegerField()),
                ("piece", models.BinaryField()),
                (
                    "evidence",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="pieces",
                        to="incidents.evidence",
                    ),
                ),
            ],
            options={
                "ordering": ["evidence", "position"],
            },
        ),
        migrations.CreateModel(
            name="EvidenceWithdrawal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                ("withdrawn_at", models.DateTimeField()),
                ("withdrawn_by", models.CharField(max_length=200)),
                (
                    "evidence",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="withdrawal",
                        to="incidents.evidence",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Task",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("title", models.CharField(max_length=200)),
                ("due_at", models.DateTimeField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("done", "Done"), ("dropped", "Dropped")],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("created_by", models.CharField(max_length=200)),
                ("finished_at", models.DateTimeField(null=True)),
                ("finished_by", models.CharField(blank=True, max_length=200)),
                (
                    "overdue_at",
                    models.DateTimeField(
                        help_text="When it was said that this due time had passed; another due time starts anew.",
                        null=True,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tasks",
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
                        condition=models.Q(
                            ("due_at__isnull", False), ("overdue_at__isnull", True), ("state", "open")
                        ),
                        fields=["due_at"],
                        name="tasks_due",
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["image", "text", "file"])), name="evidence_kind_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("size__gt", 0)), name="evidence_is_not_empty"
            ),
        ),
        migrations.AddConstraint(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("sha256__regex", "^[0-9a-f]{64}$")), name="evidence_has_a_sha256"
            ),
        ),
        migrations.AddConstraint(
            model_name="evidencecontent",
            constraint=models.UniqueConstraint(
                fields=("evidence", "position"), name="one_piece_at_a_position"
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["open", "done", "dropped"])), name="task_state_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="task",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at__isnull", True), ("finished_by", ""), ("state", "open")),
                    models.Q(
                        models.Q(("state", "open"), _negated=True),
                        ("finished_at__isnull", False),
                        models.Q(("finished_by", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="finished_task_says_when_and_by_whom",
            ),
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
