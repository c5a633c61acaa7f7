"""Whether a rollback was necessary: said by a person, once it is over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest

from core.actors import AUTOMATION, Actor, ActorKind
from core.assurance import ReauthenticationRequired
from core.errors import Conflict, Invalid, NotAllowed
from core.models import Event
from incidents.models import Incident
from rollbacks.models import Rollback
from rollbacks.services.judging import judge_rollback
from rollbacks.services.requests import reject_rollback, request_rollback

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]


@pytest.fixture
def waiting(incident: Incident, now: dt.datetime) -> Rollback:
    """What automation asked for."""
    return request_rollback(
        incident_id=incident.pk, service="shop", reason="errors", actor=AUTOMATION, now=now
    )


@pytest.fixture
def over(waiting: Rollback, commander: Actor, now: dt.datetime) -> Rollback:
    return reject_rollback(rollback_id=waiting.pk, reason="it is well", actor=commander, now=now)


def _judge(rollback: Rollback, actor: Actor, now: dt.datetime, *, false_positive: bool = True) -> Rollback:
    return judge_rollback(
        rollback_id=rollback.pk,
        false_positive=false_positive,
        reason="the monitor lied",
        actor=actor,
        now=now,
    )


def test_the_last_judgement_counts_and_all_stand_on_the_timeline(
    over: Rollback, incident: Incident, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    version = over.version
    judged = _judge(over, commander, now)
    assert (judged.false_positive, judged.judged_by, judged.judged_at) == (True, "ida", now)
    assert (judged.judged_reason, judged.version, judged.state) == (
        "the monitor lied",
        version + 1,
        "rejected",
    )
    judged = _judge(over, make_actor("rob"), now, false_positive=False)
    assert (judged.false_positive, judged.judged_by) == (False, "rob")
    events = Event.objects.filter(stream=incident.stream, kind="rollback.judged").order_by("seq")
    assert [event.data["false_positive"] for event in events] == [True, False]
    assert "judged a false positive by ida: the monitor lied" in events[0].summary


def test_not_before_it_is_over(waiting: Rollback, commander: Actor, now: dt.datetime) -> None:
    with pytest.raises(Conflict, match="when it is over"):
        _judge(waiting, commander, now)


def test_a_person_who_may_decide_judges_and_says_why(
    over: Rollback, commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    token = Actor(ActorKind.TOKEN, "ci", commander.level, user_id=commander.user_id, token_id="x")
    with pytest.raises(NotAllowed, match="Only a person"):
        _judge(over, token, now)
    with pytest.raises(NotAllowed):
        _judge(over, make_actor("vera", "viewer"), now)
    with pytest.raises(ReauthenticationRequired):
        _judge(over, replace(commander, authenticated_at=None), now)
    with pytest.raises(Invalid):
        judge_rollback(rollback_id=over.pk, false_positive=True, reason=" ", actor=commander, now=now)
    over.refresh_from_db()
    assert over.false_positive is None
