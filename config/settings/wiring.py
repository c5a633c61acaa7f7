"""The one place that names a right-hand app to a left-hand one, as dotted strings in plain tuples."""

from celery.schedules import schedule

from config.settings.base import RUNNER_QUEUES

# (name, handler, kinds of event). One pending row per consumer and event is written with the event.
EVENT_CONSUMERS = (
    ("incidents.breaches", "incidents.consumers.declare_for_breach", ("monitor.level_changed",)),
    (
        "incidents.checklists",
        "incidents.consumers.keep_checklists",
        ("incident.", "rollback.", "message.", "report."),
    ),
    ("incidents.reports", "incidents.consumers.draft_report", ("incident.resolved",)),
    ("incidents.training", "incidents.consumers.count_drill", ("drill.finished",)),
    (
        "rollbacks.automation",
        "rollbacks.consumers.consider_rollback",
        ("incident.breached", "release.recorded"),
    ),
    ("rollbacks.ledger", "rollbacks.consumers.keep_ledger", ("rollback.step_failed",)),
    (
        "rollbacks.drills",
        "rollbacks.consumers.keep_drills",
        ("incident.declared", "incident.edited", "incident.reopened", "incident.resolved"),
    ),
    (
        "comms.routing",
        "comms.consumers.route_event",
        (
            "incident.",
            "rollback.",
            "monitor.",
            "outbox.",
            "ingest.",
            "checklist.overdue",
            "checklist.assigned",
            "role.paged",
            "task.overdue",
            "checklist.due_soon",
            "report.",
            "action_item.",
            "review.",
            "training.",
            "document.",
            "drill.",
            "delivery.given_up",
            "channel.limit_",
            "webhook.disabled",
        ),
    ),
    (
        "comms.escalation",
        "comms.consumers.keep_escalation",
        (
            "incident.declared",
            "incident.severity_changed",
            "incident.security_level_changed",
            "incident.acknowledged",
            "incident.updated",
            "incident.reopened",
            "incident.resolved",
            "incident.closed",
        ),
    ),
    (
        "comms.status_page",
        "comms.consumers.refresh_status_page",
        ("incident.restricted", "incident.unrestricted"),
    ),
    ("comms.webhooks", "comms.consumers.tell_webhooks", ("",)),  # every event
)

# What an event asks of somebody: its kind -> function(event) -> whether that is still to be done. A message
# about it that has not left yet is given up where it is not.
REMINDERS = {
    "report.drafted": "incidents.selectors.reports.is_report_due",
    "report.due_soon": "incidents.selectors.reports.is_report_due",
    "report.overdue": "incidents.selectors.reports.is_report_due",
    "report.given": "incidents.selectors.reports.is_report_waiting",
    "report.submitted": "incidents.selectors.reports.is_report_waiting",
    "report.returned": "incidents.selectors.reports.is_report_waiting",
    "action_item.created": "incidents.selectors.action_items.is_action_item_given",
    "action_item.changed": "incidents.selectors.action_items.is_action_item_given",
    "action_item.due_soon": "incidents.selectors.action_items.is_action_item_due",
    "action_item.overdue": "incidents.selectors.action_items.is_action_item_due",
    "checklist.assigned": "incidents.selectors.checklists.is_item_given",
    "checklist.due_soon": "incidents.selectors.checklists.is_checklist_due",
    "review.opened": "incidents.selectors.reviews.is_review_due",
    "review.due": "incidents.selectors.reviews.is_review_due",
    "review.overdue": "incidents.selectors.reviews.is_review_due",
    "review.held": "incidents.selectors.reviews.is_sign_off_due",
    "training.due": "incidents.selectors.training.is_training_due",
    "training.overdue": "incidents.selectors.training.is_training_due",
    "document.due": "incidents.selectors.documents.is_document_due",
    "document.overdue": "incidents.selectors.documents.is_document_due",
    "drill.planned": "rollbacks.selectors.drills.is_still_true",
    "drill.due": "rollbacks.selectors.drills.is_still_true",
    "drill.cancelled": "rollbacks.selectors.drills.is_still_true",
    "drill.inject": "rollbacks.selectors.drills.is_still_true",
    "drill.overdue": "rollbacks.selectors.drills.is_still_true",
}

