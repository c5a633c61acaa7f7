"""Where the door of commands stood; it is core's, because Firebreak's own page needs it too."""

from core.views.commands import REFUSED_FORM, CommandView

__all__ = ["REFUSED_FORM", "CommandView"]
