"""Who is asked for a second factor, and when a person has to show again that it is them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core.actors import AUTOMATION, SYSTEM, Actor, ActorKind, Level
from core.assurance import (
    SUBJECTS,
    Assurance,
    ReauthenticationRequired,
    SecondFactorRequired,
    doubt_about,
    must_enrol,
)

NOW = dt.datetime(2026, 11, 24, 3, 0, tzinfo=dt.UTC)
ages = st.integers(0, 100_000)
asked_of = st.builds(
    Assurance, st.frozensets(st.sampled_from(SUBJECTS)), ages.map(lambda s: dt.timedelta(seconds=s))
)
people = st.builds(
    Actor,
    st.just(ActorKind.USER),
    st.just("ida"),
    st.sampled_from(Level),
    user_id=st.just(1),
    authenticated_at=st.none() | ages.map(lambda s: NOW - dt.timedelta(seconds=s)),
    second_factor=st.booleans(),
)


@given(people, asked_of)
def test_a_decision_needs_a_fresh_proof_and_the_factor_that_is_asked(actor: Actor, asked: Assurance) -> None:
    doubt = doubt_about(actor, asked, NOW)
    fresh = actor.authenticated_at is not None and NOW - actor.authenticated_at <= asked.fresh_for
    enough = actor.second_factor or "approving" not in asked.second_factor_for
    assert (doubt is None) == (fresh and enough)
    if not enough:
        assert isinstance(doubt, SecondFactorRequired)  # first, or the person would confirm in vain
    elif not fresh:
        assert isinstance(doubt, ReauthenticationRequired)


@given(people, asked_of)
def test_proving_more_never_takes_anything_away(actor: Actor, asked: Assurance) -> None:
    surer = replace(actor, second_factor=True, authenticated_at=NOW)
    assert doubt_about(surer, asked, NOW) is None
    assert not must_enrol(surer, asked)


@given(people, asked_of)
def test_only_administrators_in_person_are_led_to_enrol(actor: Actor, asked: Assurance) -> None:
    wanted = (
        "administrators" in asked.second_factor_for
        and actor.level is Level.ADMINISTRATOR
        and not actor.second_factor
    )
    assert must_enrol(actor, asked) == wanted
    assert not must_enrol(replace(actor, kind=ActorKind.TOKEN), asked)
    assert not any(must_enrol(machine, asked) for machine in (SYSTEM, AUTOMATION))
