"""The figures: against a slow, obvious recomputation over generated histories, and in stories."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from core.actors import SYSTEM, Actor
from core.models import Stream, User
from incidents.models import Incident, Responder, Service
from incidents.services.clocks import mark_breached_responses
from incidents.services.incidents import (
    acknowledge_incident,
    change_severity,
    declare_incident,
    reopen_incident,
    resolve_incident,
)
from incidents.states import IncidentStatus, Severity
from rollbacks.metrics import collect
from rollbacks.models import Rollback
from rollbacks.rules.insights import (
    FIGURES,
    Figures,
    Scope,
    WrongSpan,
    bound_text,
    change_between,
    months_back,
    months_between,
    months_covered,
    read_bound,
    span,
)
from rollbacks.selectors.insights import figures_for_everybody, get_insights, group_insights
from rollbacks.states import END_STATES, Trigger
from tests.conftest import make_service
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

UTC = dt.UTC
NOW = dt.datetime(2026, 3, 20, 12, tzinfo=UTC)
SERVICES = ("shop", "mail", "search")
# Where months end, and where clocks are changed.
EDGES = (
    dt.datetime(2026, 1, 1, tzinfo=UTC),
    dt.datetime(2026, 2, 1, tzinfo=UTC),
    dt.datetime(2026, 3, 1, tzinfo=UTC),
    dt.datetime(2025, 10, 26, 1, tzinfo=UTC),
)
ZONES = ("UTC", "Pacific/Auckland", "America/Los_Angeles", "Asia/Kathmandu")


@dataclass(frozen=True)
class Past:
    """An incident as it is generated; durations in seconds from its declaration."""

    declared_at: dt.datetime
    severity: str
    services: frozenset[str]
    due: int
    acknowledged: int | None
    breached: bool
    resolved: int | None
    drill: bool
    restricted: bool
    rollbacks: tuple[PastRollback, ...] = field(default=())


@dataclass(frozen=True)
class PastRollback:
    """A rollback as it is generated."""

    service: str
    requested_at: dt.datetime
    trigger: str
    state: str
    took: int
    false_positive: bool | None


moments = st.one_of(
    st.builds(
        lambda edge, seconds: edge + dt.timedelta(seconds=seconds),
        st.sampled_from(EDGES),
        st.integers(-7200, 7200),
    ),
    st.integers(0, 200 * 86_400).map(lambda seconds: NOW - dt.timedelta(days=1, seconds=seconds)),
)
TARGETS = (60, 900, 3600)  # seconds; few, so that something is acknowledged in the very second it is due
delays = st.one_of(st.none(), st.sampled_from(TARGETS), st.integers(0, 200_000))
past_rollbacks = st.builds(
    PastRollback,
    service=st.sampled_from(SERVICES),
    requested_at=moments,
    trigger=st.sampled_from(Trigger.values),
    state=st.sampled_from([str(state) for state in END_STATES]),
    took=st.integers(0, 100_000),
    false_positive=st.sampled_from((None, True, False)),
)
pasts = st.builds(
    Past,
    declared_at=moments,
    severity=st.sampled_from(Severity.values),
    services=st.frozensets(st.sampled_from(SERVICES)),
    due=st.sampled_from(TARGETS),
    acknowledged=delays,
    breached=st.booleans(),
    resolved=delays,
    drill=st.integers(0, 4).map(lambda number: number == 0),
    restricted=st.integers(0, 4).map(lambda number: number == 0),
    rollbacks=st.lists(past_rollbacks, max_size=3).map(tuple),
)
scopes = st.builds(
    lambda edges, services, severity, trigger: Scope(edges[0], edges[1], services, severity, trigger),
    st.tuples(moments, moments).map(lambda two: tuple(sorted(two))).filter(lambda two: two[0] < two[1]),
    st.sampled_from(((), (), ("shop",), ("shop", "mail"))),
    st.sampled_from(("", "", "P1")),
    st.sampled_from(("", "", *Trigger.values)),
)


def stored(history: Sequence[Past]) -> None:
    """The rows themselves, as a history of any kind could have left them."""
    services = {slug: Service.objects.get(slug=slug) for slug in SERVICES}
    for number, past in enumerate(history):
        at = past.declared_at
        resolved = None if past.resolved is None else at + dt.timedelta(seconds=past.resolved)
        acknowledged = None if past.acknowledged is None else at + dt.timedelta(seconds=past.acknowledged)
        due = at + dt.timedelta(seconds=past.due)
        incident = Incident.objects.create(
            ref=f"INC-2026-01-01-{number:04}", title="x", severity=past.severity, source="api", declared_at=at,
            declared_by="x", started_at=at, response_due_at=due, acknowledged_at=acknowledged,
            response_breached_at=due if past.breached else None, resolved_at=resolved,
            status=IncidentStatus.RESOLVED if resolved else IncidentStatus.INVESTIGATING, drill=past.drill,
            restricted=past.restricted, stream=Stream.objects.create(kind="incident", name=f"generated-{number}"),
        )  # fmt: skip
        incident.services.set([services[slug] for slug in past.services])
        Rollback.objects.bulk_create(
            Rollback(
                ref=f"RB-2026-01-01-{number:02}{place:02}", incident=incident, service=services[one.service],
                procedure="p", procedure_digest="p", plan_digest="p", trigger=one.trigger, state=one.state,
                from_version="2", target_version="1", reason="x", expected_duration_seconds=1, drill=past.drill,
                requested_by="x", requested_at=one.requested_at, false_positive=one.false_positive,
                completed_at=one.requested_at + dt.timedelta(seconds=one.took),
            )
            for place, one in enumerate(past.rollbacks)
        )  # fmt: skip


def recomputed(history: Iterable[Past], scope: Scope, *, restricted: bool) -> Figures:
    """What the definitions say, one incident after the other."""
    seen = [past for past in history if not past.drill and (restricted or not past.restricted)]
    incidents = []
    for past in seen:
        inside = scope.start <= past.declared_at < scope.end
        severe = scope.severity in ("", past.severity)
        served = not scope.services or any(service in past.services for service in scope.services)
        triggered = not scope.trigger or any(one.trigger == scope.trigger for one in past.rollbacks)
        if inside and severe and served and triggered:
            incidents.append(past)
    to_acknowledge = [past.acknowledged for past in incidents if past.acknowledged is not None]
    to_recover = [past.resolved for past in incidents if past.resolved is not None]
    due = in_time = 0
    for past in incidents:
        ran_out = past.resolved is None and past.declared_at + dt.timedelta(seconds=past.due) <= NOW
        if past.acknowledged is not None or past.breached or ran_out:
            due += 1
        if past.acknowledged is not None and not past.breached and past.acknowledged <= past.due:
            in_time += 1
    rollbacks = []
    for past in seen:
        for one in past.rollbacks:
            inside = scope.start <= one.requested_at < scope.end
            severe = scope.severity in ("", past.severity)
            served = not scope.services or one.service in scope.services
            if inside and severe and served and scope.trigger in ("", one.trigger):
                rollbacks.append(one)
    decided = ("succeeded", "failed", "handed_over", "resolved_by_hand")
    took = [one.took for one in rollbacks if one.state == "succeeded"]
    judged = [one for one in rollbacks if one.trigger == "automated" and one.false_positive is not None]
    return Figures(
        incidents=len(incidents),
        acknowledged=len(to_acknowledge),
        mtta_seconds=statistics.mean(to_acknowledge) if to_acknowledge else None,
        mtta_median_seconds=statistics.median(to_acknowledge) if to_acknowledge else None,
        resolved=len(to_recover),
        mttr_seconds=statistics.mean(to_recover) if to_recover else None,
        mttr_median_seconds=statistics.median(to_recover) if to_recover else None,
        responses_due=due,
        responses_in_time=in_time,
        rollbacks=len(rollbacks),
        rollbacks_decided=len([one for one in rollbacks if one.state in decided]),
        rollbacks_succeeded=len(took),
        mean_time_to_rollback_seconds=statistics.mean(took) if took else None,
        median_time_to_rollback_seconds=statistics.median(took) if took else None,
        judged=len(judged),
        judged_false=len([one for one in judged if one.false_positive]),
    )


def same(found: Figures, expected: Figures) -> bool:
    return vars(found) == {name: pytest.approx(value) for name, value in vars(expected).items()}


def months_of(scope: Scope) -> list[Scope]:
    """The span cut where the month's number changes, day by day."""
    cuts = {scope.start, scope.end}
    day = scope.start.date()
    while day <= scope.end.date():
        if day.day == 1:
            cuts.add(dt.datetime.combine(day, dt.time(), UTC))
        day += dt.timedelta(days=1)
    ordered = sorted(cut for cut in cuts if scope.start <= cut <= scope.end)
    return [
        Scope(start, end, scope.services, scope.severity, scope.trigger)
        for start, end in itertools.pairwise(ordered)
    ]


