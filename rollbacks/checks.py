"""System checks of this app: what the playbook promises must fit how processes are stopped."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.core.checks import CheckMessage, register

from core.playbook import PlaybookError, get_playbook
from core.shutdown import STEP_GRACE_SECONDS


@register(deploy=True)
def commands_end_before_a_stop_gives_up(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A stop waits STEP_GRACE_SECONDS for a running command; one that may take longer could be cut."""
    try:
        commands = get_playbook()["commands"].root
    except PlaybookError:
        return []  # core.checks says so, with file, line and field
    return [
        checks.Warning(
            f"playbook commands.yaml: {key} may run {command.timeout:g} s, longer than a stop waits"
            f" ({STEP_GRACE_SECONDS:g} s).",
            hint="Shorten its timeout, or start the long work elsewhere and let a later step wait for it.",
            id="firebreak.W022",
        )
        for key, command in commands.items()
        if command.timeout > STEP_GRACE_SECONDS
    ]
