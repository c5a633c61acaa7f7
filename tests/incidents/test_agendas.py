"""What stands on the agenda of a review: what came back, drills, contacts, and never more than may be read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils.module_loading import import_string
from pytest_django import DjangoAssertNumQueries

from comms.models import Contact
from core.actors import SYSTEM, Actor
from core.models import User
from core.outbox import deliver_pending
from incidents import policy
from incidents.facts import AgendaSection, ReviewPeriod
from incidents.models import Document, Incident, Service
from incidents.selectors.reviews import agenda_for, read_agenda, sections_for
from incidents.services.action_items import create_action_item
from incidents.services.documents import look_after_documents, review_document
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.reviews import fill_agenda, open_review
from incidents.services.searching import keep_documents
from incidents.services.tasks import create_task
from incidents.timeline import record_on_incident
from rollbacks.models import Drill, Rollback
from rollbacks.services.drill_planning import plan_drill
from rollbacks.services.drill_running import cancel_drill, finish_drill, start_drill
from rollbacks.services.requests import request_rollback
from tests.conftest import make_service
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
DAY = dt.timedelta(days=1)


@pytest.fixture
def period(now: dt.datetime) -> ReviewPeriod:
    """The last 30 days."""
    return ReviewPeriod(now - 30 * DAY, now + DAY, now + DAY)


def filled(key: str, period: ReviewPeriod) -> AgendaSection:
    found: AgendaSection = import_string(dict(settings.REVIEW_SECTIONS)[key])(period)
    return found


def lines(key: str, period: ReviewPeriod) -> list[tuple[str, str]]:
    return [(line.text, line.detail) for line in filled(key, period).lines]


def declared(actor: Actor, at: dt.datetime, **more: Any) -> Incident:
    given: dict[str, Any] = {"title": "Trouble", "severity": "P2", "services": ["shop"]}
    return declare_incident(actor=actor, now=at, **given | more)


# --- the cycle of the policy ---------------------------------------------------------------------


def test_the_shipped_cycle_looks_at_what_the_policy_says() -> None:
    agendas = {key: set(kind.agenda) for key, kind in policy.reviews().reviews.items()}
    assert {"incidents", "rollbacks"} <= set.intersection(*agendas.values())
    longer = ("monthly", "quarterly", "annual")
    assert {"figures", "patterns", "drills"} <= set.intersection(*(agendas[key] for key in longer))
    assert {"procedures", "documents", "contacts", "training"} <= agendas["quarterly"] & agendas["annual"]


# --- patterns ------------------------------------------------------------------------------------


def test_what_came_back_is_named_and_what_happened_once_is_not(
    commander: Actor, shop: Service, now: dt.datetime, period: ReviewPeriod, client: Client
) -> None:
    make_service("blog", now)
    earlier = declared(commander, now - 40 * DAY)
    several = [declared(commander, now - days * DAY) for days in (9, 5, 1)]
    declared(commander, now - 2 * DAY, services=["blog"])
    declared(commander, now - 2 * DAY, drill=True)
    for incident in several[:2]:
        about = {"metric": "error_rate", "service": "shop"}
        record_on_incident(incident, "incident.breached", "Errors", actor=SYSTEM, now=now, data=about)
    record_on_incident(
        earlier, "incident.breached", "Slow", actor=SYSTEM, now=now, data={"metric": "response_time"}
    )
    keep_documents(now=now)
    for incident in several[:2]:
        rollback = request_rollback(
            incident_id=incident.pk, service="shop", reason="It is the release", actor=commander, now=now
        )
        Rollback.objects.filter(pk=rollback.pk).update(state="cancelled", completed_at=now)
    assert lines("patterns", period) == [
        ("Shop: 3 incidents", "1 in the time before"),
        ("Shop: 2 rollbacks, manual", "none in the time before"),
        ("error rate: 2 incidents", "none in the time before"),
    ]
    sign_in(client, User.objects.get(username="ida"))
    for line in filled("patterns", period).lines:
        if line.url:
            assert client.get(line.url).status_code == 200, line.url
    shown = client.get(filled("patterns", period).lines[0].url).content.decode()
    assert [incident.ref in shown for incident in (*several, earlier)] == [True, True, True, False]


def test_a_pattern_says_nothing_of_restricted_incidents(
    commander: Actor, shop: Service, now: dt.datetime, period: ReviewPeriod
) -> None:
    for days in (3, 2):
        incident = declared(commander, now - days * DAY, restricted=True)
        about = {"metric": "error_rate"}
        record_on_incident(incident, "incident.breached", "Errors", actor=SYSTEM, now=now, data=about)
        rollback = request_rollback(
            incident_id=incident.pk, service="shop", reason="Leak", actor=commander, now=now
        )
        Rollback.objects.filter(pk=rollback.pk).update(state="cancelled", completed_at=now)
    keep_documents(now=now)
    assert lines("patterns", period) == []


def test_patterns_cost_the_same_with_more(
    commander: Actor,
    shop: Service,
    now: dt.datetime,
    period: ReviewPeriod,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(6):
        declared(commander, now - DAY)
    with django_assert_num_queries(3):
        filled("patterns", period)


# --- drills --------------------------------------------------------------------------------------


def test_drills_of_the_period_and_who_was_not_rehearsed(
    commander: Actor, shop: Service, now: dt.datetime, period: ReviewPeriod
) -> None:
    Service.objects.update(created_at=now - 200 * DAY)
    by: dict[str, Any] = {"actor": commander, "now": now}
    planned: dict[str, Any] = {"service": "shop", "scenario": "bad_release", "starts_at": now, **by}
    failed = start_drill(drill_id=plan_drill(**planned).pk, **by)
    finish_drill(drill_id=failed.pk, **by)
    passed = start_drill(drill_id=plan_drill(**planned).pk, **by)
    finish_drill(drill_id=passed.pk, **by)
    Drill.objects.filter(pk=passed.pk).update(scorecard={"passed": True})
    gone = plan_drill(**planned)
    cancel_drill(drill_id=gone.pk, reason="INC-2026-01-01-0001 is open", **by)
    plan_drill(**planned)  # to come
    section = filled("drills", period)
    assert [(line.text, line.detail, line.tone) for line in section.lines] == [
        ("A bad release on Shop", "not passed", "warning"),
        ("A bad release on Shop", "passed", ""),
        (f"{gone.name} on Shop", "cancelled", "warning"),
        ("Shop", "not rehearsed for longer than the playbook allows", "warning"),
    ]
    assert section.count == 4
    assert filled("drills", ReviewPeriod(now - 60 * DAY, now - 30 * DAY, now - 30 * DAY)).count == 1  # shop


# --- contacts ------------------------------------------------------------------------------------


def test_contacts_that_were_looked_over_unchanged_are_not_listed_for_ever(
    commander: Actor, now: dt.datetime
) -> None:
    Contact.objects.create(name="lena", kind="primary", role="incident_commander", email="l@example.test")

    def stale(at: dt.datetime) -> list[tuple[str, str]]:
        found = lines("contacts", ReviewPeriod(at - DAY, at, at))
        return [one for one in found if not one[0].startswith("No contact")]

    later = now + 200 * DAY
    assert stale(now + DAY) == []
    assert stale(later) == [("lena", f"not looked at since {now:%Y-%m-%d}")]
    look_after_documents(now=now)
    document = Document.objects.get(key="document:contacts")
    review_document(document_id=document.pk, outcome="unchanged", actor=commander, now=later - DAY)
    assert stale(later) == []
    assert stale(later + 200 * DAY) == [("lena", f"not looked at since {later - DAY:%Y-%m-%d}")]


def test_it_says_whom_nobody_would_find(now: dt.datetime) -> None:
    def missing() -> list[str]:
        found = lines("contacts", ReviewPeriod(now - DAY, now, now))
        return [text for text, _detail in found if text.startswith("No contact")]

    assert missing() == [
        "No contact for Incident Commander",
        "No contact for Technical Lead",
        "No contact for Security Lead",
        "No contact for Communications Lead",
        "No contact for Engineering Manager",
        "No contact for CTO",
        "No contact for CEO",
        "No contact for any outside party",
    ]
    many = [
        ("a", "primary", "incident_commander", ""),
        ("b", "primary", "technical_lead", ""),
        ("c", "team", "communications_lead", ""),
        ("d", "escalation", "", "engineering manager"),
        ("e", "escalation", "", "CEO"),
        ("f", "external", "", "CTO"),  # of the vendor: no ladder calls them
    ]
    for name, kind, role, title in many:
        Contact.objects.create(name=name, kind=kind, role=role, title=title, email=f"{name}@example.test")
    assert missing() == ["No contact for Security Lead", "No contact for CTO"]
    Contact.objects.update(active=False)
    assert len(missing()) == 8


# --- secrecy -------------------------------------------------------------------------------------

# Sections that tell of single incidents. Those left are about texts, people, ways and sums.
OF_INCIDENTS = {
    "incidents", "rollbacks", "tasks", "action_items", "checklists", "reports", "patterns", "drills",
}  # fmt: skip


def test_no_section_tells_who_may_not_see_it_of_an_incident(
    commander: Actor, make_actor: MakeActor, shop: Service, now: dt.datetime, period: ReviewPeriod
) -> None:
    at = now - DAY
    open_one = declared(commander, at, title="Zebra leaks", severity="P1", restricted=True)
    over = declared(commander, at, title="Zebra leaked", severity="P1", restricted=True)
    request_rollback(incident_id=open_one.pk, service="shop", reason="Zebra", actor=commander, now=at)
    create_task(incident_id=open_one.pk, title="Zebra task", due_at=now, actor=commander, now=at)
    create_action_item(
        title="Zebra item", incident_id=open_one.pk, due_on=(at - DAY).date(), actor=commander, now=at
    )
    resolve_incident(incident_id=over.pk, resolution="Zebra shut", actor=commander, now=at)
    by: dict[str, Any] = {"actor": commander, "now": at}
    drill = plan_drill(service="shop", scenario="bad_release", starts_at=at, **by)
    Incident.objects.update(status="monitoring")  # a drill begins only where nothing real is open
    Incident.objects.filter(pk=over.pk).update(status="resolved")
    Incident.services.through.objects.all().delete()
    start_drill(drill_id=drill.pk, **by)
    finish_drill(drill_id=drill.pk, **by)
    for incident in (open_one, over):
        incident.services.add(shop)
    Incident.objects.filter(drill=True).update(restricted=True, title="Zebra drill")
    Drill.objects.update(plan={**Drill.objects.get().plan, "name": "Zebra drill"})
    for _ in range(3):
        deliver_pending(now=now)
    keep_documents(now=now)

    keys = [key for key, _path in settings.REVIEW_SECTIONS]
    sections = {section.key: section for section in read_agenda(fill_agenda(keys, period))}
    assert set(sections) >= OF_INCIDENTS
    secrets = {incident.ref: incident for incident in Incident.objects.all()}
    told = set()
    for key, section in sections.items():
        for line in section.lines:
            said = f"{line.text} {line.detail} {line.url}"
            if "Zebra" in said or "RB-" in said or any(ref in said for ref in secrets):
                assert line.incident in secrets, (key, line)
                told.add(key)
    assert told == OF_INCIDENTS - {"patterns"}, "each was filled, patterns with nothing"

    review = open_review(
        name="All", begins_at=period.begins_at, ends_at=now, due_at=now + DAY, actor=commander, now=now
    )
    other = make_actor("otto", "commander")
    shown = str(sections_for(other, review))
    for hidden in ("Zebra", "RB-", *secrets):
        assert hidden not in shown
    assert "Zebra leaks" in str(agenda_for(commander, review))


def test_an_agenda_is_read_as_it_was_written(commander: Actor, shop: Service, period: ReviewPeriod) -> None:
    declared(commander, period.opened_at - 2 * DAY)
    keys = [key for key, _path in settings.REVIEW_SECTIONS]
    assert [
        AgendaSection(one.title, one.lines, one.figures, one.count)
        for one in read_agenda(fill_agenda(keys, period))
    ] == [filled(key, period) for key in keys]
