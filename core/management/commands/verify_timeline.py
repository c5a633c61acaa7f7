"""`manage.py verify_timeline [REF]`: shows tampering with the timeline."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.verification import verify_kept, verify_stream, verify_streams


class Command(BaseCommand):
    help = "Check the hash chain and the evidence of every stream, or of one (INC-…, a slug, firebreak)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ref", nargs="?")

    def handle(self, *args: Any, **options: Any) -> None:
        ref = options["ref"]
        checked, problems = verify_stream(ref) if ref else verify_streams()
        if not checked:
            raise CommandError(f"no stream named {ref}" if ref else "there is no stream yet")
        kept, wrong = verify_kept(ref or "")
        problems += wrong
        if problems:
            raise CommandError("The timeline was tampered with:\n" + "\n".join(problems))
        beside = f", {kept} piece(s) of evidence the same as attached" if kept else ""
        self.stdout.write(f"{checked} stream(s) intact{beside}")
