"""Outgoing webhooks: endpoints with their history, deliveries and the log of attempts."""

import django.contrib.postgres.fields
import django.db.models.deletion
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import core.models.history


class Migration(migrations.Migration):
    dependencies = [
        ("comms", "0010_external_messages_and_status_page"),
        ("core", "0009_history_of_second_factors"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("url", models.CharField(max_length=2000)),
                ("description", models.CharField(blank=True, max_length=200)),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60), blank=True, default=list, size=None
                    ),
                ),
                ("sees_restricted", models.BooleanField(default=False)),
                ("secret", models.TextField()),
                ("old_secret", models.TextField(blank=True)),
                ("old_secret_until", models.DateTimeField(null=True)),
                ("enabled", models.BooleanField(default=True)),
                ("disabled_at", models.DateTimeField(null=True)),
                ("disabled_why", models.CharField(blank=True, max_length=300)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("failing_since", models.DateTimeField(null=True)),
                ("succeeded_at", models.DateTimeField(null=True)),
                ("not_before", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                ("created_by", models.CharField(max_length=200)),
                ("version", models.PositiveIntegerField(default=1)),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
        migrations.CreateModel(
            name="WebhookEndpointChange",
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
                ("url", models.CharField(max_length=2000)),
                ("description", models.CharField(blank=True, max_length=200)),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60), blank=True, default=list, size=None
                    ),
                ),
                ("sees_restricted", models.BooleanField(default=False)),
                ("enabled", models.BooleanField(default=True)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=60)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Waiting"),
                            ("sending", "Sending"),
                            ("sent", "Sent"),
                            ("retrying", "Trying again"),
                            ("dead", "Given up"),
                            ("superseded", "Superseded"),
                        ],
                        default="pending",
                        max_length=12,
                    ),
                ),
                ("claims", models.PositiveIntegerField(default=0)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("last_status", models.PositiveSmallIntegerField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                (
                    "event",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="core.event",
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="comms.webhookendpoint",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="WebhookAttempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("milliseconds", models.PositiveIntegerField()),
                ("error", models.CharField(blank=True, max_length=500)),
                ("answer", models.TextField(blank=True)),
                (
                    "delivery",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="log",
                        to="comms.webhookdelivery",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="created_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "comms_webhookendpointchange" ("description", "enabled", "kinds", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "sees_restricted", "url") VALUES (NEW."description", NEW."enabled", NEW."kinds", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'created\', NEW."id", NEW."sees_restricted", NEW."url"); RETURN NULL;',
                    hash="cccd65bee3e9ad84e95daf133d377f47ac6ff226",
                    operation="INSERT",
                    pgid="pgtrigger_created_insert_2f81b",
                    table="comms_webhookendpoint",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="deleted_delete",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "comms_webhookendpointchange" ("description", "enabled", "kinds", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "sees_restricted", "url") VALUES (OLD."description", OLD."enabled", OLD."kinds", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'deleted\', OLD."id", OLD."sees_restricted", OLD."url"); RETURN NULL;',
                    hash="27f5b6424dcb2cd2e7a882012757550788b0129b",
                    operation="DELETE",
                    pgid="pgtrigger_deleted_delete_9d0b7",
                    table="comms_webhookendpoint",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpoint",
            trigger=pgtrigger.compiler.Trigger(
                name="changed_update",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."description" IS DISTINCT FROM (NEW."description") OR OLD."enabled" IS DISTINCT FROM (NEW."enabled") OR OLD."kinds" IS DISTINCT FROM (NEW."kinds") OR OLD."sees_restricted" IS DISTINCT FROM (NEW."sees_restricted") OR OLD."url" IS DISTINCT FROM (NEW."url"))',
                    func='INSERT INTO "comms_webhookendpointchange" ("description", "enabled", "kinds", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "sees_restricted", "url") VALUES (NEW."description", NEW."enabled", NEW."kinds", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'changed\', NEW."id", NEW."sees_restricted", NEW."url"); RETURN NULL;',
                    hash="82e31bab812db1617a1d61db8d1642392d6de6ef",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_2470f",
                    table="comms_webhookendpoint",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddField(
            model_name="webhookendpointchange",
            name="pgh_obj",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                related_query_name="+",
                to="comms.webhookendpoint",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookattempt",
            index=models.Index(fields=["at"], name="webhook_attempts_by_time"),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("state__in", ("pending", "retrying", "sending"))),
                fields=["endpoint", "id"],
                name="webhook_deliveries_due",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["endpoint", "-id"], name="webhook_deliveries_newest"),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["finished_at"], name="webhook_deliveries_finished"),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.UniqueConstraint(
                fields=("endpoint", "event"), name="one_webhook_delivery_per_endpoint_and_event"
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["pending", "sending", "sent", "retrying", "dead", "superseded"])
                ),
                name="webhook_delivery_state_is_known",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookendpointchange",
            index=models.Index(fields=["-pgh_created_at", "-pgh_id"], name="webhookendpointchange_newest"),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="webhookendpointchange",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
                    hash="8a7b4a53d23282047f4c7341c22cc736a5227afd",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_28524",
                    table="comms_webhookendpointchange",
                    when="BEFORE",
                ),
            ),
        ),
    ]
