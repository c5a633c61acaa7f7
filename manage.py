#!/usr/bin/env python
"""The command line of Firebreak."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from core.history import by_command

    with by_command(sys.argv):
        execute_from_command_line(sys.argv)