@pytest.fixture
def services(db: None, now: dt.datetime) -> None:
    for slug in SERVICES:
        make_service(slug, now)


@pytest.mark.usefixtures("services")
@settings(
    max_examples=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink a history takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=st.lists(pasts, max_size=12), scope=scopes, zone=st.sampled_from(ZONES), all_seeing=st.booleans()
)
def test_every_figure_is_what_the_definition_says(
    make_everybody: dict[bool, Actor],
    history: list[Past],
    scope: Scope,
    zone: str,
    all_seeing: bool,
) -> None:
    """In total, of the span before, by month, severity, service and trigger; whatever the zone of whoever asks."""
    actor = make_everybody[all_seeing]
    with transaction.atomic():
        stored(history)
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
        found = get_insights(actor, scope, now=NOW)
        groups = {by: group_insights(actor, scope, by, now=NOW) for by in ("severity", "service", "trigger")}
        everybody = figures_for_everybody(scope.start, scope.end, now=NOW)
        transaction.set_rollback(True)

    def expected(narrow: Scope) -> Figures:
        return recomputed(history, narrow, restricted=all_seeing)

    assert same(found.total, expected(scope))
    before = Scope(
        scope.start - (scope.end - scope.start), scope.start, scope.services, scope.severity, scope.trigger
    )
    assert same(found.before, expected(before))
    months = months_of(scope)
    assert [month.start.strftime("%Y-%m") for month in found.monthly] == [
        month.start.strftime("%Y-%m") for month in months
    ]
    for month, narrow in zip(found.monthly, months, strict=True):
        assert same(month.figures, expected(narrow)), narrow
    for group in groups["severity"]:
        narrow = Scope(scope.start, scope.end, scope.services, group.key, scope.trigger)
        assert same(group.figures, expected(narrow) if scope.severity in ("", group.key) else Figures())
    for group in groups["trigger"]:
        narrow = Scope(scope.start, scope.end, scope.services, scope.severity, group.key)
        assert same(group.figures, expected(narrow) if scope.trigger in ("", group.key) else Figures())
    by_service = {group.key: group.figures for group in groups["service"]}
    for slug in scope.services or SERVICES:
        narrow = Scope(scope.start, scope.end, (slug,), scope.severity, scope.trigger)
        assert same(by_service.get(slug, Figures()), expected(narrow)), slug
    plain = Scope(scope.start, scope.end)
    assert same(everybody, recomputed(history, plain, restricted=False))


