"""Where Chromium is, how tests start it, and the mark of a test that needs it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
from django.conf import settings
from django.db import connections
from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
]
_MISSING = "Chromium is not installed (apt-get install chromium)"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=_MISSING)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium of its own; skips the test where there is none.

    Playwright keeps a loop in this thread, which Django takes for async code: it is told that it is not, and
    the connections that it opens for that are closed at the end.
    """
    if CHROMIUM is None:
        pytest.skip(_MISSING)
    with mock.patch.dict(os.environ, DJANGO_ALLOW_ASYNC_UNSAFE="1"), sync_playwright() as playwright:
        expect.set_options(timeout=15_000)  # milliseconds: a busy machine is no failure
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        try:
            yield browser
        finally:
            browser.close()
            if settings.configured:  # not for who only drives a browser
                connections.close_all()
