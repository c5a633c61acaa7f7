"""`manage.py retention [--dry-run]`: forget what is too old, or count what would be."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import retention
from core.clock import utcnow


class Command(BaseCommand):
    help = "Forget old rows as the RETENTION settings say; the timeline and the history are never forgotten."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *args: Any, **options: Any) -> None:
        verb = "would be forgotten" if options["dry_run"] else "forgotten"
        for entry in retention.run(now=utcnow(), dry_run=options["dry_run"]):
            age = f"before {entry.before:%Y-%m-%d %H:%M} UTC" if entry.before else "kept for ever"
            self.stdout.write(
                f"{entry.name:<20} {age:<32} {entry.rows:>12,} {verb} in {entry.seconds:.1f} s"
                + ("" if entry.finished else " (stopped before the end)")
            )
