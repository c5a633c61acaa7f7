"""`manage.py break_demo`: deploys a release that really fails a third of its requests."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.actors import SYSTEM
from core.clock import utcnow
from incidents.models import Service
from incidents.services.services import record_release
from incidents.states import Metric
from rollbacks import policy
from rollbacks.rules.admission import refusals
from rollbacks.selectors.decisions import situation_of

STOREFRONT = str(settings.BASE_DIR / "demo" / "bin" / "storefront")
SITE = str(settings.VAR_DIR / "storefront")


class Command(BaseCommand):
    help = "Deploy a bad release to the demo storefront and tell Firebreak, as a pipeline would."

    def handle(self, *args: Any, **options: Any) -> None:
        service = Service.objects.filter(slug="storefront").first()
        if service is None:
            raise CommandError("The demo is not set up: start it with `make run` first.")
        deployed_at = utcnow()
        version = self._storefront("next-version").strip()
        self.stdout.write(f"Deploying storefront {version}, which fails a third of its requests …")
        self.stdout.write(self._storefront("deploy", version, "--bad"))
        record_release(
            service_id=service.pk,
            version=version,
            actor=SYSTEM,
            now=utcnow(),
            deployed_at=deployed_at,
        )
        self.stdout.write(f"{version} is live. Watch {settings.PUBLIC_URL}/ now{what_follows(service)}")

    def _storefront(self, verb: str, *words: str) -> str:
        argv = [sys.executable, STOREFRONT, verb, "--site", SITE, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CommandError(f"storefront {verb} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def what_follows(service: Service) -> str:
    """Whether automation will roll it back; if not, why, and what to do. Asked as automation asks itself."""
    now = utcnow()
    reasons = refusals(situation_of(service, metric=Metric.ERROR_RATE, now=now), policy.limits(), now=now)
    if not reasons:
        return ": nobody has to do anything."
    why = "\n".join(f"  - {reason.text}" for reason in reasons)
    return (
        f": Firebreak sees it, but automation will not roll it back by itself:\n{why}\n"
        "Open the incident and press Roll back…, which a person may at any time. To show it again sooner,"
        f" give `make run` and `make break` a PLAYBOOK_DIR with a copy of {settings.PLAYBOOK_DIR} whose"
        " automation.yaml says `cooldown: 0s` and a larger `per_day`."
    )
