"""`manage.py runner`: see rollbacks.executor.polling."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core import shutdown
from core.playbook import PlaybookError, get_playbook
from rollbacks.executor import polling


class Command(BaseCommand):
    help = "Run due rollbacks of RUNNER_QUEUES with PostgreSQL alone, without a broker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--threads", type=int, default=4, help="How many rollbacks at once (4).")

    def handle(self, *args: Any, threads: int, **options: Any) -> None:
        if not settings.RUNNER_QUEUES:
            raise CommandError("RUNNER_QUEUES is empty: this host runs no rollbacks.")
        if threads < 1:
            raise CommandError("--threads: at least 1")
        try:
            get_playbook()
        except PlaybookError as error:
            raise CommandError(str(error)) from error
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: shutdown.request())
        self.stdout.write(f"{settings.HOST_NAME} runs rollbacks of {', '.join(settings.RUNNER_QUEUES)}")
        self.stdout.flush()
        polling.run_for_ever(threads)
