"""`manage.py playbook check|schema|show|reference`: look at the playbook without starting anything."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from pydantic import BaseModel

from core.playbook import PlaybookError, load
from core.playbook.reference import PAGE, reference, section_schemas


class Command(BaseCommand):
    help = "Check the playbook, print its JSON schema, show it as it is understood, or write its reference."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["check", "schema", "show", "reference"])
        parser.add_argument("folder", nargs="?", type=Path, help="default: PLAYBOOK_DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "schema":
            self.stdout.write(json.dumps(section_schemas(), indent=2))
            return
        if options["verb"] == "reference":
            PAGE.write_text(reference())
            self.stdout.write(f"{PAGE.relative_to(settings.BASE_DIR)} is written")
            return
        folder: Path = options["folder"] or settings.PLAYBOOK_DIR
        try:
            playbook = load(folder)
        except PlaybookError as error:
            raise CommandError(f"The playbook in {folder} is wrong:\n" + "\n".join(error.problems)) from error
        if options["verb"] == "check":
            self.stdout.write(f"{folder}: valid, SHA-256 {playbook.digest}")
        else:
            self.stdout.write(
                json.dumps({name: _plain(value) for name, value in playbook.sections.items()}, indent=2)
            )


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    return {key: _plain(item) for key, item in value.items()}
