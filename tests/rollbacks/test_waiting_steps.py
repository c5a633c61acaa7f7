"""Steps that wait are rows with a time: wait, confirm, assert and http that goes on elsewhere."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.models import Event
from core.playbook import PlaybookError, load
from incidents.facts import Reading
from incidents.models import Incident, Service
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.states import SampleOutcome
from rollbacks.executor import run_due
from rollbacks.models import Rollback
from rollbacks.selectors.output import output_after
from tests.rollbacks.workshop import Workshop, ask, run, states, step

pytestmark = pytest.mark.django_db(transaction=True)


def _later(rollback: Rollback, seconds: float) -> None:
    """As if so much time had passed."""
    for waiting in rollback.steps.filter(due_at__isnull=False):
        assert waiting.due_at is not None
        rollback.steps.filter(pk=waiting.pk).update(due_at=waiting.due_at - dt.timedelta(seconds=seconds))
    Rollback.objects.filter(pk=rollback.pk).update(due_at=utcnow())
    run_due(now=utcnow())
    rollback.refresh_from_db()


def test_a_wait_holds_no_worker_and_ends_by_itself(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.only({"key": "settle", "kind": "wait", "duration": "300s"})
    with workshop.open():
        rollback = ask(incident, commander)
        run_due(now=utcnow())
        rollback.refresh_from_db()
        assert (step(rollback, "settle").state, rollback.lease_until) == ("waiting", None)
        _later(rollback, 200)
        assert rollback.state == "executing"
        _later(rollback, 101)
    assert (rollback.state, states(rollback)) == ("succeeded", ["succeeded"] * 3)


def test_nobody_confirmed_in_time_is_a_failure_never_a_yes(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.only({"key": "sure", "kind": "confirm", "question": "Is the site calm?", "within": "10m"})
    with workshop.open():
        rollback = ask(incident, commander)
        run_due(now=utcnow())
        assert (
            Event.objects.filter(kind="rollback.confirmation_asked").get().data["question"]
            == "Is the site calm?"
        )
        _later(rollback, 601)
    assert (rollback.state, step(rollback, "sure").state) == ("failed", "timed_out")
    assert "nobody confirmed it in time" in rollback.outcome


@pytest.mark.parametrize(("value", "state"), [(0.0, "succeeded"), (0.9, "failed")])
def test_an_assert_judges_the_monitors(
    value: float, state: str, workshop: Workshop, incident: Incident, commander: Actor, shop: Service
) -> None:
    monitor = create_monitor(
        actor=SYSTEM, now=utcnow(), service="shop", metric="error_rate",
        source={"type": "http_json", "url": "http://127.0.0.1:1/", "path": "x"},
    )  # fmt: skip
    workshop.steps(
        verify=[{"key": "well", "kind": "assert", "that": "monitors_well", "attempts": 2, "backoff": "1m"}]
    )
    with workshop.open():
        observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, value), now=utcnow())
        rollback = ask(incident, commander)
        run_due(now=utcnow())
        if state == "failed":
            rollback.refresh_from_db()
            assert (rollback.state, rollback.lease_until) == ("verifying", None), "judged again in a minute"
            _later(rollback, 61)
        rollback = run(rollback)
    judged = step(rollback, "well")
    assert judged.state == state
    assert (rollback.state == "succeeded") is (state == "succeeded")
    assert judged.note


def test_too_little_measured_is_for_a_person_not_a_failure(
    workshop: Workshop, incident: Incident, commander: Actor
) -> None:
    workshop.only({"key": "well", "kind": "assert", "that": "monitors_answer", "on_failure": "continue"})
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, step(rollback, "well").state) == ("needs_attention", "unknown")
    assert "no monitor watches the service" in rollback.attention


# --- http ------------------------------------------------------------------------------------------


@pytest.fixture
def tool(httpserver: HTTPServer, settings: Any, workshop: Workshop) -> HTTPServer:
    """A deployment tool that steps of kind http may ask."""
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    automation = workshop.folder / "automation.yaml"
    automation.write_text(f"{automation.read_text()}\nhttp_hosts: ['127.0.0.1:{httpserver.port}']\n")
    return httpserver


def _http(tool: HTTPServer, path: str = "/deploy/{target_version}", **more: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{tool.port}{path}"
    return {
        "key": "deploy",
        "kind": "http",
        "url": url,
        "mutating": True,
        "verify_after": "release_is_back",
        **more,
    }


def test_a_request_is_made_once_with_what_the_procedure_says(
    workshop: Workshop, incident: Incident, commander: Actor, tool: HTTPServer, monkeypatch: Any
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "s3cret-token-value")
    asked: list[Request] = []

    def answer(request: Request) -> Response:
        asked.append(request)
        body = json.dumps({"job": {"state": "done"}, "token": "abcdef123456"})
        return Response(body, content_type="application/json")

    tool.expect_request("/deploy/1.9.0", method="POST").respond_with_handler(answer)
    workshop.only(
        _http(tool, body={"version": "{target_version}", "why": "{rollback}"}, token_variable="DEPLOY_TOKEN",
              expect={"job.state": "done"})
    )  # fmt: skip
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert rollback.state == "succeeded"
    (request,) = asked
    assert request.json == {"version": "1.9.0", "why": rollback.ref}
    assert request.headers["Idempotency-Key"] == f"{rollback.ref}:2"
    assert request.headers["Authorization"] == "Bearer s3cret-token-value"
    said = step(rollback, "deploy").output_tail
    assert "HTTP 200" in said
    assert "abcdef123456" not in said, "what looks like a secret is hidden"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Response("no", 500), "answered 500"),
        (Response("", 302, {"Location": "http://169.254.169.254/"}), "answered 302"),
        (Response('{"job": {"state": "failed"}}'), "the answer does not say job.state"),
        (Response("not json"), "the answer does not say job.state"),
        (Response("[" * 100_000), "the answer does not say job.state"),
    ],
)
def test_another_answer_is_a_failure_that_says_what(
    answer: Response, said: str, workshop: Workshop, incident: Incident, commander: Actor, tool: HTTPServer
) -> None:
    tool.expect_request("/deploy/1.9.0").respond_with_response(answer)
    workshop.only(_http(tool, expect={"job.state": "done"}))
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, step(rollback, "deploy").state) == ("needs_attention", "failed")
    assert said in step(rollback, "deploy").note


def test_the_same_key_goes_with_every_attempt(
    workshop: Workshop, incident: Incident, commander: Actor, tool: HTTPServer
) -> None:
    keys: list[str] = []

    def answer(request: Request) -> Response:
        keys.append(request.headers["Idempotency-Key"])
        return Response("{}", 200 if len(keys) == 3 else 503)

    tool.expect_request("/deploy/1.9.0").respond_with_handler(answer)
    workshop.only(_http(tool, repeatable=True, attempts=3, backoff="50ms"))
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, keys) == ("succeeded", [f"{rollback.ref}:2"] * 3)


def test_a_request_without_an_answer_is_settled_by_its_read_back(
    workshop: Workshop, incident: Incident, commander: Actor, tool: HTTPServer
) -> None:
    """It may have arrived: not asked again, since nothing says that twice does no harm."""
    asked: list[int] = []

    def answer(request: Request) -> Response:
        asked.append(1)
        import time

        time.sleep(2)
        return Response("{}")

    tool.expect_request("/deploy/1.9.0").respond_with_handler(answer)
    workshop.only(_http(tool, timeout="500ms"))
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, asked) == ("succeeded", [1])
    assert "its read-back says that it took effect" in step(rollback, "deploy").note


def test_accepted_work_is_looked_after_without_a_worker(
    workshop: Workshop, incident: Incident, commander: Actor, tool: HTTPServer
) -> None:
    looks: list[Request] = []

    def look(request: Request) -> Response:
        looks.append(request)
        return Response(json.dumps({"state": "succeeded" if len(looks) > 2 else "running"}))

    accepted = Response(json.dumps({"job": {"url": "/jobs/7"}}), 202)
    tool.expect_request("/deploy/1.9.0").respond_with_response(accepted)
    tool.expect_request("/jobs/7").respond_with_handler(look)
    workshop.only(
        _http(tool, poll="job_url", poll_every="100ms", done={"state": "succeeded"})
        | {"poll": "location", "expect": {}}
    )
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert step(rollback, "deploy").note == "the answer names no address of the same host to ask"

    accepted.headers["Location"] = "/jobs/7"
    Rollback.objects.filter(pk=rollback.pk).update(state="resolved_by_hand")
    with workshop.open():
        rollback = run(ask(incident, commander))
    assert (rollback.state, len(looks)) == ("succeeded", 3)
    said = output_after(step(rollback, "deploy"), 0).data.decode()
    assert said.index("HTTP 202") < said.index('"succeeded"'), (
        "what it said at its end comes after, not instead"
    )


def test_a_host_that_is_not_listed_stops_the_playbook(workshop: Workshop, tool: HTTPServer) -> None:
    workshop.only({**_http(tool), "url": "http://elsewhere.example/deploy"})
    with pytest.raises(PlaybookError, match=r"does not list elsewhere.example under http_hosts"):
        load(workshop.write())


@pytest.mark.parametrize("url", ["http://{service}.example/", "ftp://host/", "http://user@host/", "/deploy"])
def test_the_host_is_never_a_parameter(url: str, workshop: Workshop, tool: HTTPServer) -> None:
    workshop.only({**_http(tool), "url": url})
    with pytest.raises(PlaybookError, match=r"host"):
        load(workshop.write())
