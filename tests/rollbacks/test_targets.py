"""Where a rollback may go: the rule for all ledgers, and what the request, the page and the worker make of it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.actors import SYSTEM, Actor
from core.errors import Invalid
from core.models import Event
from core.outbox import deliver_pending
from core.playbook import get_playbook, use_playbook
from incidents.models import Incident, Release, Service
from incidents.services.services import quarantine_release, record_release, switch_back
from incidents.states import IncidentKind, ReleaseState
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.playbook import Commands
from rollbacks.rules.admission import Limits, Situation, refusals
from rollbacks.rules.targets import Listed, judge_targets, schema_generation, why_no_return
from rollbacks.selectors.decisions import situation_of
from rollbacks.selectors.plans import make_plan
from rollbacks.selectors.targets import targets_of, why_not_target
from rollbacks.services.requests import TargetUnverified, request_rollback
from rollbacks.states import RollbackState
from rollbacks.timeline import record_on_rollback

pytestmark = pytest.mark.django_db

S = ReleaseState
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
LIVE = Listed("2.0.0", S.LIVE, NOON, schema_version="12.1")
GOOD = Listed(
    "1.9.0", S.GOOD, NOON - dt.timedelta(days=1), good_at=NOON - dt.timedelta(hours=9), schema_version="12.0"
)


def _why_not(release: Listed, **how: Any) -> str:
    return judge_targets([LIVE, release], security=how.pop("security", False), **how).why_not(release.version)


@pytest.mark.parametrize(
    ("change", "why_not"),
    [
        ({}, ""),
        ({"schema_version": ""}, ""),
        ({"state": S.SUPERSEDED, "good_at": None}, "never clean for long enough"),
        ({"state": S.ROLLED_BACK}, "it was left by a rollback and not deployed since"),
        (
            {"state": S.QUARANTINED, "quarantined_at": NOON, "quarantine_reason": "it leaks"},
            "quarantined since 2026-11-23 12:00 UTC because it leaks",
        ),
        (
            {"schema_version": "11.9"},
            "schema 12.1 of 2.0.0 cannot be read by 1.9.0, which has 11.9",
        ),
    ],
)
def test_each_reason_is_said_in_words(change: dict[str, Any], why_not: str) -> None:
    assert _why_not(replace(GOOD, **change)) == why_not


def test_the_version_being_left_and_an_unknown_one_are_no_targets() -> None:
    targets = judge_targets([LIVE, GOOD], security=False)
    assert targets.why_not("2.0.0") == "it is the version being left"
    assert targets.why_not("0.0.1") == "it is not recorded"
    assert (targets.default, targets.note("2.0.0")) == ("1.9.0", "No target: it is the version being left.")


def test_a_security_incident_goes_to_a_declared_baseline_even_one_that_was_superseded() -> None:
    assert _why_not(GOOD, security=True) == "not a security baseline"
    declared = replace(GOOD, version="1.8.0", state=S.SUPERSEDED, good_at=None, security_baseline=True)
    assert _why_not(declared, security=True) == ""
    assert _why_not(declared) == "never clean for long enough"


def test_what_nobody_recorded_is_said() -> None:
    known = judge_targets([LIVE, GOOD], security=False).candidates[0].why
    assert known == "Verified good since 2026-11-23 03:00 UTC; deployed 2026-11-22 12:00 UTC."
    unknown = judge_targets([LIVE, replace(GOOD, schema_version="")], security=False).candidates[0].why
    assert unknown.endswith("The schema of 1.9.0 is not recorded: nothing says whether the data fits.")


def test_what_the_commands_need_of_the_target_must_be_recorded() -> None:
    needs = frozenset({"commit"})
    assert _why_not(GOOD, needs=needs) == "the procedure needs the commit of 1.9.0, which is not recorded"
    assert _why_not(replace(GOOD, has=needs), needs=needs) == ""


def test_what_was_left_may_be_gone_back_to_but_for_quarantine_and_schema() -> None:
    left = replace(GOOD, state=S.ROLLED_BACK, good_at=None)
    assert why_no_return(left, LIVE) == ""
    assert "quarantined" in why_no_return(replace(left, quarantined_at=NOON), LIVE)
    assert "cannot be read" in why_no_return(replace(left, schema_version="13"), LIVE)


moments = st.integers(0, 300).map(lambda days: NOON - dt.timedelta(days=days))
rows = st.builds(
    Listed,
    version=st.uuids().map(str),
    state=st.sampled_from([state for state in S if state is not S.LIVE]),
    deployed_at=moments,
    good_at=st.none() | moments,
    security_baseline=st.booleans(),
    schema_version=st.sampled_from(["", "1", "1.5", "2.0"]),
    quarantined_at=st.none() | moments,
    has=st.frozensets(st.sampled_from(["commit", "artifact"])),
)
ledgers = st.tuples(
    st.lists(rows, max_size=8), st.none() | rows.map(lambda row: replace(row, state=S.LIVE))
).map(lambda pair: [*pair[0], *([pair[1]] if pair[1] else [])])
needs_of_commands = st.frozensets(st.sampled_from(["commit", "artifact"]))


@given(ledgers, st.booleans(), needs_of_commands)
def test_every_release_is_a_candidate_or_has_a_reason(
    ledger: list[Listed], security: bool, needs: frozenset[str]
) -> None:
    targets = judge_targets(ledger, security=security, needs=needs)
    versions = [judged.version for judged in (*targets.candidates, *targets.others)]
    assert sorted(versions) == sorted(release.version for release in ledger)
    assert all(judged.why for judged in (*targets.candidates, *targets.others))
    assert all(not targets.why_not(judged.version) for judged in targets.candidates)
    assert all(targets.why_not(judged.version) for judged in targets.others)


@given(ledgers, st.booleans(), needs_of_commands)
def test_no_candidate_is_live_quarantined_left_or_of_another_schema(
    ledger: list[Listed], security: bool, needs: frozenset[str]
) -> None:
    by_version = {release.version: release for release in ledger}
    targets = judge_targets(ledger, security=security, needs=needs)
    live = by_version[targets.live] if targets.live else None
    for judged in targets.candidates:
        release = by_version[judged.version]
        assert release.state in ((S.GOOD, S.SUPERSEDED) if security else (S.GOOD,))
        assert release.quarantined_at is None
        assert needs <= release.has
        assert release.security_baseline if security else release.good_at is not None
        if live and live.schema_version and release.schema_version:
            assert schema_generation(live.schema_version) == schema_generation(release.schema_version)


@given(ledgers, st.booleans(), st.randoms())
def test_the_default_is_the_newest_candidate_in_whatever_order_the_ledger_comes(
    ledger: list[Listed], security: bool, chance: Any
) -> None:
    targets = judge_targets(ledger, security=security)
    deployed = {release.version: release.deployed_at for release in ledger}
    if targets.default:
        assert deployed[targets.default] == max(deployed[judged.version] for judged in targets.candidates)
    mixed = list(ledger)
    chance.shuffle(mixed)
    assert {judged.version for judged in judge_targets(mixed, security=security).candidates} == {
        judged.version for judged in targets.candidates
    }


@given(ledgers, st.booleans())
def test_what_was_passed_over_would_be_the_default_without_its_quarantine(
    ledger: list[Listed], security: bool
) -> None:
    passed_over = judge_targets(ledger, security=security).passed_over
    if passed_over is not None:
        freed = [
            replace(r, quarantined_at=None, state=S.GOOD if r.state is S.QUARANTINED else r.state)
            if r.version == passed_over
            else r
            for r in ledger
        ]
        assert judge_targets(freed, security=security).why_not(passed_over) == ""


DOUBTS: dict[str, Any] = {
    "armed": False,
    "auto_rollback": False,
    "live_rollback": "RB-1",
    "live_version": None,
    "target_version": None,
    "reached_by_rollback": True,
    "tried_before": True,
    "passed_over": "1.9.5",
    "target_failed": "RB-0",
}
SURE = Situation(
    armed=True,
    auto_rollback=True,
    live_rollback=None,
    live_version="2.0.0",
    live_deployed_at=NOON,
    target_version="1.9.0",
    reached_by_rollback=False,
    tried_before=False,
    metric="error_rate",
    has_symptom=False,
)


@given(st.sets(st.sampled_from(sorted(DOUBTS))))
def test_automation_starts_only_where_nothing_is_in_doubt(doubts: set[str]) -> None:
    situation = replace(SURE, **{name: DOUBTS[name] for name in doubts})
    assert bool(refusals(situation, Limits(), now=NOON)) is bool(doubts)


@given(st.sets(st.sampled_from(sorted(DOUBTS))))
def test_what_a_person_has_to_look_at_is_left_to_a_person(doubts: set[str]) -> None:
    situation = replace(SURE, **{name: DOUBTS[name] for name in doubts | {"reached_by_rollback"}})
    if situation.live_version:
        said = [reason.text for reason in refusals(situation, Limits(), now=NOON)]
        assert "2.0.0 was itself reached by a rollback; a person decides" in said


# --- with the database -----------------------------------------------------------------------------


@pytest.fixture
def older(shop: Service, now: dt.datetime) -> Release:
    """1.8.0, verified good before 1.9.0."""
    return Release.objects.create(
        service=shop,
        version="1.8.0",
        state=S.GOOD,
        deployed_at=now - dt.timedelta(days=9),
        recorded_at=now - dt.timedelta(days=9),
        good_at=now - dt.timedelta(days=8),
    )


@pytest.fixture
def procedure_with() -> Iterator[Callable[..., None]]:
    """`procedure_with(returns=…)` changes the shop's procedure, `argv=…` the words of its first command."""
    with contextlib.ExitStack() as stack:

        def change(*, argv: tuple[str, ...] = (), **fields: Any) -> None:
            playbook = get_playbook()
            procedures, known = playbook["procedures"], playbook["commands"].root
            own = procedures["storefront_rollback"].model_copy(update=fields)
            checked = known["health_check"].model_copy(update={"argv": argv or known["health_check"].argv})
            sections = {
                **playbook.sections,
                "procedures": {**procedures, "storefront_rollback": own},
                "commands": Commands({**known, "health_check": checked}),
            }
            stack.enter_context(use_playbook(replace(playbook, sections=sections)))

        yield change


