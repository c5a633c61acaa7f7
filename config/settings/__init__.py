"""Firebreak's settings: `base` reads the environment, `wiring` says which app listens to which."""

from config.settings.base import *  # noqa: F403
from config.settings.wiring import *  # noqa: F403
