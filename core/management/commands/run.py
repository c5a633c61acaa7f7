"""`manage.py run`: all of Firebreak under one supervisor, with embedded servers where none are given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from core import shutdown
from core.embedded.child import Child
from core.embedded.console import Console
from core.embedded.folders import NotPrivate
from core.embedded.server import ServerFailed
from core.embedded.stack import StackAlreadyRunning, open_stack
from core.embedded.supervisor import ProcfileInvalid, Supervisor, parse_procfile

# A step of a rollback that has begun is let finish: see Ctrl-C in the README.
GRACE_SECONDS = {
    "runner": shutdown.STEP_GRACE_SECONDS,
    "watchdog": shutdown.STEP_GRACE_SECONDS,
    "comms": 60.0,
}
USUAL_GRACE_SECONDS = 15.0
MANAGE = str(Path(sys.argv[0]).resolve())


class Command(BaseCommand):
    help = "Start web, workers, beat and watchdog, and the servers they need; Ctrl-C stops them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--with", dest="extras", action="append", default=[], choices=settings.STACK_EXTRAS
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with open_stack(settings.VAR_DIR) as stack:
                environment = _environment(stack.env)
                extras = [
                    import_string(settings.STACK_EXTRAS[name])(environment) for name in options["extras"]
                ]
                for extra in extras:
                    environment |= extra.environment
                _manage(environment, "migrate", "--verbosity", "0")
                _manage(environment, "first_administrator")
                procfiles = [settings.BASE_DIR / "Procfile"]
                for extra in extras:
                    procfiles.append(extra.procfile)
                    for command in extra.prepare:
                        _manage(environment, *command)
                self._greet(environment, [line for extra in extras for line in extra.greeting])
                children = list(_children(procfiles, environment))
                console = Console([child.name for child in children])
                code = Supervisor(children, console, stack.servers).run()
        except (StackAlreadyRunning, ServerFailed, NotPrivate, ProcfileInvalid) as error:
            raise CommandError(str(error)) from error
        sys.exit(code)

    def _greet(self, environment: dict[str, str], extra_lines: list[str]) -> None:
        url = environment["PUBLIC_URL"]
        lines = [
            f"Firebreak starts at {url}",
            f"Sign in at {url}/accounts/login/ as admin (the password was printed at the first start;",
            "  forgotten? `.venv/bin/python manage.py changepassword admin`).",
            *extra_lines,
            "Ctrl-C stops everything; a step of a rollback that runs is let finish.",
        ]
        self.stdout.write("\n" + "\n".join(f"  {line}" for line in lines) + "\n\n")
        self.stdout.flush()


def _environment(stack: dict[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        **stack,
        "PORT": str(settings.PORT),
        "HOST": os.environ.get("HOST", "127.0.0.1"),
        "PUBLIC_URL": settings.PUBLIC_URL,
        "PLAYBOOK_DIR": str(settings.PLAYBOOK_DIR),
        "PYTHONUNBUFFERED": "1",
    }


def _manage(environment: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, MANAGE, *words], env=environment, cwd=settings.BASE_DIR, check=False
    )
    if done.returncode != 0:
        raise CommandError(f"manage.py {words[0]} failed")


def _children(procfiles: list[Path], environment: dict[str, str]) -> Iterator[Child]:
    for procfile in procfiles:
        for name, argv in parse_procfile(procfile, environment).items():
            yield Child(
                name,
                argv,
                grace_seconds=GRACE_SECONDS.get(name, USUAL_GRACE_SECONDS),
                # When the supervisor itself was killed nobody waits for a running task any more.
                death_signal=signal.SIGQUIT if "celery" in argv else signal.SIGTERM,
                env=environment,
                cwd=settings.BASE_DIR,
            )
