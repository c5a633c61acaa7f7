"""`manage.py backup [--to DIR] [--keep N]`: a backup of the database and the playbook, while all runs."""

from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.backup.making import make_backup
from core.backup.tools import BackupFailed
from core.clock import utcnow


class Command(BaseCommand):
    help = "Back up the database and the playbook; nothing stops meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", type=Path, default=settings.BACKUP_DIR, help="default: BACKUP_DIR")
        parser.add_argument("--keep", type=int, default=settings.BACKUP_KEEP, help="older ones are removed")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["keep"] < 1:
            raise CommandError("--keep must be 1 or more")
        try:
            made = make_backup(to=options["to"].resolve(), keep=options["keep"], now=utcnow())
        except (BackupFailed, psycopg.Error, OSError) as error:
            raise CommandError(f"No backup was made. {error}") from error
        said = made.manifest
        self.stdout.write(
            f"{made.folder}\n"
            f"  database  {said['dump']['bytes']:,} bytes, {sum(said['tables'].values()):,} rows,"
            f" {said['streams']['count']} streams with {said['streams']['events']:,} events\n"
            f"  playbook  {len(said['playbook']['files'])} files\n"
            f"  removed   {len(made.removed)} older, {options['keep']} are kept\n"
            "Not in it:\n"
            + "".join(f"  - {text}\n" for text in said["not_in_it"])
            + "Prove it: manage.py restore_check"
        )
