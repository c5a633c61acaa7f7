"""Every migration must let the version before go on working: `make check` runs django-migration-linter here.

The rule is in CONTRIBUTING.md (expand, then contract). A migration that the linter refuses and that is
right all the same stands in EXCUSED with its reason; an excuse that is not needed is an error too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS = ("core", "incidents", "rollbacks", "comms", "demo")
# (app, migration) -> why it may stand. Tables that a migration creates itself are nobody's yet.
EXCUSED = {
    ("comms", "0002_initial"): "the second half of the first migration: nobody has run without it",
    ("incidents", "0003_escalation_and_versions"): "an empty partial index over monitors: some thousand rows",
    ("incidents", "0010_measuring"): "a partial index over monitors without an answer: some thousand rows",
    ("incidents", "0012_alerts"): "indexes of the tables that it makes itself: nobody reads them yet",
    ("incidents", "0017_reports"): "indexes of the tables that it makes itself: nobody reads them yet",
    ("incidents", "0025_retrospectives"): "an empty partial unique index over reviews: some dozens a year",
    ("rollbacks", "0008_drills"): "indexes of the tables that it makes itself: nobody reads them yet",
    ("incidents", "0020_full_text"): "indexes of the table that it makes itself: empty, read by nobody yet",
    ("rollbacks", "0003_step_kinds_of_the_playbook"): "a varchar becomes longer: no row is touched",
    (
        "rollbacks",
        "0006_trusted_engine",
    ): "unique indexes over approvals and live drills: small tables, milliseconds",
    ("core", "0010_patient_consumers"): "an index over the events that nobody has handled yet: few rows",
    ("core", "0003_levels_and_cache"): "makes the cache's table itself; DROP stands in its reverse alone",
}


def lint() -> list[str]:
    """What is wrong with the migrations, a line each. Needs a database, which stays empty."""
    import django

    django.setup()
    from django_migration_linter import MigrationLinter

    class Linter(MigrationLinter):
        """Collects what it finds by migration instead of printing it."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.found: dict[tuple[str, str], list[str]] = {}
            self.current = ("", "")

        def lint_migration(self, migration: Any) -> None:
            self.current = (migration.app_label, migration.name)
            super().lint_migration(migration)

        def print_errors(self, errors: list[Any]) -> None:
            self.found.setdefault(self.current, []).extend(issue.message for issue in errors)

        def print_warnings(self, warnings: list[Any]) -> None:
            self.found.setdefault(self.current, []).extend(issue.message for issue in warnings)

    linter = Linter(path=str(ROOT), include_apps=OURS, no_cache=True, no_output=True)
    linter.lint_all_migrations()
    wrong = [
        f"{app}.{name}: {text}"
        for (app, name), texts in sorted(linter.found.items())
        for text in texts
        if (app, name) not in EXCUSED
    ]
    needless = [f"{app}.{name}: is excused for nothing" for app, name in EXCUSED.keys() - linter.found.keys()]
    return wrong + needless


def main() -> int:
    from core.embedded.stack import open_stack

    with (
        tempfile.TemporaryDirectory(prefix="fb-lint-") as folder,
        open_stack(Path(folder), {"REDIS_URL": "redis://unused"}, durable=False) as stack,
    ):
        environment = os.environ | stack.env | {"DJANGO_SETTINGS_MODULE": "config.settings"}
        argv = [sys.executable, "-m", "tests.lint_migrations", "here"]
        return subprocess.run(argv, env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    if sys.argv[1:] != ["here"]:
        sys.exit(main())
    problems = lint()
    print("\n".join(problems) or "Every migration lets the version before go on.")
    sys.exit(bool(problems))
