"""Messages for users with their gate, the status page, its subscribers."""

import django.db.models.deletion
import django.db.models.functions.text
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import comms.models.status
import core.models.history


class Migration(migrations.Migration):
    dependencies = [
        ("comms", "0009_escalation_clocks"),
        ("incidents", "0013_services_at_size"),
    ]

    operations = [
        migrations.AddField(
            model_name="message",
            name="drafted_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="message",
            name="version",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.AlterField(
            model_name="message",
            name="template",
            field=models.CharField(
                choices=[
                    ("incident_alert", "Incident alert"),
                    ("response_overdue", "Response overdue"),
                    ("escalation", "Escalation"),
                    ("checklist_overdue", "Checklist overdue"),
                    ("rollback_notice", "Rollback notice"),
                    ("approval_requested", "Approval requested"),
                    ("break_glass", "Glass was broken"),
                    ("attention_page", "A rollback needs a person"),
                    ("runner_missing", "No runner for a rollback"),
                    ("recovery", "Recovery"),
                    ("incident_update", "Update"),
                    ("incident_resolved", "Resolved"),
                    ("alarm", "Alarm of Firebreak itself"),
                    ("note", "Message"),
                    ("maintenance", "Maintenance"),
                    ("external_update", "Update for users"),
                    ("issue_resolved", "Issue resolved"),
                ],
                max_length=24,
            ),
        ),
        migrations.CreateModel(
            name="Component",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=comms.models.status.public_id, editable=False, max_length=12, unique=True
                    ),
                ),
                (
                    "group",
                    models.CharField(
                        blank=True, help_text="Public: components of a group stand together.", max_length=80
                    ),
                ),
                (
                    "position",
                    models.PositiveSmallIntegerField(default=100, help_text="Low numbers stand first."),
                ),
                ("description", models.CharField(blank=True, help_text="Public.", max_length=300)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("operational", "Operational"),
                            ("degraded_performance", "Degraded performance"),
                            ("partial_outage", "Partial outage"),
                            ("major_outage", "Major outage"),
                            ("under_maintenance", "Under maintenance"),
                        ],
                        default="operational",
                        editable=False,
                        max_length=24,
                    ),
                ),
                ("created_at", models.DateTimeField(editable=False)),
                ("changed_at", models.DateTimeField(editable=False)),
                ("counted_until", models.DateTimeField(editable=False)),
                (
                    "service",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="incidents.service"
                    ),
                ),
            ],
            options={
                "ordering": ["position", "pk"],
            },
        ),
        migrations.CreateModel(
            name="ComponentChange",
            fields=[
                ("pgh_created_at", models.DateTimeField(auto_now_add=True)),
                ("pgh_label", models.TextField(help_text="The event label.")),
                ("pgh_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pgh_role", models.TextField(db_default=core.models.history.DatabaseUser(), editable=False)),
                (
                    "pgh_program",
                    models.TextField(
                        db_default=models.Func(models.Value("application_name"), function="current_setting"),
                        editable=False,
                    ),
                ),
                ("pgh_context", pghistory.utils.JSONField(null=True)),
                (
                    "group",
                    models.CharField(
                        blank=True, help_text="Public: components of a group stand together.", max_length=80
                    ),
                ),
                (
                    "position",
                    models.PositiveSmallIntegerField(default=100, help_text="Low numbers stand first."),
                ),
                ("description", models.CharField(blank=True, help_text="Public.", max_length=300)),
                (
                    "pgh_obj",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="comms.component",
                    ),
                ),
                (
                    "service",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        related_query_name="+",
                        to="incidents.service",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ComponentDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                ("degraded_seconds", models.PositiveIntegerField(default=0)),
                ("partial_seconds", models.PositiveIntegerField(default=0)),
                ("major_seconds", models.PositiveIntegerField(default=0)),
                (
                    "component",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="days", to="comms.component"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PublicIncident",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(default=comms.models.status.public_id, max_length=12, unique=True),
                ),
                ("title", models.CharField(max_length=200)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("investigating", "Investigating"),
                            ("identified", "Identified"),
                            ("monitoring", "Monitoring"),
                            ("resolved", "Resolved"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "impact",
                    models.CharField(
                        choices=[
                            ("none", "None"),
                            ("minor", "Minor"),
                            ("major", "Major"),
                            ("critical", "Critical"),
                        ],
                        max_length=12,
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("monitoring_at", models.DateTimeField(null=True)),
                ("resolved_at", models.DateTimeField(null=True)),
                ("components", models.ManyToManyField(related_name="+", to="comms.component")),
                (
                    "incident",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="incidents.incident"
                    ),
                ),
            ],
            options={
                "ordering": ["-started_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="PublicUpdate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(default=comms.models.status.public_id, max_length=12, unique=True),
                ),
                ("title", models.CharField(max_length=200)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("investigating", "Investigating"),
                            ("identified", "Identified"),
                            ("monitoring", "Monitoring"),
                            ("resolved", "Resolved"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "impact",
                    models.CharField(
                        choices=[
                            ("none", "None"),
                            ("minor", "Minor"),
                            ("major", "Major"),
                            ("critical", "Critical"),
                        ],
                        max_length=12,
                    ),
                ),
                ("impact_text", models.TextField(blank=True)),
                ("update_text", models.TextField(blank=True)),
                ("root_cause", models.TextField(blank=True)),
                ("expected_duration", models.CharField(blank=True, max_length=80)),
                ("started_at", models.DateTimeField()),
                ("resolved_at", models.DateTimeField(null=True)),
                ("components", models.JSONField(default=dict)),
                ("changes", models.JSONField(default=list)),
                ("body", models.TextField(blank=True)),
                ("published_at", models.DateTimeField(null=True)),
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="public", to="comms.message"
                    ),
                ),
                (
                    "public_incident",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="updates",
                        to="comms.publicincident",
                    ),
                ),
            ],
            options={
                "ordering": ["-published_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="StatusSnapshot",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("due_at", models.DateTimeField()),
                ("written_at", models.DateTimeField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_status_snapshot")
                ],
            },
        ),
        migrations.CreateModel(
            name="Subscriber",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("email", models.EmailField(max_length=254)),
                (
                    "key",
                    models.CharField(default=comms.models.status.subscriber_key, max_length=32, unique=True),
                ),
                ("asked_at", models.DateTimeField()),
                ("mail_due_at", models.DateTimeField(null=True)),
                ("confirmed_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("confirmed_at__isnull", False)),
                        fields=["id"],
                        name="subscribers_confirmed",
                    ),
                    models.Index(
                        condition=models.Q(("mail_due_at__isnull", False)),
                        fields=["mail_due_at"],
                        name="subscribers_to_be_mailed",
                    ),
                    models.Index(
                        condition=models.Q(("confirmed_at__isnull", True)),
                        fields=["asked_at"],
                        name="subscribers_unconfirmed",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("email"), name="one_subscription_per_address"
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="component",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        [
                            "operational",
                            "degraded_performance",
                            "partial_outage",
                            "major_outage",
                            "under_maintenance",
                        ],
                    )
                ),
                name="component_state_is_known",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="component",
            trigger=pgtrigger.compiler.Trigger(
                name="created_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "comms_componentchange" ("description", "group", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "position", "service_id") VALUES (NEW."description", NEW."group", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'created\', NEW."id", NEW."position", NEW."service_id"); RETURN NULL;',
                    hash="426034b52ac61fb0217b81793b691258925c2daa",
                    operation="INSERT",
                    pgid="pgtrigger_created_insert_af1bb",
                    table="comms_component",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="component",
            trigger=pgtrigger.compiler.Trigger(
                name="deleted_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "comms_componentchange" ("description", "group", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "position", "service_id") VALUES (OLD."description", OLD."group", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'deleted\', OLD."id", OLD."position", OLD."service_id"); RETURN NULL;',
                    hash="679bc68b9a66867f455d9c22ad251d50f91553cc",
                    operation="DELETE",
                    pgid="pgtrigger_deleted_delete_9869a",
                    table="comms_component",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="component",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."description" IS DISTINCT FROM (NEW."description") OR OLD."group" IS DISTINCT FROM (NEW."group") OR OLD."position" IS DISTINCT FROM (NEW."position") OR OLD."service_id" IS DISTINCT FROM (NEW."service_id"))',
                    func='INSERT INTO "comms_componentchange" ("description", "group", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "position", "service_id") VALUES (NEW."description", NEW."group", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'changed\', NEW."id", NEW."position", NEW."service_id"); RETURN NULL;',
                    hash="c11068ec01ef5786a034a37d1595c6a30bded1e7",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_3541e",
                    table="comms_component",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="componentchange",
            index=models.Index(fields=["-pgh_created_at", "-pgh_id"], name="componentchange_newest"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="componentchange",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="eb0b5c0bc1204d015acfbacb4f3190678e549fde",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_e5e11",
                    table="comms_componentchange",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="componentday",
            index=models.Index(fields=["day"], name="component_days_by_day"),
        ),
        migrations.AddConstraint(
            model_name="componentday",
            constraint=models.UniqueConstraint(
                fields=("component", "day"), name="one_row_per_component_and_day"
            ),
        ),
        migrations.AddIndex(
            model_name="publicincident",
            index=models.Index(fields=["-started_at", "-id"], name="public_incidents_newest"),
        ),
        migrations.AddIndex(
            model_name="publicincident",
            index=models.Index(
                condition=models.Q(("resolved_at__isnull", True)),
                fields=["-started_at"],
                name="public_incidents_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="publicincident",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("resolved_at__isnull", False), ("status", "resolved")),
                    models.Q(models.Q(("status", "resolved"), _negated=True), ("resolved_at__isnull", True)),
                    _connector="OR",
                ),
                name="resolved_public_incident_says_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="publicincident",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["investigating", "identified", "monitoring", "resolved"])),
                name="public_status_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="publicincident",
            constraint=models.CheckConstraint(
                condition=models.Q(("impact__in", ["none", "minor", "major", "critical"])),
                name="public_impact_is_known",
            ),
        ),
        migrations.AddIndex(
            model_name="publicupdate",
            index=models.Index(
                condition=models.Q(("published_at__isnull", False)),
                fields=["public_incident", "-published_at"],
                name="public_updates_of_an_incident",
            ),
        ),
        migrations.AddIndex(
            model_name="publicupdate",
            index=models.Index(
                condition=models.Q(("published_at__isnull", False)),
                fields=["-published_at"],
                name="public_updates_newest",
            ),
        ),
        migrations.AddConstraint(
            model_name="publicupdate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("published_at__isnull", True), ("public_incident__isnull", False), _connector="OR"
                ),
                name="published_update_has_its_incident",
            ),
        ),
    ]
