"""`manage.py watchdog`: see core.watchdog."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from core import shutdown
from core.watchdog import Watchdog


class Command(BaseCommand):
    help = "Do overdue work when Celery or its broker is away."

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: shutdown.request())
        Watchdog().run()
