"""The criteria for a rollback: what they recommend, and the check that stands on the timeline."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.actors import Actor
from core.errors import Conflict, Invalid, NotAllowed
from core.models import Event
from incidents import policy
from incidents.models import Incident
from incidents.rules.criteria import JUDGEMENT, recommend
from incidents.selectors.checklists import last_criteria_check
from incidents.services.criteria import check_criteria
from incidents.services.incidents import resolve_incident
from incidents.states import Tier

CRITERIA = policy.criteria()
TIER_OF = {c.key: tier for tier in Tier for c in CRITERIA.root[tier].criteria}
PLAIN = [c.key for tier in Tier for c in CRITERIA.root[tier].criteria if c.degradation is None]
ORDER = [*Tier.values, "none"]


def test_the_shipped_criteria_are_the_policys() -> None:
    """Source: seed, Manual Rollback Criteria: five in each tier."""
    assert {tier: len(CRITERIA.root[tier].criteria) for tier in Tier} == dict.fromkeys(Tier, 5)
    texts = [criterion.text for criterion in CRITERIA.root[Tier.IMMEDIATE].criteria]
    assert texts[0] == "Complete application failure"
    assert "Performance degradation > 50%" in [c.text for c in CRITERIA.root[Tier.RECOMMENDED].criteria]


@given(st.sets(st.sampled_from(sorted(TIER_OF))))
def test_the_strongest_ticked_tier_is_the_recommendation(ticked: set[str]) -> None:
    found = recommend(CRITERIA, ticked)
    expected = min((ORDER.index(TIER_OF[key]) for key in ticked), default=ORDER.index("none"))
    assert found.recommendation == ORDER[expected]
    assert set(found.matched) == ticked
    tiers = [ORDER.index(TIER_OF[key]) for key in found.matched]
    assert tiers == sorted(tiers)  # the strongest reason is named first


@given(st.sets(st.sampled_from(PLAIN)), st.sampled_from(sorted(TIER_OF)))
def test_one_more_criterion_never_weakens_the_recommendation(ticked: set[str], more: str) -> None:
    before, after = recommend(CRITERIA, ticked), recommend(CRITERIA, ticked | {more})
    assert ORDER.index(after.recommendation) <= ORDER.index(before.recommendation)


@given(st.integers(min_value=0, max_value=1000))
@example(0)
@example(19)
@example(20)
@example(50)
@example(51)
def test_a_measured_degradation_is_in_its_tier_or_needs_judgement(percent: int) -> None:
    """Strictly above 50 is recommended, some but below 20 optional; from 20 to 50 somebody has to judge."""
    found = recommend(CRITERIA, (), percent)
    expected = "recommended" if percent > 50 else "optional" if 0 < percent < 20 else "none"
    assert found.recommendation == expected
    assert (JUDGEMENT in found.text) == (20 <= percent <= 50)
    assert len(found.matched) == (expected != "none")


@given(st.sets(st.sampled_from(PLAIN)), st.integers(min_value=20, max_value=50))
def test_a_degradation_between_the_tiers_changes_no_recommendation_but_says_so(
    ticked: set[str], percent: int
) -> None:
    without, with_it = recommend(CRITERIA, ticked), recommend(CRITERIA, ticked, percent)
    assert (with_it.recommendation, with_it.matched) == (without.recommendation, without.matched)
    assert JUDGEMENT in with_it.text


@pytest.mark.django_db
def test_a_check_stands_on_the_timeline_as_a_decision_and_the_last_one_is_shown(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    assert last_criteria_check(incident) is None
    by: dict[str, Any] = {"incident_id": incident.pk, "actor": commander}
    check_criteria(**by, criteria=["cosmetic_problems"], now=now)
    later = now + dt.timedelta(minutes=1)
    found = check_criteria(**by, criteria=["data_corruption"], degradation_percent=60, now=later)
    assert found.recommendation == "immediate"
    assert found.matched == ("data_corruption", "degradation_major")
    event = Event.objects.filter(stream=incident.stream).latest("seq")
    assert event.kind.startswith("decision.")
    assert event.summary == "Criteria checked: Immediate rollback required"
    assert event.data["matched"] == ["data_corruption", "degradation_major"]
    shown = last_criteria_check(incident)
    assert shown is not None
    assert (shown.recommendation, shown.checked_by, shown.checked_at) == ("immediate", "ida", later)
    assert shown.reasons == ("Data corruption detected", "Performance degradation > 50%")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("criteria", "percent"),
    [(["nothing_known"], None), (["degradation_major"], 10), (["degradation_minor"], 50)],
)
def test_an_unknown_or_contradicted_criterion_is_refused_and_nothing_is_recorded(
    incident: Incident, commander: Actor, now: dt.datetime, criteria: list[str], percent: int | None
) -> None:
    with pytest.raises(Invalid) as caught:
        check_criteria(
            incident_id=incident.pk, criteria=criteria, degradation_percent=percent, actor=commander, now=now
        )
    assert set(caught.value.fields) == {"criteria"}
    assert last_criteria_check(incident) is None


@pytest.mark.django_db
def test_a_resolved_incident_and_a_viewer_check_nothing(
    incident: Incident, commander: Actor, make_actor: object, now: dt.datetime
) -> None:
    viewer = make_actor("vic", "viewer")  # type: ignore[operator]
    with pytest.raises(NotAllowed):
        check_criteria(incident_id=incident.pk, criteria=[], actor=viewer, now=now)
    resolve_incident(incident_id=incident.pk, resolution="fixed", actor=commander, now=now)
    with pytest.raises(Conflict):
        check_criteria(incident_id=incident.pk, criteria=[], actor=commander, now=now)
