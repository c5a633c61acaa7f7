"""The history of configuration: tables that only grow, and the triggers that write them."""

import django.db.models.deletion
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import core.models.history

# What there was when the history began, so that the first change has an old value.
BEGINNING = """
INSERT INTO rollbacks_automationswitchchange (pgh_created_at, pgh_label, pgh_obj_id, armed, reason, changed_by)
    SELECT clock_timestamp(), 'known', id, armed, reason, changed_by FROM rollbacks_automationswitch ORDER BY id;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("rollbacks", "0003_step_kinds_of_the_playbook"),
    ]

    operations = [
        migrations.CreateModel(
            name="AutomationSwitchChange",
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
                ("armed", models.BooleanField(default=True)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("changed_by", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "abstract": False,
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="automationswitch",
            trigger=pgtrigger.compiler.Trigger(
                name="created_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "rollbacks_automationswitchchange" ("armed", "changed_by", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason") VALUES (NEW."armed", NEW."changed_by", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'created\', NEW."id", NEW."reason"); RETURN NULL;',
                    hash="8d0e648821be468829941d665625546b60276cf4",
                    operation="INSERT",
                    pgid="pgtrigger_created_insert_3eddc",
                    table="rollbacks_automationswitch",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="automationswitch",
            trigger=pgtrigger.compiler.Trigger(
                name="deleted_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "rollbacks_automationswitchchange" ("armed", "changed_by", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason") VALUES (OLD."armed", OLD."changed_by", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'deleted\', OLD."id", OLD."reason"); RETURN NULL;',
                    hash="f3be213df96918c4dd550a086b4f4270e49b2ba1",
                    operation="DELETE",
                    pgid="pgtrigger_deleted_delete_4269e",
                    table="rollbacks_automationswitch",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="automationswitch",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."armed" IS DISTINCT FROM (NEW."armed") OR OLD."changed_by" IS DISTINCT FROM (NEW."changed_by") OR OLD."reason" IS DISTINCT FROM (NEW."reason"))',
                    func='INSERT INTO "rollbacks_automationswitchchange" ("armed", "changed_by", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason") VALUES (NEW."armed", NEW."changed_by", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'changed\', NEW."id", NEW."reason"); RETURN NULL;',
                    hash="9b8f68d064376c14d021f166e72faa9d3dfe920b",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_33fa3",
                    table="rollbacks_automationswitch",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="automationswitchchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="rollbacks.automationswitch",
            ),
        ),
        migrations.AddIndex(
            model_name="automationswitchchange",
            index=models.Index(fields=["-pgh_created_at", "-pgh_id"], name="automationswitchchange_newest"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="automationswitchchange",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="e7650240d36f63a8bd4df26a63850d2593a0619d",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_53b00",
                    table="rollbacks_automationswitchchange",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.RunSQL(BEGINNING, migrations.RunSQL.noop),
    ]