# Consumers whose rows wait until none of the others is due: programs are told after people.
PATIENT_CONSUMERS = ("comms.webhooks",)

# What a consumer makes of a kind of event depends on the playbook: function(kind) -> whether it is anything.
# No row is written where it is nothing, so that a storm of alerts holds up nobody's page.
EVENT_INTERESTS = {
    "incidents.checklists": "incidents.consumers.is_answered",
    "comms.routing": "comms.consumers.is_routed",
}

# Fragments on an incident's page, most of them right-hand apps': (slot,
# function(actor, incident) -> Panel or None).
INCIDENT_PANELS = (
    ("centre", "rollbacks.panels.incident_rollback"),
    ("right", "rollbacks.panels.incident_drill"),
    ("right", "rollbacks.panels.suspect_releases"),
    ("right", "rollbacks.panels.incident_decisions"),
    ("later", "incidents.panels.similar"),
    ("left", "comms.panels.who_was_told"),
)
# What they add to the incident's own: function(actor, incident) -> Action or None for the action bar,
# -> {role: Action} for roles that nobody holds, function(incident) -> {reference in an event: address}.
INCIDENT_ACTIONS = ("rollbacks.panels.roll_back",)
INCIDENT_CALLS = ("comms.panels.calls",)
INCIDENT_LINKS = ("rollbacks.panels.rollback_links",)
NOW_PANELS = ()
# What another app adds to a form of an incident: (form, class that fills incidents.companions.Companion).
FORM_COMPANIONS = (
    ("update", "comms.companions.UpdateForUsers"),
    ("resolve", "comms.companions.EndForUsers"),
)
# Lines at the head of a service's page: function(actor, service, *, now) -> ServiceNote or None.
SERVICE_NOTES = (
    "rollbacks.panels.readiness",
    "rollbacks.panels.lost_trust",
    "incidents.selectors.quiet.maintenance_note",
)
# Fragments of right-hand apps on a service's page: function(actor, service) -> Panel or None.
SERVICE_PANELS = ("rollbacks.panels.service_decisions",)

# Who sees the same panels: function([(actor, path)]) -> [text or None]; see core.live_panels.
LIVE_AUDIENCES = "incidents.selectors.audiences.audiences_of"
# Whom another app tells something of their own on an incident's page:
# function(accounts, references) -> {(account, reference)}.
LIVE_PERSONAL = ("rollbacks.selectors.audiences.named_in_rollbacks",)

# Banners on every page: function() -> tuple of Banner.
BANNERS = (
    "core.health.banners",
    "rollbacks.panels.automation_banner",
)

# What the search finds, in this order: (name, function(actor, words, limit) -> Hits that the actor may see).
SEARCH_PROVIDERS = (
    ("incidents", "incidents.selectors.finding.find_incidents"),
    ("services", "incidents.selectors.finding.find_services"),
    ("rollbacks", "rollbacks.selectors.finding.find_rollbacks"),
    ("contacts", "comms.selectors.finding.find_contacts"),
    ("releases", "incidents.selectors.finding.find_releases"),
    ("texts", "incidents.selectors.full_text.find_texts"),
)
# Those that can be asked for a period: function(actor, words, limit, *, period).
SEARCH_OF_A_PERIOD = ("texts",)

