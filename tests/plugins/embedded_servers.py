"""Gives a test session its own PostgreSQL and Valkey: `pytest -p tests.plugins.embedded_servers`.

pytest-django reads the settings before any conftest, so this has to be a plugin. A DATABASE_URL
or REDIS_URL of the environment is never used, it may be an installation's; TEST_DATABASE_URL
(with TEST_DATABASE_OWNER_URL) and TEST_REDIS_URL name servers that tests may empty.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from core.embedded.folders import socket_dir
from core.embedded.stack import open_stack

ADDRESSES = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "CELERY_BROKER_URL")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the addresses are in the environment it inherited
    given = {name: os.environ.get(f"TEST_{name}", "") for name in ADDRESSES}
    for name in ADDRESSES:
        os.environ.pop(name, None)
    session = contextlib.ExitStack()
    early_config.add_cleanup(session.close)  # runs also when a conftest cannot be imported
    var_dir = Path(tempfile.mkdtemp(prefix="firebreak-test-"))
    session.callback(shutil.rmtree, var_dir, ignore_errors=True)
    session.callback(shutil.rmtree, socket_dir(var_dir), ignore_errors=True)
    os.environ.update(session.enter_context(open_stack(var_dir, given, durable=False)).env)