@pytest.fixture
def make_everybody(make_actor: Callable[..., Actor]) -> dict[bool, Actor]:
    """Who sees restricted incidents, and who does not."""
    return {True: make_actor("ada", "administrator"), False: make_actor("vic", "viewer")}


def declared(at: dt.datetime, **values: Any) -> Incident:
    return declare_incident(**{"title": "x", "severity": "P2", "actor": SYSTEM, "now": at, **values})


def whole(now: dt.datetime) -> Scope:
    return Scope(now - dt.timedelta(days=40), now + dt.timedelta(days=40))


def test_a_reopened_incident_counts_once_from_its_first_declaration_to_its_last_resolution(
    now: dt.datetime, make_actor: Callable[..., Actor]
) -> None:
    ida = make_actor("ida", "commander")
    incident = declared(now)
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": ida}
    resolve_incident(**act, resolution="x", now=now + dt.timedelta(hours=1))
    reopen_incident(**act, reason="again", now=now + dt.timedelta(hours=2))
    total = get_insights(ida, whole(now), now=now + dt.timedelta(hours=2)).total
    assert (total.incidents, total.resolved, total.mttr_seconds) == (1, 0, None)
    resolve_incident(**act, resolution="x", now=now + dt.timedelta(hours=5))
    total = get_insights(ida, whole(now), now=now + dt.timedelta(hours=5)).total
    assert (total.incidents, total.resolved, total.mttr_seconds) == (1, 1, 5 * 3600)