def _ask(incident: Incident, actor: Actor, now: dt.datetime, **more: Any) -> Rollback:
    return request_rollback(
        incident_id=incident.pk, service="shop", reason="errors", actor=actor, now=now, **more
    )


def test_without_a_version_the_newest_good_one_is_gone_to_and_an_older_good_one_on_request(
    incident: Incident, older: Release, commander: Actor, now: dt.datetime
) -> None:
    assert [c.version for c in targets_of(incident.services.get()).candidates] == ["1.9.0", "1.8.0"]
    assert _ask(incident, commander, now, target_version="1.8.0").target_version == "1.8.0"


def test_a_quarantined_release_is_gone_to_neither_by_default_nor_on_request(
    shop: Service, incident: Incident, older: Release, commander: Actor, now: dt.datetime
) -> None:
    quarantine_release(service_id=shop.pk, version="1.9.0", reason="leaks", actor=commander, now=now)
    with pytest.raises(TargetUnverified, match=r"quarantined since .* because leaks"):
        _ask(incident, commander, now, target_version="1.9.0")
    assert _ask(incident, commander, now).target_version == "1.8.0"


def test_a_security_incident_goes_to_the_newest_baseline(
    incident: Incident, older: Release, commander: Actor, now: dt.datetime
) -> None:
    Incident.objects.filter(pk=incident.pk).update(kind=IncidentKind.SECURITY)
    with pytest.raises(
        TargetUnverified, match=r"no security baseline to return to \(1\.9\.0: not a security"
    ):
        _ask(incident, commander, now)
    Release.objects.filter(pk=older.pk).update(security_baseline=True, state=S.SUPERSEDED, good_at=None)
    rollback = _ask(incident, commander, now)
    assert rollback.target_version == "1.8.0"
    assert why_not_target(rollback) == ""