# What else an incident's export holds: (name, function(actor, incident) -> plain JSON).
EXPORT_PARTS: tuple[tuple[str, str], ...] = (
    ("report", "incidents.selectors.reports.report_of"),
    ("action_items", "incidents.selectors.action_items.action_items_of"),
    ("rollbacks", "rollbacks.selectors.export.rollbacks_of"),
    ("messages", "comms.selectors.export.messages_of"),
)
# What a review's agenda is filled with: (name, function(period) -> AgendaSection, see incidents.facts).
REVIEW_SECTIONS: tuple[tuple[str, str], ...] = (
    ("incidents", "incidents.selectors.agenda.incidents_of"),
    ("figures", "rollbacks.selectors.agenda.figures_of"),
    ("tasks", "incidents.selectors.agenda.overdue_tasks"),
    ("action_items", "incidents.selectors.agenda.overdue_action_items"),
    ("checklists", "incidents.selectors.agenda.undone_checklists"),
    ("reports", "incidents.selectors.agenda.unpublished_reports"),
    ("training", "incidents.selectors.agenda.lapsed_training"),
    ("documents", "incidents.selectors.agenda.due_documents"),
    ("rollbacks", "rollbacks.selectors.agenda.rollbacks_of"),
    ("patterns", "rollbacks.selectors.agenda.patterns_of"),
    ("drills", "rollbacks.selectors.agenda.drills_of"),
    ("procedures", "rollbacks.selectors.agenda.procedures_of"),
    ("contacts", "comms.selectors.agenda.contacts_of"),
    ("channels", "comms.selectors.agenda.channels_of"),
)
# What the playbook says that is looked over now and then: function() -> tuple of KeptText.
REVIEWED_TEXTS = (
    "incidents.selectors.documents.checklist_texts",
    "rollbacks.selectors.agenda.procedure_texts",
)

# What keeps secrets sealed with core.encryption: function() -> number sealed anew with the first key.
ENCRYPTED_STORES = (
    "core.accounts.mfa.second_factors",
    "comms.services.connections.connections",
    "comms.services.webhooks.webhooks",
)

# Playbook sections: (name, file or folder, pydantic model).
PLAYBOOK_SECTIONS = (
    ("roles", "roles.yaml", "incidents.playbook.Roles"),
    ("severities", "severities.yaml", "incidents.playbook.Severities"),
    ("security_levels", "security_levels.yaml", "incidents.playbook.SecurityLevels"),
    ("thresholds", "thresholds.yaml", "incidents.playbook.Thresholds"),
    ("criteria", "criteria.yaml", "incidents.playbook.Criteria"),
    ("checklists", "checklists.yaml", "incidents.playbook.Checklists"),
    ("alerts", "alerts.yaml", "incidents.playbook.AlertRules"),
    ("reports", "reports.yaml", "incidents.playbook.Reports"),
    ("follow_up", "follow_up.yaml", "incidents.playbook.FollowUp"),
    ("reviews", "reviews.yaml", "incidents.playbook.Reviews"),
    ("training", "training.yaml", "incidents.playbook.Training"),
    ("commands", "commands.yaml", "rollbacks.playbook.Commands"),
    ("procedures", "procedures/", "rollbacks.playbook.Procedure"),
    ("automation", "automation.yaml", "rollbacks.playbook.Automation"),
    ("drills", "drills.yaml", "rollbacks.drill_playbook.Drills"),
    ("scenarios", "drills/", "rollbacks.drill_playbook.Scenario"),
    ("channels", "channels.yaml", "comms.playbook.Channels"),
    ("routing", "routing.yaml", "comms.playbook.Routing"),
    ("escalation", "escalation.yaml", "comms.playbook.Escalation"),
)
# Checks across sections, run when all are loaded: function(playbook) -> iterable of (file, field, message).
PLAYBOOK_CHECKS = (
    "incidents.playbook.check_references",
    "rollbacks.playbook.check_references",
    "rollbacks.drill_playbook.check_references",
    "comms.playbook.check_references",
    "comms.overrides.check",
)

