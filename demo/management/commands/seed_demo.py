"""`manage.py seed_demo`: the storefront as a monitored service, people to call, a webhook; safe to repeat."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from comms.models import Contact, WebhookEndpoint
from comms.services.webhooks import create_webhook, edit_webhook
from core.actors import SYSTEM
from core.clock import utcnow
from core.http import what_is_wrong_with_address
from core.models import User
from incidents.models import RoleGrant, Service
from incidents.services.monitors import create_monitor
from incidents.services.services import create_service, record_release
from incidents.states import Role

SLUG = "storefront"
FIRST_VERSION = "1.4.2"
RECEIVER = "The demo's receiver"
MONITORED = ("error_rate", "response_time", "memory_usage", "security_events")
PATHS = {"response_time": "response_time_ms"}
PEOPLE = (
    (
        "Ida Commander",
        "primary",
        "Incident Commander",
        Role.INCIDENT_COMMANDER,
        ("everyone", "management"),
    ),
    (
        "Tomas Lead",
        "primary",
        "Technical Lead",
        Role.TECHNICAL_LEAD,
        ("everyone", "technical_team"),
    ),
    ("Sami Secure", "primary", "Security Lead", Role.SECURITY_LEAD, ("everyone", "security_team")),
    ("Cleo Comms", "primary", "Communications Lead", Role.COMMUNICATIONS_LEAD, ("everyone",)),
    (
        "Dev Team",
        "team",
        "Development team",
        "",
        ("everyone", "development_team", "technical_team"),
    ),
    (
        "Emil Manager",
        "escalation",
        "Engineering Manager",
        Role.ENGINEERING_MANAGER,
        ("everyone", "management"),
    ),
    ("Thea Officer", "escalation", "CTO", "", ("everyone", "management")),
    ("Carl Chief", "escalation", "CEO", "", ("everyone", "management")),
)


class Command(BaseCommand):
    help = "Register the demo storefront, its monitors, its contacts and its receiver of webhooks."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        now = utcnow()
        if not Service.objects.filter(slug=SLUG).exists():
            self._service(now)
        self._people()
        self._webhook(now)

    def _service(self, now: dt.datetime) -> None:
        service = create_service(
            actor=SYSTEM,
            now=now,
            slug=SLUG,
            name="Storefront",
            environment="demo",
            tier=1,
            procedure="storefront_rollback",
            auto_rollback=True,
            public_name="Online shop",
        )
        # The good release has been out since yesterday, so it is one to return to.
        record_release(
            service_id=service.pk,
            version=FIRST_VERSION,
            actor=SYSTEM,
            now=now,
            deployed_at=now - dt.timedelta(days=1),
        )
        port = os.environ.get("STOREFRONT_PORT") or str(settings.PORT + 1)
        for metric in MONITORED:
            create_monitor(
                actor=SYSTEM,
                now=now,
                service=SLUG,
                metric=metric,
                source={
                    "type": "http_json",
                    "url": f"http://127.0.0.1:{port}/metrics.json",
                    "path": PATHS.get(metric, metric),
                },
                interval_seconds=5,
            )

    def _people(self) -> None:
        for name, kind, title, role, audiences in PEOPLE:
            Contact.objects.get_or_create(
                email=f"{name.lower().replace(' ', '.')}@example.test",
                defaults={
                    "name": name,
                    "kind": kind,
                    "title": title,
                    "role": role,
                    "audiences": list(audiences),
                    "phone": "+49 30 0000000",
                },
            )
        admin = User.objects.filter(username="admin").first()
        if admin is not None and not RoleGrant.objects.exists():
            RoleGrant.objects.bulk_create(RoleGrant(user=admin, role=role) for role in Role)

    def _webhook(self, now: dt.datetime) -> None:
        """Every event goes to the storefront's receiver; the secret lies beside it, for whoever verifies."""
        port = os.environ.get("DEMO_WEBHOOK_PORT") or str(settings.PORT + 2)
        url = f"http://127.0.0.1:{port}/"
        if what_is_wrong_with_address(url):
            return  # `make run` allows loopback; elsewhere there is no receiver
        known = WebhookEndpoint.objects.filter(description=RECEIVER).first()
        if known is not None:
            edit_webhook(webhook_id=known.pk, changes={"url": url, "enabled": True}, actor=SYSTEM, now=now)
            return
        _endpoint, secret = create_webhook(url=url, description=RECEIVER, actor=SYSTEM, now=now)
        file = settings.VAR_DIR / "storefront" / "webhook_secret"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(secret)
        file.chmod(0o600)