@pytest.mark.parametrize(
    ("change", "why_not"),
    [
        ({}, ""),
        ({"quarantined_at": NOON}, "1.9.0 is no longer a verified good release: quarantined since"),
        ({"state": S.SUPERSEDED, "good_at": None}, "never clean for long enough"),
        ({"version": "1.9"}, "it is not recorded"),
    ],
)
def test_the_target_is_judged_again_before_the_switch(
    incident: Incident, commander: Actor, now: dt.datetime, change: dict[str, Any], why_not: str
) -> None:
    rollback = _ask(incident, commander, now)
    if change:
        Release.objects.filter(version="1.9.0").update(**change)
    assert why_not in why_not_target(rollback)
    assert bool(why_not) is bool(why_not_target(rollback))


def test_the_version_left_must_still_be_the_live_one(
    shop: Service, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    rollback = _ask(incident, commander, now)
    record_release(service_id=shop.pk, version="2.0.1", actor=SYSTEM, now=now)
    assert why_not_target(rollback) == "2.0.0 is no longer live"
    Release.objects.filter(service=shop, state=S.LIVE).delete()
    assert why_not_target(rollback) == "no live release of Shop is recorded"


def test_a_target_asked_for_by_name_may_be_older_than_what_is_listed(
    shop: Service, incident: Incident, older: Release, commander: Actor, now: dt.datetime
) -> None:
    Release.objects.bulk_create(
        Release(
            service=shop,
            version=f"1.8.{number}",
            state=S.SUPERSEDED,
            deployed_at=now - dt.timedelta(days=8, minutes=-number),
            recorded_at=now,
        )
        for number in range(1, 60)
    )
    rollback = _ask(incident, commander, now, target_version="1.8.0")
    assert rollback.target_version == "1.8.0"
    assert why_not_target(rollback) == ""


@pytest.mark.parametrize("returns", ["configuration", "database"])
def test_a_procedure_that_returns_something_else_leaves_the_version(
    incident: Incident, commander: Actor, now: dt.datetime, procedure_with: Callable[..., None], returns: str
) -> None:
    procedure_with(returns=returns)
    Release.objects.filter(version="1.9.0").delete()
    with pytest.raises(Invalid) as wrong:
        _ask(incident, commander, now, target_version="1.9.0")
    assert wrong.value.fields == {
        "target_version": f"Storefront rollback returns the {returns}; the version stays 2.0.0."
    }
    plan = make_plan(commander, incident, incident.services.get())
    assert (plan.returns, plan.candidates, plan.others) == (returns, (), ())
    rollback = _ask(incident, commander, now)
    assert (rollback.returns, rollback.from_version, rollback.target_version) == (returns, "2.0.0", "2.0.0")
    assert why_not_target(rollback) == ""
    Release.objects.filter(version="2.0.0").delete()
    assert "no live release" in why_not_target(rollback)
    Rollback.objects.update(state=RollbackState.CANCELLED)
    with pytest.raises(TargetUnverified, match="No live release"):
        _ask(incident, commander, now)


@pytest.mark.parametrize("of", ["commit", "artifact"])
def test_a_command_that_is_given_the_commit_or_artifact_needs_it_of_its_target(
    incident: Incident, commander: Actor, now: dt.datetime, procedure_with: Callable[..., None], of: str
) -> None:
    assert policy.needs_of_target("storefront_rollback") == frozenset()
    procedure_with(argv=("check", f"--of={{{of}}}"))
    assert policy.needs_of_target("storefront_rollback") == {of}
    with pytest.raises(TargetUnverified, match=f"needs the {of} of 1\\.9\\.0, which is not recorded"):
        _ask(incident, commander, now)
    Release.objects.filter(version="1.9.0").update(**{of: "-x"})
    with pytest.raises(TargetUnverified):
        _ask(incident, commander, now)
    Release.objects.filter(version="1.9.0").update(**{of: "f00dfeed"})
    rollback = _ask(incident, commander, now)
    Release.objects.filter(version="1.9.0").update(**{of: ""})
    assert f"needs the {of}" in why_not_target(rollback)


def test_so_does_one_that_returns_the_configuration_of_what_is_live(
    incident: Incident, commander: Actor, now: dt.datetime, procedure_with: Callable[..., None]
) -> None:
    procedure_with(returns="configuration", argv=("check", "{commit}"))
    with pytest.raises(TargetUnverified, match=r"needs the commit of 2\.0\.0"):
        _ask(incident, commander, now)
    Release.objects.filter(version="2.0.0").update(commit="f00dfeed")
    rollback = _ask(incident, commander, now)
    assert why_not_target(rollback) == ""
    Release.objects.filter(version="2.0.0").update(commit="")
    assert "needs the commit" in why_not_target(rollback)


def test_a_version_that_no_command_may_be_given_is_no_default_either(
    incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    Release.objects.filter(version="1.9.0").update(version="--force")
    with pytest.raises(Invalid) as wrong:
        _ask(incident, commander, now)
    assert "target_version" in wrong.value.fields


def test_automation_goes_no_further_back_because_the_next_target_is_quarantined(
    shop: Service, incident: Incident, older: Release, commander: Actor, now: dt.datetime
) -> None:
    assert situation_of(shop, metric="error_rate", now=now).passed_over is None
    quarantine_release(service_id=shop.pk, version="1.9.0", reason="leaks", actor=commander, now=now)
    situation = situation_of(shop, metric="error_rate", now=now)
    assert (situation.target_version, situation.passed_over) == ("1.8.0", "1.9.0")
    said = [reason.text for reason in refusals(situation, Limits(), now=now)]
    assert "1.9.0 is quarantined; a person decides whether to go further back" in said


@pytest.mark.parametrize(
    ("state", "refused"),
    [("failed", True), ("resolved_by_hand", True), ("succeeded", False), ("cancelled", False)],
)
def test_automation_does_not_go_where_the_last_rollback_did_not_succeed(
    shop: Service, incident: Incident, commander: Actor, now: dt.datetime, state: str, refused: bool
) -> None:
    rollback = _ask(incident, commander, now)
    Rollback.objects.filter(pk=rollback.pk).update(state=state, completed_at=now)
    assert situation_of(shop, metric="error_rate", now=now).target_failed == (
        rollback.ref if refused else None
    )


def _fail(rollback: Rollback, phase: str, now: dt.datetime) -> None:
    step = rollback.steps.filter(phase=phase).first()
    assert step is not None
    record_on_rollback(
        rollback,
        "rollback.step_failed",
        f"{step.name}: exit code 1",
        actor=SYSTEM,
        now=now,
        data={"position": step.position, "step": step.key, "phase": phase, "exit_code": 1},
    )
    deliver_pending(now=now)


def test_a_failed_verification_quarantines_the_target_once_and_for_good(
    shop: Service, incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    rollback = _ask(incident, commander, now)
    switch_back(
        service_id=shop.pk,
        from_version="2.0.0",
        to_version="1.9.0",
        rollback_ref=rollback.ref,
        actor=SYSTEM,
        now=now,
    )
    _fail(rollback, "execute", now)
    assert not Release.objects.filter(quarantined_at__isnull=False).exists()
    for _again in range(2):
        _fail(rollback, "verify", now)
    target = Release.objects.get(service=shop, version="1.9.0")
    assert (target.state, target.quarantine_reason) == (
        "live",
        f"{rollback.ref}: “Verify system functionality” failed",
    )
    assert Event.objects.filter(kind="release.quarantined").count() == 1
    record_release(service_id=shop.pk, version="2.1.0", actor=SYSTEM, now=now + dt.timedelta(days=9))
    target.refresh_from_db()
    assert (target.state, target.good_at is None) == ("quarantined", False)
    assert targets_of(shop).candidates == ()


@pytest.mark.parametrize("change", [{"returns": "configuration"}, {"drill": True}])
def test_but_not_where_no_version_was_switched(
    incident: Incident, commander: Actor, now: dt.datetime, change: dict[str, Any]
) -> None:
    rollback = _ask(incident, commander, now)
    Rollback.objects.filter(pk=rollback.pk).update(**change)
    _fail(rollback, "verify", now)
    assert not Release.objects.filter(quarantined_at__isnull=False).exists()


@pytest.mark.parametrize("change", [{"tolerated": True}, {"state": "cancelled"}, {"state": "unknown"}])
def test_nor_for_a_check_that_says_nothing_of_the_target(
    incident: Incident, commander: Actor, now: dt.datetime, change: dict[str, Any]
) -> None:
    rollback = _ask(incident, commander, now)
    rollback.steps.update(**change)
    _fail(rollback, "verify", now)
    assert not Release.objects.filter(quarantined_at__isnull=False).exists()
