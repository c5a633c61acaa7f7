"""`manage.py status_snapshot`: write the status page to disk now."""

from typing import Any

from django.core.management.base import BaseCommand

from comms.publishing.snapshot import write_snapshot


class Command(BaseCommand):
    help = "Write the public status page to $STATUS_PAGE_DIR/status, where any static server finds it."

    def handle(self, *args: Any, **options: Any) -> None:
        link = write_snapshot()
        self.stdout.write(f"{link} -> {link.resolve()}")
