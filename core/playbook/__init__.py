"""The playbook: what the organisation decided in advance, loaded once, validated and frozen."""

from core.playbook.loader import Playbook, PlaybookError, load
from core.playbook.registry import get_playbook, use_playbook

__all__ = ["Playbook", "PlaybookError", "get_playbook", "load", "use_playbook"]
