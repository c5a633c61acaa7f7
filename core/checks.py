"""System checks: what must be right before Firebreak starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.management.base import BaseCommand, SystemCheckError

from core.playbook import PlaybookError, get_playbook

# Checked by whatever serves, also where nobody runs `manage.py`: see `stop_unless_ready`.
START = "start"


def stop_unless_ready() -> None:
    """End the process with the words of what must be right before it serves; the playbook is read with it."""
    try:
        BaseCommand().check(tags=[START])
    except SystemCheckError as error:
        raise SystemExit(f"Firebreak does not start.\n{error}") from error


@register(START)
def playbook_is_valid(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A wrong playbook stops the start with file, line and field."""
    try:
        get_playbook()
    except PlaybookError as error:
        return [Error(f"playbook {problem}", id="firebreak.E001") for problem in error.problems]
    return []


@register(Tags.security, deploy=True)
def secret_is_given(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Processes with folders of their own would each make another secret."""
    if "SECRET_KEY" in os.environ:
        return []
    return [
        checks.Warning(
            "SECRET_KEY is not set: each VAR_DIR generates its own.",
            hint="Set SECRET_KEY to 50 random characters, the same for every process.",
            id="firebreak.W021",
        )
    ]


@register(Tags.database, deploy=True)
def timeline_has_another_owner(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The application's own database user must not own the timeline."""
    if settings.DATABASES["default"].get("USER") == settings.DATABASES["owner"].get("USER"):
        return [
            checks.Warning(
                "The application connects as the owner of the timeline's tables.",
                hint="Give DATABASE_OWNER_URL a role that owns the tables, DATABASE_URL one that does not.",
                id="firebreak.W001",
            )
        ]
    return []