def test_a_breach_that_happened_stays_although_the_severity_was_lowered(
    now: dt.datetime, make_actor: Callable[..., Actor]
) -> None:
    ida = make_actor("ida", "commander")
    late, in_time = declared(now, severity="P0"), declared(now, severity="P0")
    later = now + dt.timedelta(minutes=30)
    acknowledge_incident(incident_id=in_time.pk, actor=ida, now=now + dt.timedelta(seconds=30))
    mark_breached_responses(now=later)
    for incident in (late, in_time):
        change_severity(incident_id=incident.pk, severity="P3", reason="x", actor=ida, now=later)
    acknowledge_incident(incident_id=late.pk, actor=ida, now=later + dt.timedelta(seconds=1))
    total = get_insights(ida, whole(now), now=later).total
    assert (total.responses_due, total.responses_in_time) == (2, 1)


def test_what_nobody_had_to_answer_yet_is_not_due(now: dt.datetime, make_actor: Callable[..., Actor]) -> None:
    ida = make_actor("ida", "commander")
    running, resolved = declared(now), declared(now)
    resolve_incident(incident_id=resolved.pk, resolution="x", actor=ida, now=now + dt.timedelta(seconds=5))
    total = get_insights(ida, whole(now), now=now + dt.timedelta(seconds=10)).total
    assert (total.incidents, total.responses_due, total.response_attainment) == (2, 0, None)
    total = get_insights(ida, whole(now), now=running.response_due_at).total
    assert (total.responses_due, total.response_attainment) == (1, 0.0)  # before any sweep noticed


def test_a_responder_counts_the_restricted_incident_they_work_on(
    now: dt.datetime, make_actor: Callable[..., Actor]
) -> None:
    ida, tom = make_actor("ida", "responder"), make_actor("tom", "responder")
    incident = declared(now)
    Incident.objects.filter(pk=incident.pk).update(restricted=True)
    assert tom.user_id
    Responder.objects.create(incident=incident, user_id=tom.user_id, since=now, added_by="x")
    counts = [get_insights(actor, whole(now), now=now).total.incidents for actor in (ida, tom, SYSTEM)]
    assert counts == [0, 1, 1]


def test_the_number_of_queries_does_not_grow(now: dt.datetime, services: None) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            get_insights(SYSTEM, whole(now), now=now)
            group_insights(SYSTEM, whole(now), "service", now=now)
        return len(asked)

    declared(now, services=SERVICES[:1])
    before = cost()
    for number in range(3):
        declared(now + dt.timedelta(days=number), services=SERVICES[: number + 1])
    assert cost() == before == 11


