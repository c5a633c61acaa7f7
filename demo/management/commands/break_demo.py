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
        self.stdout.write(f"{version} is live. Watch {settings.PUBLIC_URL}/ now: nobody has to do anything.")

    def _storefront(self, verb: str, *words: str) -> str:
        argv = [sys.executable, STOREFRONT, verb, "--site", SITE, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CommandError(f"storefront {verb} failed:\n{done.stdout}{done.stderr}")
        return done.stdout
