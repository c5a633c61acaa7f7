"""Running manage.py as a process of its own against the database of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection


def database_environment(name: str = "") -> dict[str, str]:
    """The environment of a process that works on the test's database, or on `name` of the same server."""
    name = name or str(connection.settings_dict["NAME"])
    addresses = {key: os.environ[key] for key in ("DATABASE_URL", "DATABASE_OWNER_URL")}
    return os.environ | {
        key: urlunsplit(urlsplit(address)._replace(path=f"/{name}")) for key, address in addresses.items()
    }


def manage(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py on the test's database; the caller looks at the exit code."""
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        env=database_environment() | environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
