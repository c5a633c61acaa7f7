"""Log lines: one each, about something, without secrets, and not to be forged."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core import logs

Lines = Callable[[], list[str]]
SECRETS = [
    ("postgres://firebreak:hunter2@db/firebreak", "hunter2"),
    ("redis://:hunter2@cache:6379/0", "hunter2"),
    ("Authorization: Bearer abcdef123456", "abcdef123456"),
    ("token fb_0123456789ab_Zm9vYmFyYmF6cXV4Zm9vYmFy", "Zm9vYmFy"),
    ("Cookie: sessionid=k3yk3yk3y; csrftoken=zzz", "k3yk3yk3y"),
    ("GET /accounts/callback/?code=s3cr3t&state=0p4que", "s3cr3t"),
    ("GET /hook/?token=s3cr3t", "s3cr3t"),
    ('{"password": "hunter2"}', "hunter2"),
    ("password='hunter2' user=ida", "hunter2"),
    ("secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8"),
]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Lines]:
    """What a logger of the form `request.param` (json or line) writes."""
    monkeypatch.setenv("LOG_FORMAT", getattr(request, "param", "json"))
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: stream.getvalue().splitlines()
    root.removeHandler(handler)


def last(written: Lines) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(written()[-1])
    return entry


def test_an_entry_is_one_json_object_with_time_level_and_event(written: Lines) -> None:
    logging.getLogger("tests").warning("the %s is away", "broker")
    entry = last(written)
    assert (entry["level"], entry["event"], entry["logger"]) == ("warning", "the broker is away", "tests")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", entry["time"])


def test_what_a_line_is_about_stands_on_it(written: Lines) -> None:
    with logs.about(rollback="RB-2026-11-24-0001", incident="INC-2026-11-24-0001"):
        logging.getLogger("tests").warning("stopped")
    assert last(written)["rollback"] == "RB-2026-11-24-0001"
    logging.getLogger("tests").warning("afterwards")
    assert "rollback" not in last(written)


@pytest.mark.parametrize("written", ["json", "line"], indirect=True)
@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_are_never_written(written: Lines, text: str, secret: str) -> None:
    logging.getLogger("tests").warning("failed: %s", text)
    structlog.get_logger("tests").warning("failed", detail=text, password=secret, headers={"Cookie": secret})
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("tests").exception("failed")
    assert secret not in "\n".join(written())
    assert logs.HIDDEN in "\n".join(written())


def test_a_traceback_has_no_local_variables(written: Lines) -> None:
    def fail() -> None:
        passphrase = "correct horse battery staple"
        raise ValueError(f"{len(passphrase)} characters")

    try:
        fail()
    except ValueError:
        logging.getLogger("tests").exception("failed")
    assert "ValueError: 28 characters" in last(written)["exception"]
    assert "battery staple" not in last(written)["exception"]


@pytest.mark.parametrize("written", ["json", "line"], indirect=True)
def test_a_line_cannot_be_forged(written: Lines) -> None:
    evil = "x\nERROR root: forged\r\x1b[2J\u2028y\u202e"
    logging.getLogger("tests").warning("title: %s", evil)
    structlog.get_logger("tests").warning("declared", title=evil, who='a" level=x')
    try:
        raise ValueError(evil)
    except ValueError:
        logging.getLogger("tests").exception("failed")
    text = "\n".join(written())
    assert not re.search(r"^ERROR root", text, re.MULTILINE)
    assert not re.search("[\x1b\u2028\u202e]", text)


@hypothesis_settings(max_examples=40)
@given(
    st.text(max_size=200), st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=50), max_size=3)
)
def test_any_text_makes_one_line(event: str, about: dict[str, str]) -> None:
    for render in (logs.as_json, logs.as_line):
        line = render(None, "", {"level": "info", "logger": "tests", **about, "event": event})
        assert len(line.splitlines()) <= 1


# --- requests --------------------------------------------------------------------------------------


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("hunter2 went wrong")


def away(request: HttpRequest) -> HttpResponse:
    raise OperationalError("connection refused")


urlpatterns = [
    path("broken/", broken),
    path("api/v1/broken/", broken),
    path("away/", away),
    path("api/v1/away/", away),
]
handler500 = "core.views.errors.broken"


@pytest.fixture
def browser(settings: Any) -> Client:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["core.logs.RequestLogMiddleware"]
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("given_id", ["proxy-made-0001", "6f1c2f5e-7f0a-4b1c-9a55-0d3f5f1f8a11"])
def test_a_sane_request_id_is_taken_over_and_sent_back(browser: Client, given_id: str) -> None:
    answer = browser.get("/nowhere/", headers={"x-request-id": given_id})
    assert answer["X-Request-ID"] == given_id


@pytest.mark.parametrize(
    "given_id", ["", "x", "a b c d e f g h", "x" * 65, "abcdefgh\tlevel=error", "<script>12345"]
)
def test_any_other_is_replaced(browser: Client, given_id: str) -> None:
    answer = browser.get("/nowhere/", headers={"x-request-id": given_id})
    assert re.fullmatch(r"[0-9a-f-]{36}", answer["X-Request-ID"])


def test_an_error_can_be_quoted_and_found(browser: Client, written: Lines) -> None:
    page = browser.get("/broken/")
    assert page.status_code == 500
    assert page["X-Request-ID"] in page.content.decode()
    assert "went wrong" not in page.content.decode()
    problem = browser.get("/api/v1/broken/")
    assert problem.json()["request_id"] == problem["X-Request-ID"]
    assert (problem.status_code, problem["Content-Type"]) == (500, "application/problem+json")
    entry = last(written)
    assert entry["request_id"] == problem["X-Request-ID"]
    assert "RuntimeError" in entry["exception"]


@pytest.mark.django_db
def test_refusals_of_the_api_name_their_request(written: Lines, make_user: Any) -> None:
    answer = Client().get("/api/v1/incidents/INC-2026-01-01-0001/")
    assert answer.status_code == 401
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    ida = Client()
    user = make_user("ida", "commander")
    ida.force_login(user)
    answer = ida.get("/incidents/INC-2026-01-01-0001/?token=hunter2")
    entry = last(written)
    assert (entry["event"], entry["code"], entry["user_id"]) == ("request_finished", 404, user.pk)
    assert (entry["incident"], entry["request_id"]) == ("INC-2026-01-01-0001", answer["X-Request-ID"])
    assert "hunter2" not in json.dumps(entry)
    assert "ida" not in json.dumps(entry)


def test_a_database_that_is_away_is_503_with_a_time_to_come_back(browser: Client) -> None:
    answer = browser.get("/api/v1/away/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json()["code"] == "database_away"
    assert browser.get("/away/").status_code == 503