# Work with a due time: (task, function(*, now) -> number handled, seconds between sweeps).
# Beat wakes each; the watchdog runs the same functions when due work is overdue.
SWEEPS = (
    ("core.sweep_outbox", "core.outbox.deliver_pending", 2.0),
    ("core.sweep_answers", "core.api.idempotency.forget_expired_answers", 300.0),
    ("core.sweep_budgets", "core.ratelimits.forget_old_budgets", 300.0),
    ("incidents.sweep_monitors", "incidents.polling.run_due_checks", 1.0),
    ("incidents.sweep_blindness", "incidents.services.breaches.answer_blindness", 5.0),
    ("incidents.sweep_outages", "incidents.services.outages.end_outage", 5.0),
    ("incidents.sweep_alerts", "incidents.services.inbound.process_due", 1.0),
    ("incidents.sweep_quiet", "incidents.services.quiet.look_after_quiet", 5.0),
    ("incidents.sweep_removed_monitors", "incidents.services.monitors.forget_removed_monitors", 60.0),
    ("incidents.sweep_rollups", "incidents.services.rollups.roll_up", 60.0),
    ("incidents.sweep_response_clocks", "incidents.services.clocks.mark_breached_responses", 5.0),
    ("incidents.sweep_checklists", "incidents.services.checklists.mark_lapsed_phases", 5.0),
    ("incidents.sweep_tasks", "incidents.services.tasks.mark_overdue_tasks", 5.0),
    ("incidents.sweep_search", "incidents.services.searching.keep_documents", 5.0),
    ("incidents.sweep_reports", "incidents.services.reports.remind_of_reports", 60.0),
    ("incidents.sweep_report_drafts", "incidents.services.reports.draft_missing_reports", 60.0),
    ("incidents.sweep_phases", "incidents.services.checklists.remind_of_phases", 30.0),
    ("incidents.sweep_action_items", "incidents.services.action_items.remind_of_action_items", 60.0),
    ("incidents.sweep_reviews", "incidents.services.reviews.look_after_reviews", 60.0),
    ("incidents.sweep_documents", "incidents.services.documents.look_after_documents", 60.0),
    ("incidents.sweep_training", "incidents.services.training.remind_of_training", 60.0),
    ("rollbacks.run_due", "rollbacks.executor.run_due", 2.0),
    ("rollbacks.sweep_folders", "rollbacks.executor.folders.forget_folders", 600.0),
    ("rollbacks.sweep_runners", "rollbacks.services.runners.look_after_queues", 2.0),
    ("rollbacks.sweep_unconfirmed", "rollbacks.services.decisions.reconsider_unconfirmed", 5.0),
    ("rollbacks.sweep_drills", "rollbacks.services.drill_sweep.look_after_drills", 5.0),
    ("rollbacks.sweep_lost", "rollbacks.services.recovery.flag_lost_rollbacks", 5.0),
    ("comms.sweep_escalations", "comms.services.escalation.climb_ladders", 5.0),
    ("comms.sweep_deliveries", "comms.deliveries.send_due_deliveries", 3.0),
    ("comms.sweep_webhooks", "comms.deliveries.webhooks.send_due_webhooks", 3.0),
    ("comms.sweep_subscriptions", "comms.subscriptions.send_confirmations", 5.0),
    ("comms.sweep_status_page", "comms.publishing.snapshot.write_due_snapshot", 5.0),
    ("core.sweep_retention", "core.retention.forget_old", 600.0),
)

# Sweeps of which each process does a part: name -> the parts of this one.
SWEEP_PARTS = {"rollbacks.run_due": tuple(RUNNER_QUEUES)}
# What the watchdog does now and then besides: (name, function(), seconds between).
WATCHDOG_ROUNDS = (("runner presence", "rollbacks.executor.presence.report_watchdog", 10.0),)

# What is forgotten: (name, object with count(before) and forget(before, limit), setting with its days).
RETENTION = (
    ("samples", "incidents.retention.SAMPLES", "RETENTION_SAMPLES_DAYS"),
    ("rollups", "incidents.retention.ROLLUPS", "RETENTION_ROLLUPS_DAYS"),
    ("inbound", "incidents.retention.INBOUND", "RETENTION_INBOUND_DAYS"),
    ("alerts", "incidents.retention.ALERTS", "RETENTION_ALERTS_DAYS"),
    ("output", "rollbacks.retention.OUTPUT", "RETENTION_OUTPUT_DAYS"),
    ("webhook attempts", "comms.retention.WEBHOOK_ATTEMPTS", "RETENTION_WEBHOOKS_DAYS"),
    ("webhook deliveries", "comms.retention.WEBHOOK_DELIVERIES", "RETENTION_WEBHOOKS_DAYS"),
    ("sessions", "core.retention.SESSIONS", "RETENTION_SESSIONS_DAYS"),
    ("cache", "core.retention.CACHE", "RETENTION_CACHE_DAYS"),
    ("heartbeats", "core.retention.HEARTBEATS", "RETENTION_HEARTBEATS_DAYS"),
    ("processes", "core.retention.PROCESSES", "RETENTION_HEARTBEATS_DAYS"),
    ("tokens", "core.retention.TOKENS", "RETENTION_TOKENS_DAYS"),
    ("unconfirmed subscriptions", "comms.retention.UNCONFIRMED", "RETENTION_UNCONFIRMED_DAYS"),
    ("status days", "comms.retention.STATUS_DAYS", "RETENTION_STATUS_DAYS"),
    ("admin log", "core.retention.ADMIN_LOG", "RETENTION_ADMIN_LOG_DAYS"),
)
CELERY_BEAT_SCHEDULE = {
    task: {"task": task, "schedule": schedule(seconds), "options": {"expires": max(seconds * 2, 5)}}
    for task, _function, seconds in SWEEPS
}

