"""The history of configuration: tables that only grow, and the triggers that write them."""

import django.core.validators
import django.db.models.deletion
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

import core.models.history

# What there was when the history began, so that the first change has an old value.
BEGINNING = """
INSERT INTO incidents_servicechange (pgh_created_at, pgh_label, pgh_obj_id, slug, name, environment, tier, procedure, auto_rollback, public_name)
    SELECT clock_timestamp(), 'known', id, slug, name, environment, tier, procedure, auto_rollback, public_name FROM incidents_service ORDER BY id;
INSERT INTO incidents_monitorchange (pgh_created_at, pgh_label, pgh_obj_id, service_id, metric, source, interval_seconds, thresholds, policy, on_monitoring_failure, enabled)
    SELECT clock_timestamp(), 'known', id, service_id, metric, source, interval_seconds, thresholds, policy, on_monitoring_failure, enabled FROM incidents_monitor ORDER BY id;
INSERT INTO incidents_rolegrantchange (pgh_created_at, pgh_label, pgh_obj_id, user_id, role)
    SELECT clock_timestamp(), 'known', id, user_id, role FROM incidents_rolegrant ORDER BY id;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0004_validate_escalation"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="MonitorChange",
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
                ("metric", models.CharField(max_length=60)),
                (
                    "source",
                    models.JSONField(help_text='{"type": "http_json", "url": "…", "path": "error_rate"}'),
                ),
                (
                    "interval_seconds",
                    models.PositiveIntegerField(
                        default=60,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(86400),
                        ],
                    ),
                ),
                (
                    "thresholds",
                    models.JSONField(
                        blank=True,
                        help_text="Overrides the policy's: {warning?, high?, critical?}.",
                        null=True,
                    ),
                ),
                ("policy", models.CharField(default="rollback_triggers", max_length=60)),
                (
                    "on_monitoring_failure",
                    models.CharField(choices=[("page", "Page people")], default="page", max_length=20),
                ),
                ("enabled", models.BooleanField(default=True)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="RoleGrantChange",
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
                    "role",
                    models.CharField(
                        choices=[
                            ("incident_commander", "Incident Commander"),
                            ("technical_lead", "Technical Lead"),
                            ("security_lead", "Security Lead"),
                            ("communications_lead", "Communications Lead"),
                            ("development_lead", "Development Lead"),
                            ("engineering_manager", "Engineering Manager"),
                        ],
                        max_length=24,
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ServiceChange",
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
                    "slug",
                    models.CharField(
                        max_length=60,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?\\Z", "Use a-z, 0-9 and inner hyphens."
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("environment", models.CharField(default="production", max_length=40)),
                ("tier", models.PositiveSmallIntegerField(blank=True, null=True)),
                (
                    "procedure",
                    models.CharField(
                        blank=True, help_text="Key of a procedure of the playbook.", max_length=60
                    ),
                ),
                ("auto_rollback", models.BooleanField(default=False)),
                ("public_name", models.CharField(blank=True, max_length=120)),
            ],
            options={
                "abstract": False,
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="monitor",
            trigger=pgtrigger.compiler.Trigger(
                name="created_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "incidents_monitorchange" ("enabled", "interval_seconds", "metric", "on_monitoring_failure", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "policy", "service_id", "source", "thresholds") VALUES (NEW."enabled", NEW."interval_seconds", NEW."metric", NEW."on_monitoring_failure", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'created\', NEW."id", NEW."policy", NEW."service_id", NEW."source", NEW."thresholds"); RETURN NULL;',
                    hash="6e8f542e00e5d2f10f936d0f7c51eb34e8ff42b1",
                    operation="INSERT",
                    pgid="pgtrigger_created_insert_eabe0",
                    table="incidents_monitor",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="monitor",
            trigger=pgtrigger.compiler.Trigger(
                name="deleted_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "incidents_monitorchange" ("enabled", "interval_seconds", "metric", "on_monitoring_failure", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "policy", "service_id", "source", "thresholds") VALUES (OLD."enabled", OLD."interval_seconds", OLD."metric", OLD."on_monitoring_failure", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'deleted\', OLD."id", OLD."policy", OLD."service_id", OLD."source", OLD."thresholds"); RETURN NULL;',
                    hash="a6afaff0d652be993eb778bee26a53fbe22cb439",
                    operation="DELETE",
                    pgid="pgtrigger_deleted_delete_ca163",
                    table="incidents_monitor",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="monitor",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."enabled" IS DISTINCT FROM (NEW."enabled") OR OLD."interval_seconds" IS DISTINCT FROM (NEW."interval_seconds") OR OLD."metric" IS DISTINCT FROM (NEW."metric") OR OLD."on_monitoring_failure" IS DISTINCT FROM (NEW."on_monitoring_failure") OR OLD."policy" IS DISTINCT FROM (NEW."policy") OR OLD."service_id" IS DISTINCT FROM (NEW."service_id") OR OLD."source" IS DISTINCT FROM (NEW."source") OR OLD."thresholds" IS DISTINCT FROM (NEW."thresholds"))',
                    func='INSERT INTO "incidents_monitorchange" ("enabled", "interval_seconds", "metric", "on_monitoring_failure", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "policy", "service_id", "source", "thresholds") VALUES (NEW."enabled", NEW."interval_seconds", NEW."metric", NEW."on_monitoring_failure", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'changed\', NEW."id", NEW."policy", NEW."service_id", NEW."source", NEW."thresholds"); RETURN NULL;',
                    hash="fe5c8fcc1d99b95ac68f7b1f9650934daedd937d",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_5832e",
                    table="incidents_monitor",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolegrant",
            trigger=pgtrigger.compiler.Trigger(
                name="created_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "incidents_rolegrantchange" ("pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "role", "user_id") VALUES (COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'created\', NEW."id", NEW."role", NEW."user_id"); RETURN NULL;',
                    hash="06388c32430d9435cc620512f09401fd3f277551",
                    operation="INSERT",
                    pgid="pgtrigger_created_insert_6863d",
                    table="incidents_rolegrant",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolegrant",
            trigger=pgtrigger.compiler.Trigger(
                name="deleted_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "incidents_rolegrantchange" ("pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "role", "user_id") VALUES (COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'deleted\', OLD."id", OLD."role", OLD."user_id"); RETURN NULL;',
                    hash="d6b5ba43d42f4e9390a570ca1b5254c60a8e52aa",
                    operation="DELETE",
                    pgid="pgtrigger_deleted_delete_0a334",
                    table="incidents_rolegrant",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolegrant",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."role" IS DISTINCT FROM (NEW."role") OR OLD."user_id" IS DISTINCT FROM (NEW."user_id"))',
                    func='INSERT INTO "incidents_rolegrantchange" ("pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "role", "user_id") VALUES (COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'changed\', NEW."id", NEW."role", NEW."user_id"); RETURN NULL;',
                    hash="9dcd4f1f4807169a88ff4e04d5ee37a79516648c",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_06605",
                    table="incidents_rolegrant",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="service",
            trigger=pgtrigger.compiler.Trigger(
                name="created_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "incidents_servicechange" ("auto_rollback", "environment", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "procedure", "public_name", "slug", "tier") VALUES (NEW."auto_rollback", NEW."environment", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'created\', NEW."id", NEW."procedure", NEW."public_name", NEW."slug", NEW."tier"); RETURN NULL;',
                    hash="d543b8875dd1a7616b37523d4a5f85a33707a183",
                    operation="INSERT",
                    pgid="pgtrigger_created_insert_ab901",
                    table="incidents_service",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="service",
            trigger=pgtrigger.compiler.Trigger(
                name="deleted_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "incidents_servicechange" ("auto_rollback", "environment", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "procedure", "public_name", "slug", "tier") VALUES (OLD."auto_rollback", OLD."environment", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'deleted\', OLD."id", OLD."procedure", OLD."public_name", OLD."slug", OLD."tier"); RETURN NULL;',
                    hash="ff1c8f51d57454249c9f97db30d68d991a8e3f88",
                    operation="DELETE",
                    pgid="pgtrigger_deleted_delete_48564",
                    table="incidents_service",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="service",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."auto_rollback" IS DISTINCT FROM (NEW."auto_rollback") OR OLD."environment" IS DISTINCT FROM (NEW."environment") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."procedure" IS DISTINCT FROM (NEW."procedure") OR OLD."public_name" IS DISTINCT FROM (NEW."public_name") OR OLD."slug" IS DISTINCT FROM (NEW."slug") OR OLD."tier" IS DISTINCT FROM (NEW."tier"))',
                    func='INSERT INTO "incidents_servicechange" ("auto_rollback", "environment", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "procedure", "public_name", "slug", "tier") VALUES (NEW."auto_rollback", NEW."environment", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'changed\', NEW."id", NEW."procedure", NEW."public_name", NEW."slug", NEW."tier"); RETURN NULL;',
                    hash="1385558331de387cc49073731152272bb7881559",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_97cea",
                    table="incidents_service",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="monitorchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="incidents.monitor",
            ),
        ),
        migrations.AddField(
            model_name="monitorchange",
            name="service",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="incidents.service",
            ),
        ),
        migrations.AddField(
            model_name="rolegrantchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="incidents.rolegrant",
            ),
        ),
        migrations.AddField(
            model_name="rolegrantchange",
            name="user",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="servicechange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="incidents.service",
            ),
        ),
        migrations.AddIndex(
            model_name="monitorchange",
            index=models.Index(fields=["-pgh_created_at", "-pgh_id"], name="monitorchange_newest"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="monitorchange",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="ac18959305d30de4971d93d9f922acbc822d6d0c",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_574dc",
                    table="incidents_monitorchange",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="rolegrantchange",
            index=models.Index(fields=["-pgh_created_at", "-pgh_id"], name="rolegrantchange_newest"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="rolegrantchange",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="ff3c5a17608b93e93640e91baa75c293bc58f1dd",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_63ed6",
                    table="incidents_rolegrantchange",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="servicechange",
            index=models.Index(fields=["-pgh_created_at", "-pgh_id"], name="servicechange_newest"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="servicechange",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="039a40acb3f28f83fbd07e31810f739611dbff81",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_c8f08",
                    table="incidents_servicechange",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.RunSQL(BEGINNING, migrations.RunSQL.noop),
    ]