def test_no_event_is_read(now: dt.datetime, services: None) -> None:
    """So that the length of timelines cannot matter."""
    declared(now, services=SERVICES[:1])
    with CaptureQueriesContext(connection) as asked:
        get_insights(SYSTEM, whole(now), now=now)
        for by in ("severity", "service", "trigger"):
            group_insights(SYSTEM, whole(now), by, now=now)
    tables = {
        name for query in asked for name in re.findall(r'"((?:core|incidents|rollbacks)_\w+)"', query["sql"])
    }
    assert tables == {
        "incidents_incident", "incidents_incident_services", "incidents_service", "rollbacks_rollback"
    }  # fmt: skip


# --- rules --------------------------------------------------------------------------------------


@given(start=moments, length=st.integers(1, 400 * 86_400))
@example(start=EDGES[0], length=365 * 86_400)
def test_months_are_those_of_utc_and_a_whole_one_counts_as_one(start: dt.datetime, length: int) -> None:
    end = start + dt.timedelta(seconds=length)
    months = list(months_between(start, end))
    assert months == sorted(set(months)) and months[0] <= start < end
    assert len(months) - 2 < months_covered(start, end) <= len(months)
    first = months[0]
    assert months_covered(first, months_after(first, 7)) == pytest.approx(7)


def months_after(month: dt.datetime, count: int) -> dt.datetime:
    for _again in range(count):
        month = (month + dt.timedelta(days=32)).replace(day=1)
    return month


def test_a_day_stands_for_all_of_it_and_a_time_for_itself() -> None:
    assert read_bound("2026-03-31", last=False) == dt.datetime(2026, 3, 31, tzinfo=UTC)
    assert read_bound("2026-03-31", last=True) == dt.datetime(2026, 4, 1, tzinfo=UTC)
    assert read_bound("2026-03-31T02:00:00+02:00", last=True) == dt.datetime(2026, 3, 31, tzinfo=UTC)
    for last in (True, False):
        for text in ("2026-03-31", "2026-03-31T10:00:00Z"):
            assert bound_text(read_bound(text, last=last), last=last) == text
    for wrong in (
        "",
        "yesterday",
        "2026-02-30",
        "2026-03-31T10:00:00",
        "1999-12-31",
        "9999-12-31",
        "٢٠٢٦-٠٣-٣١",
    ):
        with pytest.raises(WrongSpan):
            read_bound(wrong, last=True)


def test_a_span_ends_now_at_the_latest_and_is_never_empty() -> None:
    assert span(None, None, NOW) == (dt.datetime(2025, 4, 1, tzinfo=UTC), NOW)
    assert span(NOW - dt.timedelta(days=1), NOW + dt.timedelta(days=9), NOW)[1] == NOW
    for first in (NOW, NOW + dt.timedelta(days=1)):
        with pytest.raises(WrongSpan):
            span(first, None, NOW)


@pytest.mark.parametrize(
    ("key", "now_", "before", "expected"),
    [
        ("mttr", 60.0, 120.0, ("down", "better")),
        ("mttr", 120.0, 60.0, ("up", "worse")),
        ("rollback_success_rate", 1.0, 0.5, ("up", "better")),
        ("false_positive_rate", 0.5, 0.5, ("same", "neutral")),
    ],
)
def test_a_change_says_whether_it_is_good(
    key: str, now_: float, before: float, expected: tuple[str, str]
) -> None:
    change = change_between(FIGURES[key], now_, before)
    assert change and (change.direction, change.tone) == expected


def test_nothing_is_compared_with_nothing() -> None:
    assert change_between(FIGURES["mttr"], None, 1.0) is None
    assert change_between(FIGURES["mttr"], 1.0, None) is None
    nothing = Figures()
    assert (nothing.response_attainment, nothing.rollback_success_rate, nothing.false_positive_rate) == (
        None,
    ) * 3
    assert nothing.frequency(0.0) is None


# --- the API ------------------------------------------------------------------------------------


