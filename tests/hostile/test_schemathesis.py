"""Requests made from the API's own schema: no 500, the answers are the described ones, a 4xx stores nothing.

`make faults` runs a short, seeded tier; `make fuzz` runs FUZZ_EXAMPLES cases per operation, kind and sender
for each of FUZZ_SEEDS.
"""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from core.models import ApiToken, User
from core.models.accounts import SCOPES
from tests.hostile.doors import row_counts
from tests.pages.conftest import Afternoon, afternoon
from tests.signing_in import sign_in

__all__ = ["afternoon"]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
SEEDS = [int(word) for word in os.environ.get("FUZZ_SEEDS", "1").split()]
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
CSRF = "c" * 32
Sender = Mapping[str, str]


@pytest.fixture
def senders(afternoon: Afternoon) -> dict[str, Sender]:
    """An administrator's session and a token of theirs with every scope, as request headers."""
    ada = User.objects.create(username="ada", is_staff=True)
    ada.groups.add(Group.objects.get(name="administrator"))
    browser = Client()
    sign_in(browser, ada)
    session = browser.cookies[django_settings.SESSION_COOKIE_NAME].value
    expires = afternoon.rollback.requested_at + dt.timedelta(days=1)
    token = ApiToken.issue(user=ada, name="fuzz", scopes=list(SCOPES), expires_at=expires)[1]
    cookies = {django_settings.SESSION_COOKIE_NAME: session, django_settings.CSRF_COOKIE_NAME: CSRF}
    return {
        "session": {
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "X-CSRFToken": CSRF,
        },
        "token": {"Authorization": f"Bearer {token}"},
    }


@pytest.fixture
def known(afternoon: Afternoon) -> dict[str, Any]:
    """Values of path parameters that name something."""
    return {
        "incidents": afternoon.incident.ref,
        "rollbacks": afternoon.rollback.ref,
        "services": afternoon.service.slug,
        "monitors": afternoon.monitor.pk,
    }


@pytest.fixture
def one_connection() -> Iterator[None]:
    """As Django's own test client: a request keeps the connection, which is inside the test's transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.mark.faults
@pytest.mark.usefixtures("one_connection")
@pytest.mark.parametrize("number", SEEDS)
def test_no_request_from_the_schema_breaks(
    number: int, senders: dict[str, Sender], known: dict[str, Any]
) -> None:
    schema = schemathesis.openapi.from_wsgi(
        "/api/v1/schema/", get_wsgi_application(), headers={"Accept": "application/vnd.oai.openapi+json"}
    )
    failures: list[str] = []
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]  # an invalid schema fails here
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for name, sender in senders.items():
                tried += 1
                work = partial(_fuzz, operation, mode, sender, known, number)
                _collect(failures, f"{name} {mode.value} {operation.label}", work)
    assert tried > 150
    assert not failures, f"{len(failures)} of {tried}:\n" + "\n\n".join(failures)


def _collect(failures: list[str], what: str, work: Callable[[], None]) -> None:
    try:
        work()
    except schemathesis.errors.SchemathesisError as error:
        if "negative" not in str(error).lower():  # an operation without anything to get wrong
            failures.append(f"{what}: {error}")
    except (AssertionError, BaseExceptionGroup) as error:
        said = "\n".join(str(each) for each in getattr(error, "exceptions", [error]))
        failures.append(f"{what}: {said[:1500]}")


def _fuzz(operation: Any, mode: GenerationMode, sender: Sender, known: dict[str, Any], number: int) -> None:
    chooser = random.Random(f"{number} {operation.label}")

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if mode is GenerationMode.POSITIVE or chooser.random() < 0.5:
            _point_at_something(case, known)
        _ask(case, sender)

    ask()


def _point_at_something(case: Any, known: dict[str, Any]) -> None:
    """Most random names name nothing; a positive case and half of the others name a row."""
    kind = case.path.removeprefix("/api/v1/").split("/")[0]
    for name in case.path_parameters or {}:
        if name in ("ref", "slug", "id", "pk") and kind in known:
            case.path_parameters[name] = known[kind]
        elif name == "role":
            case.path_parameters[name] = "incident_commander"
        elif name == "position":
            case.path_parameters[name] = 1


def _ask(case: Any, sender: Sender) -> None:
    # What the sender is must not be fuzzed away: other headers stay as they were made.
    kept = {
        name: value
        for name, value in (case.headers or {}).items()
        if name.lower() not in {n.lower() for n in sender}
    }
    before, point = row_counts(), transaction.savepoint()
    # Where only tokens are taken, a case without one would count as wrong from the start.
    case.headers = kept | {name: value for name, value in sender.items() if name == "Authorization"}
    response = case.call(headers=dict(sender))
    try:
        case.validate_response(response, checks=CHECKS, headers=dict(sender))
        if response.status_code >= 400:
            assert row_counts() == before, f"a refusal stored something: {case.as_curl_command()}"
    finally:
        transaction.savepoint_rollback(point)
