"""Static files are served, and no other request pays for it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client
from django.utils.module_loading import import_string


def test_a_static_file_is_served_without_signing_in(client: Client) -> None:
    found = finders.find("django_htmx/htmx.min.js") or finders.find("admin/css/base.css")
    assert isinstance(found, str)
    name = "django_htmx/htmx.min.js" if "htmx" in found else "admin/css/base.css"
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert b"".join(iter(answer)) == Path(found).read_bytes()


def test_a_static_file_that_is_none_is_no_page(db: None, client: Client) -> None:
    assert client.get("/static/no/such.css").status_code == 404


@pytest.mark.parametrize("path", settings.MIDDLEWARE)
def test_every_middleware_works_without_an_event_loop(path: str) -> None:
    """One that is async only costs every request an event loop and changes of thread."""
    middleware = import_string(path)
    assert getattr(middleware, "sync_capable", True)
    assert not inspect.iscoroutinefunction(middleware.__call__)
