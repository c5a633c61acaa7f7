"""What people say about a single step: yes to what it asks, or once more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from core.actors import Actor, ActorKind
from core.assurance import ReauthenticationRequired
from core.clock import utcnow
from core.errors import Conflict, FirebreakError, NotAllowed
from core.models import Event
from incidents.models import Incident, Service
from incidents.services.people import assign_role
from rollbacks.executor import run_due
from rollbacks.models import Rollback, RollbackStep
from rollbacks.selectors.choices import attention_of
from rollbacks.services.attention import abort_rollback, mark_step_done, retry_step
from rollbacks.services.confirmations import confirm_step
from rollbacks.states import StepState
from tests.rollbacks.workshop import Workshop, ask, run, states, step

pytestmark = pytest.mark.django_db(transaction=True)
MakeActor = Callable[..., Actor]
QUESTION = {"key": "sure", "kind": "confirm", "question": "Is the site calm?", "within": "10m"}


def token_of(actor: Actor) -> Actor:
    return replace(actor, kind=ActorKind.TOKEN, label=f"{actor.label} (token ci)", token_id="x")


def events(kind: str) -> list[Event]:
    return list(Event.objects.filter(kind=kind).order_by("seq"))


@pytest.fixture
def asking(
    request: pytest.FixtureRequest, workshop: Workshop, shop: Service, incident: Incident, commander: Actor
) -> Iterator[Rollback]:
    """A rollback that waits for the yes of whom the parameter names, between two commands."""
    workshop.command("update_configuration", "")
    workshop.only(
        {"key": "first", "command": "switch_version"},
        {**QUESTION, "roles": list(getattr(request, "param", ()))},
        {"key": "last", "command": "update_configuration"},
    )
    with workshop.open():
        rollback = ask(incident, commander)
        run_due(now=utcnow())
        assert step(rollback, "sure").state == "waiting"
        rollback.refresh_from_db()
        yield rollback


def confirm(rollback: Rollback, actor: Actor, **more: Any) -> Rollback:
    more = {"position": step(rollback, "sure").position, "now": utcnow(), **more}
    return confirm_step(rollback_id=rollback.pk, actor=actor, **more)


def test_a_persons_yes_lets_it_go_on(asking: Rollback, commander: Actor) -> None:
    confirmed = confirm(asking, commander, note="all quiet")
    answered = step(asking, "sure")
    assert (answered.state, answered.note) == ("succeeded", "confirmed by ida: all quiet")
    assert confirmed.due_at is not None
    assert confirmed.due_at <= utcnow()
    (event,) = events("rollback.step_confirmed")
    assert (event.data["position"], event.data["note"]) == (answered.position, "all quiet")
    with pytest.raises(Conflict, match="waits for no confirmation"):
        confirm(asking, commander)
    assert run(asking).state == "succeeded"


def test_whoever_may_decide_the_rollback_answers_and_nobody_else(
    asking: Rollback, commander: Actor, make_actor: MakeActor
) -> None:
    for who, error in (
        (token_of(commander), NotAllowed),
        (make_actor("eve"), NotAllowed),
        (make_actor("vera", "viewer"), NotAllowed),
        (replace(commander, authenticated_at=None), ReauthenticationRequired),
    ):
        with pytest.raises(error):
            confirm(asking, who)
    assert step(asking, "sure").state == "waiting"
    assert confirm(asking, make_actor("emma", "responder", "engineering_manager")).state == "executing"


@pytest.mark.parametrize("asking", [["communications_lead"]], indirect=True)
def test_or_whom_the_step_names(
    asking: Rollback, incident: Incident, commander: Actor, make_actor: MakeActor
) -> None:
    with pytest.raises(NotAllowed, match="This is for Communications Lead of"):
        confirm(asking, commander)
    cora = make_actor("cora", "responder", "communications_lead")
    with pytest.raises(NotAllowed):
        confirm(asking, cora)
    assign_role(
        incident_id=incident.pk, role="communications_lead", username="cora", actor=commander, now=utcnow()
    )
    confirm(asking, cora)
    assert step(asking, "sure").state == "succeeded"


def test_too_late_is_no_answer_and_other_steps_ask_nothing(asking: Rollback, commander: Actor) -> None:
    later = utcnow() + dt.timedelta(minutes=11)
    with pytest.raises(Conflict, match="in time"):
        confirm(asking, replace(commander, authenticated_at=later), now=later)
    for position in (1, 99):
        with pytest.raises(Conflict, match="waits for no confirmation"):
            confirm(asking, commander, position=position)


@pytest.fixture
def failed(workshop: Workshop, shop: Service, incident: Incident, commander: Actor) -> Iterator[Rollback]:
    """One step failed and does not matter, the next one does: it succeeds when it runs again."""
    once = f"import pathlib; p = pathlib.Path({str(workshop.folder)!r}, 'tried')\nif not p.exists(): p.touch(); sys.exit(3)"
    workshop.command("clear_caches", "sys.exit(1)")
    workshop.command("update_configuration", once)
    workshop.command("yes_back", "")
    workshop.only(
        {"key": "first", "command": "switch_version", "mutating": True, "verify_after": "yes_back"},
        {"key": "caches", "command": "clear_caches", "on_failure": "continue"},
        {"key": "config", "command": "update_configuration"},
    )
    with workshop.open():
        rollback = run(ask(incident, commander))
        assert rollback.state == "needs_attention"
        yield rollback


def test_a_step_is_run_once_more_when_a_person_says_so(
    failed: Rollback, workshop: Workshop, commander: Actor
) -> None:
    again: dict[str, Any] = {"position": step(failed, "config").position, "actor": commander, "now": utcnow()}
    retried = retry_step(rollback_id=failed.pk, reason="the mount is back", **again)
    pending = step(failed, "config")
    assert (retried.state, pending.state, pending.attempt) == ("executing", "pending", 1)
    assert "tried again by ida: the mount is back" in pending.note
    (event,) = events("rollback.step_retried")
    assert (event.data["attempt"], event.data["reason"]) == (1, "the mount is back")
    with pytest.raises(Conflict):
        retry_step(rollback_id=failed.pk, reason="again", **again)
    assert run(failed).state == "succeeded"
    assert workshop.ran.count("update_configuration") == 2
    assert step(failed, "config").attempt == 2


@pytest.mark.parametrize("decide", [mark_step_done, abort_rollback, retry_step])
def test_a_failure_that_is_tolerated_waits_for_nobody(
    failed: Rollback, commander: Actor, decide: Callable[..., Rollback]
) -> None:
    caches = step(failed, "caches")
    assert (caches.state, caches.tolerated) == ("failed", True)
    with pytest.raises(Conflict, match="does not wait for a decision"):
        decide(rollback_id=failed.pk, position=caches.position, reason="x", actor=commander, now=utcnow())
    attention = attention_of(commander, failed, list(failed.steps.all()))
    assert attention is not None
    assert "“Config”" in attention.choices[0].consequence


@pytest.mark.parametrize("decide", [mark_step_done, abort_rollback, retry_step])
def test_a_token_or_a_stranger_decides_nothing_about_a_step(
    failed: Rollback, commander: Actor, make_actor: MakeActor, decide: Callable[..., Rollback]
) -> None:
    position = step(failed, "config").position
    for who in (token_of(commander), make_actor("eve"), replace(commander, authenticated_at=None)):
        with pytest.raises(FirebreakError):
            decide(rollback_id=failed.pk, position=position, reason="x", actor=who, now=utcnow())
    assert step(failed, "config").state == "failed"


def test_what_is_being_undone_is_decided_from_the_end(
    failed: Rollback, workshop: Workshop, commander: Actor
) -> None:
    """It stopped while it put things back: done means undone, and once more means undoing once more."""
    Rollback.objects.filter(pk=failed.pk).update(compensating="“Config” failed")
    RollbackStep.objects.filter(rollback=failed, key="first").update(state=StepState.UNKNOWN)
    RollbackStep.objects.filter(rollback=failed, key="config").update(state=StepState.PENDING)
    failed.refresh_from_db()
    first = step(failed, "first")
    attention = attention_of(commander, failed, list(failed.steps.all()))
    assert attention is not None
    assert "is undone once more" in attention.choices[1].consequence
    about: dict[str, Any] = {"rollback_id": failed.pk, "position": first.position, "actor": commander}
    retry_step(reason="the mount is back", now=utcnow(), **about)
    assert step(failed, "first").state == "unknown", "it is taken up from where it stands"
    assert run(failed).state == "needs_attention", "nothing says how to undo it"
    mark_step_done(reason="I switched it back", now=utcnow(), **about)
    assert run(failed).state == "failed"
    assert step(failed, "first").state == "compensated"
    assert "all that was changed was put back" in failed.outcome
    assert "pending" not in states(failed)