def test_the_api_gives_every_figure_with_its_months_and_null_for_nothing(
    now: dt.datetime, make_user: Callable[..., User], services: None
) -> None:
    client = Client()
    sign_in(client, make_user("ida", "responder"))
    start = months_back(now, 1)
    empty = client.get("/api/v1/insights/", {"from": f"{start:%Y-%m-%d}"}).json()
    ratios = ("response_attainment", "rollback_success_rate", "false_positive_rate")
    means = ("mtta_seconds", "mttr_seconds", "mean_time_to_rollback_seconds")
    assert [empty[name] for name in (*ratios, *means)] == [None] * 6
    assert (empty["incidents"], empty["rollback_frequency_per_month"], empty["groups"]) == (0, 0.0, [])
    incident = declared(now - dt.timedelta(minutes=5), services=["shop"])
    acknowledge_incident(incident_id=incident.pk, actor=SYSTEM, now=now - dt.timedelta(minutes=3))
    asked = {"from": f"{start:%Y-%m-%d}", "by": "service", "severity": "P2"}
    found = client.get("/api/v1/insights/", asked).json()
    assert (found["incidents"], found["mtta_seconds"], found["mtta_median_seconds"]) == (1, 120.0, 120.0)
    assert (found["response_attainment"], found["severity"], found["service"]) == (1.0, "P2", None)
    month = (now - dt.timedelta(minutes=5)).strftime("%Y-%m")
    assert {one["month"]: one["incidents"] for one in found["monthly"]}[month] == 1
    assert [(one["key"], one["incidents"]) for one in found["groups"]] == [("shop", 1)]
    assert found["previous"]["incidents"] == 0 and found["previous"]["to"] == found["from"]


def test_the_sheet_has_a_line_a_month_and_the_total(now: dt.datetime, make_user: Callable[..., User]) -> None:
    client = Client()
    sign_in(client, make_user("ida", "responder"))
    declared(now - dt.timedelta(minutes=5))
    answer = client.get("/api/v1/insights.csv", {"from": f"{months_back(now, 2):%Y-%m-%d}"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [line["month"] for line in lines][-1] == "total" and len(lines) == 4
    assert (lines[-1]["incidents"], lines[-1]["mttr_seconds"]) == ("1", "")
    by = client.get("/api/v1/insights.csv", {"by": "severity"}).content.decode().splitlines()
    assert [line.split(",")[0] for line in by] == ["severity", "P0", "P1", "P2", "P3", "total"]


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"from": "yesterday"}, "/from"),
        ({"to": "2026-13-01"}, "/to"),
        ({"from": "2020-02-01", "to": "2020-01-01"}, "/from"),
        ({"from": "2099-01-01"}, "/from"),
        ({"severity": "P9"}, "/severity"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_a_span_or_filter_that_makes_no_sense_is_refused(
    make_user: Callable[..., User], asked: dict[str, str], pointer: str
) -> None:
    client = Client()
    sign_in(client, make_user("ida", "responder"))
    for address in ("/api/v1/insights/", "/api/v1/insights.csv"):
        answer = client.get(address, asked)
        assert answer.status_code == 400
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]


# --- /metrics -----------------------------------------------------------------------------------


def test_metrics_say_the_last_thirty_days_and_nothing_where_there_is_nothing(now: dt.datetime) -> None:
    def samples() -> dict[str, list[float]]:
        return {family.name: [sample.value for sample in family.samples] for family in collect()}

    empty = samples()
    assert (empty["firebreak_incidents_30_days"], empty["firebreak_time_to_recovery_seconds"]) == ([0.0], [])
    declared(now - dt.timedelta(days=31))
    hidden, seen = (declared(now - dt.timedelta(days=29)) for _two in range(2))
    Incident.objects.filter(pk=hidden.pk).update(restricted=True)
    resolve_incident(
        incident_id=seen.pk, resolution="x", actor=SYSTEM, now=now - dt.timedelta(days=29, hours=-1)
    )
    found = samples()
    assert found["firebreak_incidents_30_days"] == [1.0]
    assert found["firebreak_time_to_recovery_seconds"] == [3600.0, 3600.0]
    assert found["firebreak_rollback_success_ratio"] == []