# Due work as /system/, /readyz and /metrics show it: (key, label, function() -> DueWork, limit in seconds).
# One statement counts all of it: each finds its pieces by an index of what is due, never by all that is kept.
# Later than the limit is critical and silences the outside heartbeat, later than half of it a warning.
DUE_WORK = (
    ("checks", "Checks of monitors", "incidents.selectors.due.due_checks", 120.0),
    ("alerts", "Incoming alerts", "incidents.selectors.due.due_alerts", 120.0),
    ("quiet", "Ends of silences and maintenance", "incidents.selectors.due.due_quiet", 120.0),
    ("responses", "Response clocks", "incidents.selectors.due.due_responses", 120.0),
    ("checklists", "Windows of checklists", "incidents.selectors.due.due_checklists", 120.0),
    ("tasks", "Due times of tasks", "incidents.selectors.due.due_tasks", 120.0),
    ("reports", "Due times of reports", "incidents.selectors.due.due_reports", 600.0),
    ("phases", "Reminders of checklists", "incidents.selectors.due.due_phases", 600.0),
    ("action_items", "Reminders of action items", "incidents.selectors.due.due_action_items", 600.0),
    ("reviews", "Openings and due times of reviews", "incidents.selectors.due.due_reviews", 600.0),
    ("documents", "Due times of documents", "incidents.selectors.due.due_documents", 600.0),
    ("training", "Due times of training", "incidents.selectors.due.due_training", 600.0),
    ("search", "Incidents new to the search", "incidents.selectors.due.due_search", 600.0),
    ("rollbacks", "Rollbacks", "rollbacks.selectors.due.due_rollbacks", 120.0),
    ("expiries", "Expiring approvals", "rollbacks.selectors.due.due_expiries", 120.0),
    ("drills", "Drills", "rollbacks.selectors.due.due_drills", 120.0),
    ("deliveries", "Messages", "comms.selectors.operation.due_deliveries", 120.0),
    ("escalations", "Pages when nobody answers", "comms.selectors.operation.due_escalations", 120.0),
    ("webhooks", "Webhooks", "comms.selectors.webhooks.due_webhooks", 600.0),
    ("status_page", "Status page on disk", "comms.selectors.operation.due_status_page", 300.0),
    ("subscriptions", "Confirmations of subscriptions", "comms.selectors.operation.due_confirmations", 300.0),
    ("events", "Pending events", "core.operation.gather.due_events", 120.0),
)
# What is kept beside the timeline and vouched for by it: function(name, *, using) -> (number looked at,
# what is wrong). `name` is a stream's, empty for all.
KEPT_CONTENT = ("incidents.selectors.evidence.verify_evidence",)
# What an app finds wrong with its own machinery: function() -> tuple of Trouble.
OWN_TROUBLES = (
    "incidents.selectors.rollups.late_rollups",
    "incidents.selectors.alerts.parked_deliveries",
    "comms.selectors.operation.dead_deliveries",
    "comms.selectors.operation.unwritten_status_page",
    "comms.selectors.contacts.nobody_reachable",
    "rollbacks.selectors.runners.missing_runners",
)

# /metrics: function() -> iterable of prometheus_client families, by queries whose cost does not grow.
METRIC_COLLECTORS = (
    "core.operation.metrics.collect",
    "incidents.metrics.collect",
    "rollbacks.metrics.collect",
    "comms.metrics.collect",
)

# What `manage.py run --with NAME` starts besides Firebreak: function(environment) -> Extra.
STACK_EXTRAS = {"demo": "demo.stack.demo_extra"}
