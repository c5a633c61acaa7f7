"""The history of connections, which says who set one up and never with what; all messages that there are."""

import django.db.models.deletion
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import core.models.history


class Migration(migrations.Migration):
    dependencies = [
        ("comms", "0011_webhooks"),
        ("core", "0009_history_of_second_factors"),
    ]

    operations = [
        migrations.CreateModel(
            name="ConnectionChange",
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
                ("name", models.CharField(max_length=60, serialize=False)),
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=200)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.AlterField(
            model_name="message",
            name="template",
            field=models.CharField(
                choices=[
                    ("incident_alert", "Incident alert"),
                    ("drill", "Drill"),
                    ("acknowledgement", "Acknowledged"),
                    ("response_overdue", "Response overdue"),
                    ("escalation", "Escalation"),
                    ("update_overdue", "Update overdue"),
                    ("checklist_overdue", "Checklist overdue"),
                    ("rollback_notice", "Rollback notice"),
                    ("approval_requested", "Approval requested"),
                    ("break_glass", "Glass was broken"),
                    ("attention_page", "Manual intervention needed"),
                    ("rollback_failed", "Rollback failed"),
                    ("runner_missing", "No runner for a rollback"),
                    ("recovery", "Recovery"),
                    ("incident_update", "Update"),
                    ("incident_resolved", "Resolved"),
                    ("check_failed", "Check failed"),
                    ("alarm", "Alarm of Firebreak itself"),
                    ("note", "Message"),
                    ("maintenance", "Maintenance"),
                    ("external_update", "Update for users"),
                    ("issue_resolved", "Issue resolved"),
                ],
                max_length=24,
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="connectionsettings",
            trigger=pgtrigger.compiler.Trigger(
                name="created_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "comms_connectionchange" ("changed_at", "changed_by", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."changed_at", NEW."changed_by", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'created\', NEW."name"); RETURN NULL;',
                    hash="ede9009bffd2f3d8ccb80a4742b5b311c419717b",
                    operation="INSERT",
                    pgid="pgtrigger_created_insert_80348",
                    table="comms_connectionsettings",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="connectionsettings",
            trigger=pgtrigger.compiler.Trigger(
                name="deleted_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "comms_connectionchange" ("changed_at", "changed_by", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (OLD."changed_at", OLD."changed_by", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'deleted\', OLD."name"); RETURN NULL;',
                    hash="5822012b195222a699b05c439bfd10fa1e2a0f6d",
                    operation="DELETE",
                    pgid="pgtrigger_deleted_delete_20830",
                    table="comms_connectionsettings",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="connectionsettings",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."changed_at" IS DISTINCT FROM (NEW."changed_at") OR OLD."changed_by" IS DISTINCT FROM (NEW."changed_by") OR OLD."name" IS DISTINCT FROM (NEW."name"))',
                    func='INSERT INTO "comms_connectionchange" ("changed_at", "changed_by", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id") VALUES (NEW."changed_at", NEW."changed_by", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'changed\', NEW."name"); RETURN NULL;',
                    hash="5aaad4d56cebca6024a31a1f484c0fee6cd85ed1",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_d2f2b",
                    table="comms_connectionsettings",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="connectionchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="comms.connectionsettings",
            ),
        ),
        migrations.AddIndex(
            model_name="connectionchange",
            index=models.Index(fields=["-pgh_created_at", "-pgh_id"], name="connectionchange_newest"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="connectionchange",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="fd44d799b2b5645b3e74616d17cc2cd89eb9fa22",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_1673b",
                    table="comms_connectionchange",
                    when="BEFORE",
                ),
            ),
        ),
    ]
