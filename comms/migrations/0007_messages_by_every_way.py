"""Contacts with an order of reach and quiet hours, messages in every form, deliveries by lane."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("comms", "0006_messages_of_the_engine"),
        ("core", "0009_history_of_second_factors"),
        ("incidents", "0013_services_at_size"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ConnectionSettings",
            fields=[
                ("name", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("sealed", models.TextField()),
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=200)),
            ],
            options={
                "verbose_name_plural": "connection settings",
                "ordering": ["name"],
            },
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="contact",
            name="created_insert",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="contact",
            name="deleted_delete",
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="contact",
            name="changed_update",
        ),
        migrations.RemoveConstraint(
            model_name="message",
            name="message_state_is_known",
        ),
        migrations.AddField(
            model_name="contact",
            name="chat",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="The member's ID in the chat, such as U012AB3CD in Slack.",
                max_length=80,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z0-9@._-]{2,80}\\Z", "Letters, digits and @ . _ -"
                    )
                ],
            ),
        ),
        migrations.AddField(
            model_name="contact",
            name="quiet_from",
            field=models.TimeField(
                blank=True, help_text="In their time zone. P0 and P1 are never held back.", null=True
            ),
        ),
        migrations.AddField(
            model_name="contact",
            name="quiet_until",
            field=models.TimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="contact",
            name="reach",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[("voice", "Voice call"), ("sms", "SMS"), ("chat", "Chat"), ("email", "E-mail")],
                    max_length=8,
                ),
                blank=True,
                db_default=[],
                default=list,
                help_text="How to reach them, best first. Empty: the playbook's order.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="contact",
            name="time_zone",
            field=models.CharField(
                db_default="UTC", default="UTC", help_text="Such as Europe/Berlin.", max_length=60
            ),
        ),
        migrations.AddField(
            model_name="contactchange",
            name="chat",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="The member's ID in the chat, such as U012AB3CD in Slack.",
                max_length=80,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Za-z0-9@._-]{2,80}\\Z", "Letters, digits and @ . _ -"
                    )
                ],
            ),
        ),
        migrations.AddField(
            model_name="contactchange",
            name="quiet_from",
            field=models.TimeField(
                blank=True, help_text="In their time zone. P0 and P1 are never held back.", null=True
            ),
        ),
        migrations.AddField(
            model_name="contactchange",
            name="quiet_until",
            field=models.TimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="contactchange",
            name="reach",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[("voice", "Voice call"), ("sms", "SMS"), ("chat", "Chat"), ("email", "E-mail")],
                    max_length=8,
                ),
                blank=True,
                db_default=[],
                default=list,
                help_text="How to reach them, best first. Empty: the playbook's order.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="contactchange",
            name="time_zone",
            field=models.CharField(
                db_default="UTC", default="UTC", help_text="Such as Europe/Berlin.", max_length=60
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="bundled_into",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="comms.delivery"
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="claims",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="delivery",
            name="contact",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="comms.contact"
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="created_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="delivery",
            name="lane",
            field=models.CharField(db_default="", default="", max_length=20),
        ),
        migrations.AddField(
            model_name="delivery",
            name="stands_in_for",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="comms.delivery"
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="urgent",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="message",
            name="approved_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="message",
            name="approved_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="message",
            name="channels",
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddField(
            model_name="message",
            name="forms",
            field=models.JSONField(db_default={}, default=dict),
        ),
        migrations.AddField(
            model_name="message",
            name="visibility",
            field=models.CharField(
                choices=[("internal", "Internal"), ("external", "External")],
                db_default="internal",
                default="internal",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="state",
            field=models.CharField(
                choices=[
                    ("draft", "Draft"),
                    ("approved", "Approved"),
                    ("queued", "Queued"),
                    ("sent", "Sent"),
                    ("failed", "Failed"),
                    ("superseded", "Superseded"),
                ],
                default="queued",
                max_length=12,
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="contact",
            trigger=pgtrigger.compiler.Trigger(
                name="created_insert",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func='INSERT INTO "comms_contactchange" ("active", "audiences", "chat", "email", "kind", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "phone", "quiet_from", "quiet_until", "reach", "role", "support_url", "time_zone", "title", "user_id") VALUES (NEW."active", NEW."audiences", NEW."chat", NEW."email", NEW."kind", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'created\', NEW."id", NEW."phone", NEW."quiet_from", NEW."quiet_until", NEW."reach", NEW."role", NEW."support_url", NEW."time_zone", NEW."title", NEW."user_id"); RETURN NULL;',
                    hash="fdb3c0c7ae1fa44ffefba2e24ede4648746bdbb4",
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
                    func='INSERT INTO "comms_contactchange" ("active", "audiences", "chat", "email", "kind", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "phone", "quiet_from", "quiet_until", "reach", "role", "support_url", "time_zone", "title", "user_id") VALUES (OLD."active", OLD."audiences", OLD."chat", OLD."email", OLD."kind", OLD."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'deleted\', OLD."id", OLD."phone", OLD."quiet_from", OLD."quiet_until", OLD."reach", OLD."role", OLD."support_url", OLD."time_zone", OLD."title", OLD."user_id"); RETURN NULL;',
                    hash="cf5f8b63d89a5781f43747a75746a215286a89e7",
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
                    condition='WHEN (OLD."active" IS DISTINCT FROM (NEW."active") OR OLD."audiences" IS DISTINCT FROM (NEW."audiences") OR OLD."chat" IS DISTINCT FROM (NEW."chat") OR OLD."email" IS DISTINCT FROM (NEW."email") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."name" IS DISTINCT FROM (NEW."name") OR OLD."phone" IS DISTINCT FROM (NEW."phone") OR OLD."quiet_from" IS DISTINCT FROM (NEW."quiet_from") OR OLD."quiet_until" IS DISTINCT FROM (NEW."quiet_until") OR OLD."reach" IS DISTINCT FROM (NEW."reach") OR OLD."role" IS DISTINCT FROM (NEW."role") OR OLD."support_url" IS DISTINCT FROM (NEW."support_url") OR OLD."time_zone" IS DISTINCT FROM (NEW."time_zone") OR OLD."title" IS DISTINCT FROM (NEW."title") OR OLD."user_id" IS DISTINCT FROM (NEW."user_id"))',
                    func='INSERT INTO "comms_contactchange" ("active", "audiences", "chat", "email", "kind", "name", "pgh_context", "pgh_created_at", "pgh_label", "pgh_obj_id", "phone", "quiet_from", "quiet_until", "reach", "role", "support_url", "time_zone", "title", "user_id") VALUES (NEW."active", NEW."audiences", NEW."chat", NEW."email", NEW."kind", NEW."name", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, CLOCK_TIMESTAMP(), \'changed\', NEW."id", NEW."phone", NEW."quiet_from", NEW."quiet_until", NEW."reach", NEW."role", NEW."support_url", NEW."time_zone", NEW."title", NEW."user_id"); RETURN NULL;',
                    hash="cd11a2611fff0942d5802e1f98e84e54672b1118",
                    operation="UPDATE",
                    pgid="pgtrigger_changed_update_3e7b1",
                    table="comms_contact",
                    when="AFTER",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="contact",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("quiet_from__isnull", True), ("quiet_until__isnull", True)),
                    models.Q(("quiet_from__isnull", False), ("quiet_until__isnull", False)),
                    _connector="OR",
                ),
                name="quiet_hours_have_both_ends",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["draft", "approved", "queued", "sent", "failed", "superseded"])
                ),
                name="message_state_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(("visibility__in", ["internal", "external"])),
                name="message_visibility_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("visibility", "internal"),
                    ("approved_at__isnull", False),
                    ("state__in", ("draft", "superseded")),
                    _connector="OR",
                ),
                name="external_message_was_approved",
            ),
        ),
    ]
