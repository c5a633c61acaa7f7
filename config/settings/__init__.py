"""Firebreak's settings, a module per subject; `wiring` says which app listens to which."""

from config.settings.accounts import *  # noqa: F403
from config.settings.api import *  # noqa: F403
from config.settings.base import *  # noqa: F403
from config.settings.keeping import *  # noqa: F403
from config.settings.logs import *  # noqa: F403
from config.settings.operation import *  # noqa: F403
from config.settings.security import *  # noqa: F403
from config.settings.wiring import *  # noqa: F403
