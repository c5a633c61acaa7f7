"""`manage.py restore_check [BACKUP]`: prove that a backup can be restored, without touching what runs."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.backup.checking import check_backup
from core.backup.making import list_backups


class Command(BaseCommand):
    help = "Restore a backup into a scratch database, compare it with its manifest, verify every hash chain."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("backup", nargs="?", type=Path, help="default: the newest of BACKUP_DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = _folder(options["backup"])
        self.stdout.write(f"Restore check of {folder}")
        good = True
        for finding in check_backup(folder):
            good = good and finding.good
            self.stdout.write(f"  {'ok ' if finding.good else 'BAD'}  {finding.what:<13} {finding.detail}")
        self.stdout.write("The backup can be restored." if good else "Do NOT rely on this backup.")
        if not good:
            sys.exit(1)


def _folder(given: Path | None) -> Path:
    if given is None:
        backups = list_backups(settings.BACKUP_DIR)
        if not backups:
            raise CommandError(f"There is no backup in {settings.BACKUP_DIR}: run `manage.py backup`.")
        return backups[0]
    given = given.resolve()
    if not given.exists():
        raise CommandError(f"There is no {given}.")
    return given if given.is_dir() else given.parent  # the dump or the manifest was named
