"""A restricted incident exists for those who need to know: pages, lists, topics, services and messages."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from comms.models import Delivery, Message, StatusSnapshot
from core.actors import SYSTEM, Actor, actor_for_user
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.live import spoken, spoken_all
from core.models import Event, User
from core.outbox import deliver_pending
from incidents import policy
from incidents.models import Alert, ChecklistItem, Incident, RoleGrant
from incidents.selectors.cards import VeiledCard, open_cards, veiled_cards
from incidents.selectors.readers import list_readers, list_who_may_join
from incidents.services.escalation import escalate_incident
from incidents.services.holds import place_hold
from incidents.services.incidents import (
    IncidentHeld,
    acknowledge_incident,
    change_severity,
    declare_incident,
    post_update,
)
from incidents.services.notes import add_note
from incidents.services.people import add_responder, release_role
from incidents.services.secrecy import (
    OpeningUpRefused,
    restrict_incident,
    set_security_level,
    unrestrict_incident,
)
from incidents.states import Role
from rollbacks.models import Decision, Rollback, RollbackStep
from tests.access.matrix import Case, read_matrix
from tests.access.scene import Scene, _advance
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db
MakeActor = Callable[..., Actor]
CANARY = "CaNaRy"
PAGES = [
    case for case in read_matrix().cases if case.method == "GET" and not case.path.startswith("/accounts/")
]
MINUTE = dt.timedelta(minutes=1)


# --- nothing of it anywhere ---------------------------------------------------------------------------


@dataclass
class Secret:
    """A restricted incident with a canary in every text, and a visible one on the same service."""

    scene: Scene
    incident: Incident
    rollback: Rollback
    neighbour: Incident

    @property
    def words(self) -> list[str]:
        return [CANARY, self.incident.ref, self.rollback.ref]

    def told_by(self, content: bytes) -> list[str]:
        text = html.unescape(content.decode(errors="replace"))
        return [word for word in self.words if word in text]


def make_secret(level: str, now: dt.datetime) -> Secret:
    scene = Scene(level, now)
    subject = scene.subjects["restricted"]
    boss = actor_for_user(scene.boss)
    act: dict[str, Any] = {"incident_id": subject.incident.pk, "actor": boss, "now": now}
    add_note(**act, summary=CANARY)
    post_update(**act, message=CANARY, next_steps=CANARY)
    escalate_incident(**act, reason=CANARY)
    acknowledge_incident(**act)
    neighbour = declare_incident(
        actor=boss, now=now, title="Beside it", severity="P1", services=[subject.rollback.service.slug]
    )
    for model in (Message, Delivery):  # the matrix's drafts choose small numbers
        _advance(model, 50)
    deliver_pending(now=now)
    fill(subject.incident)
    subject.incident.refresh_from_db()
    return Secret(scene, subject.incident, subject.rollback, neighbour)


def fill(incident: Incident) -> None:
    """The canary in every text that a person or a machine wrote about it."""
    texts = ("title", "description", "impact", "next_steps", "resolution", "root_cause", "declared_by")
    Incident.objects.filter(pk=incident.pk).update(**dict.fromkeys(texts, CANARY))
    Rollback.objects.filter(incident=incident).update(
        reason=CANARY, expected_impact=CANARY, requested_by=CANARY, parameters={"x": CANARY}
    )
    steps = RollbackStep.objects.filter(rollback__incident=incident)
    steps.update(name=CANARY, note=CANARY)
    ChecklistItem.objects.filter(incident=incident).update(name=CANARY, text=CANARY, note=CANARY)
    Alert.objects.filter(incident=incident).update(
        title=CANARY, labels={"x": CANARY}, url=f"http://{CANARY}/"
    )
    Message.objects.filter(incident=incident).update(subject=CANARY, body=CANARY)
    Delivery.objects.filter(message__incident=incident).update(receipt=CANARY, last_error=CANARY)
    decision = Decision.objects.filter(incident=incident).get()
    decision.pk, decision.reasons = None, [{"code": "x", "text": CANARY}]
    decision.save(force_insert=True)  # what was decided cannot be changed
    for rows in (
        steps,
        ChecklistItem.objects.filter(incident=incident),
        Alert.objects.filter(incident=incident),
    ):
        assert rows.exists(), rows.model
    assert Message.objects.filter(incident=incident).exists()


def crawl(secret: Secret, client: Client, **headers: str) -> Iterator[tuple[str, int, bytes]]:
    """Every address that is read, about one's own, about the secret's service, and about the secret itself."""
    scene = secret.scene
    for case in PAGES:
        if headers and not case.is_api:
            continue
        whose = ["own"]
        if "{ref}" in case.path:
            whose.append("restricted")
        elif "{slug}" in case.path or "{pk}" in case.path:
            whose.append("beside")
        for one in whose:
            answer = scene.send(case, one, client=client, **headers)
            # An answer that it is not there repeats the reference that was asked for.
            content = answer.content
            if one == "restricted":
                content = content.replace(asked_for(scene, case).encode(), b"")
            yield f"{case} {one}", answer.status_code, content
    for path in ("", "roll-back/", "?panel=suspect_releases", "?panel=incident_rollback"):
        page = client.get(f"/incidents/{secret.neighbour.ref}/{path}", headers=headers)
        yield f"beside it {path}", page.status_code, page.content


def asked_for(scene: Scene, case: Case) -> str:
    subject = scene.subjects["restricted"]
    return subject.rollback.ref if "/rollbacks/{ref}/" in case.path else subject.incident.ref


@pytest.mark.parametrize(
    "level",
    ["commander", *(pytest.param(one, marks=pytest.mark.faults) for one in ("viewer", "responder"))],
)
def test_no_page_and_no_list_tells_of_it_without_need(now: dt.datetime, level: str) -> None:
    secret = make_secret(level, now)
    client = secret.scene.client(staff=True)
    answers = list(crawl(secret, client))
    leaks = [f"{where}: {found}" for where, _status, content in answers if (found := secret.told_by(content))]
    assert leaks == []
    assert sum(status == 200 for _where, status, _content in answers) > 60
    assert {s for w, s, _c in answers if w.endswith(" restricted") and "/api/" in w} == {404}
    for address in ("/", "/incidents/"):
        page = client.get(address).content.decode()
        assert secret.incident.code_name in page, "nobody believes that all is calm"
    if level != "viewer":  # who is told that they may not ask for a rollback, not what is in its way
        name, beside = secret.incident.code_name, client.get(f"/incidents/{secret.neighbour.ref}/")
        assert f"{name} of" in html.unescape(beside.content.decode())


def test_no_token_is_told_of_it_without_need(now: dt.datetime) -> None:
    secret = make_secret("commander", now)
    answers = list(crawl(secret, Client(), **secret.scene.bearer("read")))
    assert [where for where, _status, content in answers if secret.told_by(content)] == []
    assert sum(status == 200 for _where, status, _content in answers) > 20


@pytest.mark.parametrize("need", ["works on it", "may be security lead", "administrator"])
def test_with_need_it_is_there(now: dt.datetime, need: str) -> None:
    secret = make_secret("administrator" if need == "administrator" else "viewer", now)
    me = secret.scene.account
    assert me is not None
    if need == "works on it":
        secret.incident.responders.create(user=me, since=now, added_by="boss")
    elif need == "may be security lead":
        RoleGrant.objects.create(user=me, role=Role.SECURITY_LEAD)
    client, ref = secret.scene.client(), secret.incident.ref
    for address in (
        "/",
        "/incidents/",
        f"/incidents/{ref}/",
        "/alerts/",
        "/messages/",
        "/services/shop-restricted/",
    ):
        assert (
            ref in client.get(address).content.decode() or CANARY in client.get(address).content.decode()
        ), address
    page = client.get(f"/incidents/{ref}/").content.decode()
    assert CANARY in page
    assert "others read" in page
    assert f'<bdi>me</bdi> <span class="muted">{need}' in page
    assert secret.incident.code_name not in client.get("/").content.decode()
    assert ref in client.get("/api/v1/incidents/").content.decode()
    assert CANARY in client.get(f"/api/v1/rollbacks/{secret.rollback.ref}/").content.decode()


def test_who_has_left_does_not_see_it_any_more(now: dt.datetime, make_user: Callable[..., User]) -> None:
    tess = make_user("tess", "responder", "technical_lead")
    incident = declare_incident(actor=SYSTEM, now=now, title=CANARY, severity="P1", restricted=True)
    row = incident.responders.create(user=tess, role="technical_lead", since=now, added_by="x")
    browser = Client()
    sign_in(browser, tess)
    assert browser.get(f"/incidents/{incident.ref}/").status_code == 200
    answer = browser.post(f"/incidents/{incident.ref}/roles/technical_lead/release/")
    assert answer["Location"] == "/", "not to a page that is not there for them any more"
    row.refresh_from_db()
    assert row.until is not None
    assert browser.get(f"/incidents/{incident.ref}/").status_code == 404
    with pytest.raises(NotFound):
        release_role(incident_id=incident.pk, role="technical_lead", actor=actor_for_user(tess), now=now)


def test_no_open_page_hears_the_reference(
    incident: Incident, commander: Actor, now: dt.datetime, caplog: pytest.LogCaptureFixture
) -> None:
    Incident.objects.update(title=CANARY, restricted=True)
    with CaptureQueriesContext(connection) as captured, caplog.at_level("DEBUG"):
        act: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "now": now}
        add_note(**act, summary="x")
        change_severity(**act, severity="P1", reason="x")
        deliver_pending(now=now)
    told = [query["sql"] for query in captured if "pg_notify" in query["sql"]]
    assert len(told) > 3
    assert not [sql for sql in told if incident.ref in sql]
    topic = spoken(f"incident:{incident.ref}")
    assert any(topic in sql for sql in told), "their own pages hear it"
    logged = [record.getMessage() for record in caplog.records if record.name != "django.db.backends"]
    assert not [line for line in logged if CANARY in line]


def test_a_topic_is_spoken_once_and_others_are_as_they_are() -> None:
    once = spoken_all("incident:INC-1 rollback:RB-1 service:shop now")
    assert once.split()[2:] == ["service:shop", "now"]
    assert "INC-1" not in once
    assert spoken_all(once) == once
    assert spoken("incident:INC-1") != spoken("incident:INC-2")


# --- the veil -----------------------------------------------------------------------------------------


def test_a_veiled_card_has_a_name_a_severity_and_a_state_and_no_more(
    make_actor: MakeActor, now: dt.datetime
) -> None:
    vic = make_actor("vic", "viewer")
    incident = declare_incident(actor=SYSTEM, now=now, title=CANARY, severity="P1", restricted=True)
    declare_incident(actor=SYSTEM, now=now, title="drill", severity="P0", restricted=True, drill=True)
    declare_incident(actor=SYSTEM, now=now, title="open", severity="P2")
    cards = veiled_cards(vic)
    assert cards == (VeiledCard(incident.code_name, "P1", "High", "investigating", "Investigating"),)
    assert [card.title for card in open_cards(vic, now=now)] == ["open"]
    assert veiled_cards(vic, severity="P0") == ()
    assert veiled_cards(SYSTEM) == ()
    assert veiled_cards(make_actor("none", "")) == ()
    incident.responders.create(user=User.objects.get(username="vic"), since=now, added_by="x")
    assert veiled_cards(vic) == ()


@pytest.mark.parametrize("level", ["", "viewer", "responder", "commander", "administrator"])
@pytest.mark.parametrize("grant", ["", "security_lead", "incident_commander"])
@pytest.mark.parametrize("on_it", [True, False])
def test_who_is_said_to_see_it_is_who_sees_it(
    make_user: Callable[..., User], now: dt.datetime, level: str, grant: str, on_it: bool
) -> None:
    user = make_user("una", level, *([grant] if grant else []))
    incident = declare_incident(actor=SYSTEM, now=now, title=CANARY, severity="P1", restricted=True)
    if on_it:
        incident.responders.create(user=user, since=now, added_by="x")
    account = replace(actor_for_user(user), second_factor=True)
    sees = Incident.objects.visible_to(account).exists()
    assert sees == (bool(level) and (on_it or grant == "security_lead" or level == "administrator"))
    assert ("una" in [reader.name for reader in list_readers(incident)]) == sees
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert list_readers(incident) == ()


def test_an_administrator_without_the_second_factor_that_is_asked_for_sees_nothing(
    make_user: Callable[..., User], settings: Any, now: dt.datetime
) -> None:
    settings.MFA_REQUIRED_FOR = ["administrators"]
    declare_incident(actor=SYSTEM, now=now, title=CANARY, severity="P1", restricted=True)
    root = actor_for_user(make_user("root", "administrator", "security_lead"))
    assert not Incident.objects.visible_to(root).exists()
    assert not Incident.objects.veiled_to(root).exists()
    assert Incident.objects.visible_to(replace(root, second_factor=True)).exists()


# --- declaring, restricting, opening up ---------------------------------------------------------------------


def test_a_security_incident_is_restricted_and_its_declarer_is_on_it(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = declare_incident(actor=commander, now=now, title=CANARY, severity="P2", kind="security")
    assert incident.restricted
    assert Incident.objects.visible_to(commander).get() == incident
    assert not Incident.objects.visible_to(make_actor("kim", "commander")).exists()
    assert Event.objects.get(kind="incident.declared").data["restricted"] is True
    assert not declare_incident(actor=commander, now=now, title="x", severity="P2").responders.exists()


def test_only_few_restrict_and_fewer_open_up(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = declare_incident(actor=commander, now=now, title=CANARY, severity="P2")
    rob = make_actor("rob", "responder", "technical_lead")
    ask: dict[str, Any] = {"incident_id": incident.pk, "now": now}
    with pytest.raises(NotAllowed):
        restrict_incident(**ask, reason="x", actor=rob)
    with pytest.raises(NotAllowed):
        restrict_incident(**ask, reason="x", actor=make_actor("vic", "viewer", "security_lead"))
    with pytest.raises(Invalid):
        restrict_incident(**ask, reason=" ", actor=commander)
    with pytest.raises(Conflict):
        unrestrict_incident(**ask, reason="x", actor=SYSTEM)
    incident.responders.create(
        user=User.objects.get(username="rob"), role="technical_lead", since=now, added_by="x"
    )
    restrict_incident(**ask, reason="customers are named", actor=rob)
    assert [e.summary for e in Event.objects.filter(kind="incident.restricted")] == [
        "Restricted to those who need to know: customers are named"
    ]
    with pytest.raises(NotFound):
        restrict_incident(**ask, reason="x", actor=commander)
    with pytest.raises(OpeningUpRefused):
        unrestrict_incident(**ask, reason="x", actor=rob)
    sue = make_actor("sue", "responder", "security_lead")
    with pytest.raises(Invalid):
        unrestrict_incident(**ask, reason="", actor=sue)
    with pytest.raises(Conflict):
        restrict_incident(**ask, reason="x", actor=sue)
    unrestrict_incident(**ask, reason="it is in the papers", actor=sue)
    assert Incident.objects.visible_to(commander).exists()
    assert Event.objects.get(kind="incident.unrestricted").data["reason"] == "it is in the papers"


def test_whoever_restricts_stays_on_it(commander: Actor, now: dt.datetime) -> None:
    incident = declare_incident(actor=SYSTEM, now=now, title=CANARY, severity="P2")
    restrict_incident(incident_id=incident.pk, reason="x", actor=commander, now=now)
    assert [row.user.username for row in incident.responders.all()] == ["ida"]
    assert Incident.objects.visible_to(commander).exists()


def test_a_token_opens_nothing_up(make_user: Callable[..., User], now: dt.datetime) -> None:
    scene = Scene("administrator", now)
    incident = scene.subjects["restricted"].incident
    answer = Client().post(
        f"/api/v1/incidents/{incident.ref}/unrestrict/",
        {"reason": "x"},
        content_type="application/json",
        headers=scene.bearer("write"),
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "opening_up_refused")


def test_adding_a_responder_lets_them_see_it_and_is_said(
    commander: Actor, make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = declare_incident(actor=commander, now=now, title=CANARY, severity="P2", restricted=True)
    rob = make_actor("rob", "responder")
    make_actor("vic", "viewer")
    assert list_who_may_join(incident) == ("rob",)
    add_responder(incident_id=incident.pk, username="rob", actor=commander, now=now)
    assert Incident.objects.visible_to(rob).exists()
    event = Event.objects.get(kind="responder.added")
    assert event.summary == "rob joined, and sees this restricted incident from now on"
    assert event.data["user"] == "rob"


def test_what_becomes_secret_leaves_the_status_page_at_once(commander: Actor, now: dt.datetime) -> None:
    incident = declare_incident(actor=SYSTEM, now=now, title=CANARY, severity="P2")
    deliver_pending(now=now)
    assert not StatusSnapshot.objects.exists()
    restrict_incident(incident_id=incident.pk, reason="x", actor=commander, now=now)
    deliver_pending(now=now)
    assert StatusSnapshot.objects.get().due_at == now


# --- levels -------------------------------------------------------------------------------------------------


def test_the_levels_are_the_policys() -> None:
    said = {
        level: (
            found.response_time / 60,
            [role.value for role in found.rollback_authority.roles],
            found.rollback_authority.approval,
        )
        for level in (1, 2, 3)
        if (found := policy.security_level(level))
    }
    assert said == {
        1: (15, ["security_lead", "incident_commander"], False),
        2: (60, ["security_lead"], True),
        3: (240, ["technical_lead"], False),
    }
    first = policy.security_level(1)
    assert first
    assert first.actions == ("Immediate rollback", "System isolation", "Law enforcement notification")


@pytest.mark.parametrize(
    ("severity", "level", "roles", "approval"),
    [
        ("P0", None, ["incident_commander", "technical_lead"], False),
        ("P0", 1, ["security_lead", "incident_commander"], False),
        ("P0", 2, ["security_lead"], True),
        ("P1", 1, ["security_lead", "incident_commander"], True),  # of the severity: an approval
        ("P1", 3, ["technical_lead"], True),
        ("P2", 3, ["technical_lead"], False),
    ],
)
def test_the_stricter_authority_decides(
    severity: str, level: int | None, roles: list[str], approval: bool
) -> None:
    authority = policy.rollback_authority(severity, level)
    assert ([role.value for role in authority.roles], authority.approval) == (roles, approval)


def test_the_clock_follows_the_level(commander: Actor, now: dt.datetime) -> None:
    incident = declare_incident(
        actor=commander, now=now, title=CANARY, severity="P3", kind="security", security_level=3
    )
    assert incident.response_due_at == now + 240 * MINUTE
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": commander}
    raised = set_security_level(**act, level=1, reason="they are inside", now=now + 10 * MINUTE)
    assert raised.response_due_at == now + 25 * MINUTE
    lowered = set_security_level(**act, level=2, reason="they were not", now=now + 20 * MINUTE)
    assert lowered.response_due_at == now + 80 * MINUTE
    events = Event.objects.filter(kind="incident.security_level_changed").order_by("seq")
    assert [event.data["raised"] for event in events] == [True, False]
    assert events[0].summary == "Security level 3 → 1: they are inside"
    assert events[0].data["classified"] is False
    with pytest.raises(Conflict):
        set_security_level(**act, level=2, reason="again", now=now)
    with pytest.raises(Invalid):
        set_security_level(**act, level=4, reason="x", now=now)
    with pytest.raises(Invalid):
        set_security_level(**act, level=1, reason=" ", now=now)
    stricter = declare_incident(actor=commander, now=now, title="x", severity="P0", kind="security")
    same = set_security_level(incident_id=stricter.pk, actor=commander, level=2, reason="x", now=now + MINUTE)
    assert same.response_due_at == now + 15 * MINUTE, "the severity's own is stricter"


def test_what_turns_out_to_be_an_attack_becomes_a_security_incident(
    make_actor: MakeActor, now: dt.datetime
) -> None:
    incident = declare_incident(actor=SYSTEM, now=now, title=CANARY, severity="P2")
    rob, kim = make_actor("rob", "responder"), make_actor("kim", "commander")
    ask: dict[str, Any] = {"incident_id": incident.pk, "level": 1, "reason": "a shell", "now": now}
    place_hold(incident=incident, kind="rollback", reference="RB-1", reason="RB-1 is under way", now=now)
    with pytest.raises(IncidentHeld):
        set_security_level(**ask, actor=rob)
    incident.holds.all().delete()
    set_security_level(**ask, actor=rob)
    incident.refresh_from_db()
    assert (incident.kind, incident.restricted, incident.security_level) == ("security", True, 1)
    assert Incident.objects.visible_to(rob).exists()
    assert not Incident.objects.visible_to(kim).exists()
    deliver_pending(now=now)
    assert incident.checklist_items.filter(checklist="security").count() == 9


# --- the checklist ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "ends"), [(None, [15, 30, 60]), (1, [15, 30, 60]), (2, [60, 120, 240]), (3, [240, 480, 1440])]
)
def test_the_immediate_response_opens_by_itself_with_windows_by_level(
    commander: Actor, now: dt.datetime, level: int | None, ends: list[int]
) -> None:
    incident = declare_incident(
        actor=commander, now=now, title=CANARY, severity="P2", kind="security", security_level=level
    )
    deliver_pending(now=now)
    rows = incident.checklist_items.filter(checklist="security")
    found = {row.phase: (row.due_at - now) / MINUTE for row in rows}
    assert found == dict(zip(["isolate", "assess", "roll_back"], ends, strict=True))
    texts = [row.text for row in rows.order_by("position")]
    assert texts == [
        "Block suspicious IP addresses",
        "Disable compromised user accounts",
        "Implement emergency access controls",
        "Review security logs",
        "Identify compromised data",
        "Determine attack vector",
        "Rollback to last known secure version",
        "Apply emergency security patches",
        "Update security configurations",
    ]


def test_the_windows_follow_the_level_and_what_is_done_stays(commander: Actor, now: dt.datetime) -> None:
    now -= dt.timedelta(days=1)  # what happens later has happened by the database's clock
    incident = declare_incident(
        actor=commander, now=now, title=CANARY, severity="P2", kind="security", security_level=3
    )
    deliver_pending(now=now)
    rows = incident.checklist_items.filter(checklist="security")
    rows.filter(key="block_addresses").update(ticked_at=now, ticked_by="ida")
    later = now + 30 * MINUTE
    act: dict[str, Any] = {"incident_id": incident.pk, "actor": commander, "reason": "x"}
    set_security_level(**act, level=1, now=later)
    deliver_pending(now=later)
    due = {row.key: (row.due_at - now) / MINUTE for row in rows.all()}
    assert due["disable_accounts"] == 45
    assert due["block_addresses"] == 240
    set_security_level(**act, level=2, now=later + MINUTE)
    deliver_pending(now=later + MINUTE)
    due = {row.key: (row.due_at - now) / MINUTE for row in rows.all()}
    assert due["disable_accounts"] == 91


def test_other_incidents_have_no_security_checklist(commander: Actor, now: dt.datetime) -> None:
    incident = declare_incident(actor=commander, now=now, title="x", severity="P0")
    deliver_pending(now=now)
    assert set(incident.checklist_items.values_list("checklist", flat=True)) == {"emergency"}


# --- the page -----------------------------------------------------------------------------------------------


def test_the_page_restricts_opens_up_classifies_and_adds(
    make_user: Callable[..., User], now: dt.datetime
) -> None:
    sue, browser = make_user("sue", "responder", "security_lead"), Client()
    make_user("rob", "responder")
    sign_in(browser, sue)
    answer = browser.post("/incidents/declare/", {"title": "Odd logins", "severity": "P2"})
    incident = Incident.objects.get()
    at = f"/incidents/{incident.ref}/"
    assert answer["Location"] == at
    assert 'id="action-restrict"' in browser.get(at).content.decode()
    assert browser.post(f"{at}security-level/", {"level": "2", "reason": "a scan"}).status_code == 302
    page = browser.get(at).content.decode()
    assert "Level 2, High Security Incident:" in page
    assert "Security patch deployment" in page
    assert incident.code_name in page
    assert "They see this restricted incident" in browser.get(f"{at}responders/add/").content.decode()
    assert browser.post(f"{at}responders/add/", {"username": "rob"}).status_code == 302
    assert "<bdi>rob</bdi>" in browser.get(at).content.decode()
    assert browser.post(f"{at}restrict/", {"reason": "x"}).status_code == 409
    assert browser.post(f"{at}unrestrict/", {"reason": ""}).status_code == 422
    assert browser.post(f"{at}unrestrict/", {"reason": "over"}).status_code == 302
    assert browser.post(f"{at}restrict/", {"reason": "not over"}).status_code == 302
    User.objects.get(username="rob").groups.set([Group.objects.get(name="commander")])
    other = Client()
    sign_in(other, User.objects.get(username="rob"))
    page = other.get(at).content.decode()
    assert "For who may be security lead, and administrators." in page
    assert other.post(f"{at}unrestrict/", {"reason": "x"}).status_code == 403
