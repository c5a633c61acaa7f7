"""The history of configuration: tables that only grow, and the triggers that write them."""

import django.contrib.postgres.fields
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
INSERT INTO comms_contactchange (pgh_created_at, pgh_label, pgh_obj_id, name, kind, title, role, audiences, email, phone, support_url, user_id, active)
    SELECT clock_timestamp(), 'known', id, name, kind, title, role, audiences, email, phone, support_url, user_id, active FROM comms_contact ORDER BY id;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("comms", "0004_escalation_message"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ContactChange",
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
                ("name", models.CharField(max_length=120)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("primary", "Primary"),
                            ("escalation", "Escalation"),
                            ("external", "External"),
                            ("team", "Team"),
                        ],
                        default="team",
                        max_length=12,
                    ),
                ),
                (
                    "title",
                    models.CharField(
                        blank=True,
                        help_text="Such as Technical Lead, CTO, Cloud Provider Support.",
                        max_length=120,
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("incident_commander", "Incident Commander"),
                            ("technical_lead", "Technical Lead"),
                            ("security_lead", "Security Lead"),
                            ("communications_lead", "Communications Lead"),
                            ("development_lead", "Development Lead"),
                            ("engineering_manager", "Engineering Manager"),
                        ],
                        help_text="Primary contact for this role.",
                        max_length=24,
                    ),
                ),
                (
                    "audiences",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("everyone", "everyone"),
                                ("technical_team", "technical team"),
                                ("management", "management"),
                                ("development_team", "development team"),
                                ("security_team", "security team"),
                            ],
                            max_length=20,
                        ),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
                ("email", models.EmailField(blank=True, max_length=254)),
                (
                    "phone",
                    models.CharField(
                        blank=True,
                        max_length=30,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^\\+?[0-9 ()./-]{3,30}\\Z", "Digits, spaces and + ( ) . / -"
                            )
                        ],
                    ),
                ),
                ("support_url", models.URLField(blank=True)),
                ("active", models.BooleanField(default=True)),
            ],
            options={
                "abstract": False,
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contact",
            trigger=pgtrigger.compiler.Trigger(
                name="created_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "comms_contactchange" ("active", "audiences", "email", "kind", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "phone", "role", "support_url", "title", "user_id") VALUES (NEW."active", NEW."audiences", NEW."email", NEW."kind", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'created\', NEW."id", NEW."phone", NEW."role", NEW."support_url", NEW."title", NEW."user_id"); RETURN NULL;',
                    hash="c7a5f7640855f6b009730f58d0d7e9e2dc67c7ee",
                    operation="INSERT",
                    pgid="pgtrigger_created_insert_a327b",
                    table="comms_contact",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contact",
            trigger=pgtrigger.compiler.Trigger(
                name="deleted_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "comms_contactchange" ("active", "audiences", "email", "kind", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "phone", "role", "support_url", "title", "user_id") VALUES (OLD."active", OLD."audiences", OLD."email", OLD."kind", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'deleted\', OLD."id", OLD."phone", OLD."role", OLD."support_url", OLD."title", OLD."user_id"); RETURN NULL;',
                    hash="94e60af1bdde29c963c5fc8a1ef49627b80ebd16",
                    operation="DELETE",
                    pgid="pgtrigger_deleted_delete_a6101",
                    table="comms_contact",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contact",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."active" IS DISTINCT FROM (NEW."active") OR OLD."audiences" IS DISTINCT FROM (NEW."audiences") OR OLD."email" IS DISTINCT FROM (NEW."email") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."phone" IS DISTINCT FROM (NEW."phone") OR OLD."role" IS DISTINCT FROM (NEW."role") OR OLD."support_url" IS DISTINCT FROM (NEW."support_url") OR OLD."title" IS DISTINCT FROM (NEW."title") OR OLD."user_id" IS DISTINCT FROM (NEW."user_id"))',
                    func='INSERT INTO "comms_contactchange" ("active", "audiences", "email", "kind", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "phone", "role", "support_url", "title", "user_id") VALUES (NEW."active", NEW."audiences", NEW."email", NEW."kind", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'changed\', NEW."id", NEW."phone", NEW."role", NEW."support_url", NEW."title", NEW."user_id"); RETURN NULL;',
                    hash="f290b5fc766cbbf6099cd9a4a226360a2b4849dd",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_3e7b1",
                    table="comms_contact",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="contactchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="comms.contact",
            ),
        ),
        migrations.AddField(
            model_name="contactchange",
            name="user",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="contactchange",
            index=models.Index(fields=["-pgh_created_at", "-pgh_id"], name="contactchange_newest"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contactchange",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="09e628cbc8fa43e40b3c398f0856a91026aa1708",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_fbcc5",
                    table="comms_contactchange",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.RunSQL(BEGINNING, migrations.RunSQL.noop),
    ]
