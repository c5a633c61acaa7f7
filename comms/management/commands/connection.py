"""`manage.py connection set|remove|list`: what channels need, from the command line."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from comms.selectors.connections import list_connections
from comms.services.connections import remove_connection, set_connection
from core.actors import COMMAND_LINE
from core.clock import utcnow
from core.encryption import NoEncryptionKey
from core.errors import FirebreakError
from core.strict_json import NotStrictJson, loads

MOST_LETTERS = 20_000


class Command(BaseCommand):
    help = "Set up, remove or list the connections of channels. `set` reads JSON on its standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser(
            "set", help='such as {"token": "xoxb-…"}; never an argument, which others see'
        ).add_argument("name")
        verbs.add_parser("remove").add_argument("name")
        verbs.add_parser("list").add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["verb"])(options)
        except (FirebreakError, NoEncryptionKey) as error:
            raise CommandError(str(error)) from None

    def set(self, options: dict[str, Any]) -> None:
        try:
            settings = loads(sys.stdin.read(MOST_LETTERS))
        except NotStrictJson as error:
            raise CommandError(f"Standard input is no JSON: {error.said}") from None
        if not isinstance(settings, dict):
            raise CommandError("Standard input must be a JSON object.")
        set_connection(name=options["name"], settings=settings, actor=COMMAND_LINE, now=utcnow())
        self.stdout.write(f"{options['name']} is set up")

    def remove(self, options: dict[str, Any]) -> None:
        remove_connection(name=options["name"], actor=COMMAND_LINE, now=utcnow())
        self.stdout.write(f"{options['name']} is not set up")

    def list(self, options: dict[str, Any]) -> None:
        lines = list_connections()
        if options["json"]:
            shown = [
                {"name": line.name, "kind": line.kind, "channels": line.channels, "set_up": line.is_set_up}
                for line in lines
            ]
            self.stdout.write(json.dumps(shown))
            return
        for line in lines:
            state = (
                f"set up {line.changed_at:%Y-%m-%d %H:%M} by {line.changed_by}"
                if line.changed_at
                else "not set up"
            )
            self.stdout.write(f"{line.name}  {line.kind or 'no channel'}  {','.join(line.channels)}  {state}")
