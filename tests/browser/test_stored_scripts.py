"""Payloads in every stored text, every page in Chromium: nothing runs, nothing becomes markup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.test import Client
from django.urls import resolve, reverse
from playwright.sync_api import BrowserContext, Dialog, Page

from comms.links import Link, token_for
from comms.models import (
    Component,
    Contact,
    Delivery,
    Message,
    PublicIncident,
    PublicUpdate,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from core import events, outbox
from core.actors import SYSTEM, Actor, ActorKind, Level
from core.clock import utcnow
from core.models import ApiToken, Event, Process, User
from incidents.models import (
    ActionItem,
    Alert,
    ChecklistItem,
    Document,
    Evidence,
    EvidenceWithdrawal,
    InboundDelivery,
    Incident,
    MaintenanceWindow,
    Presence,
    PublishedReport,
    Release,
    Report,
    ReportChange,
    ReportRow,
    ReportRowChange,
    ReportText,
    Review,
    Service,
    Silence,
    Task,
    TrainingRecord,
)
from incidents.services.searching import make_documents
from incidents.states import ReleaseState, ReportSection
from rollbacks.models import Approval, Drill, Rollback, RollbackStep, StepOutput
from rollbacks.policy import drill_plan
from rollbacks.services.automation import disarm_automation
from rollbacks.services.endings import ask_for_a_person
from rollbacks.states import RollbackState, StepState
from rollbacks.transitions import move_rollback, move_step
from tests.access.matrix import read_matrix, readable
from tests.browser.chromium import chromium, needs_chromium
from tests.browser.enrolled import enrol, states, unseen
from tests.browser.payloads import PAYLOADS, SIGNS, WATCH
from tests.browser.stored_texts import OWN, text_columns, write_payloads
from tests.pages.conftest import Afternoon, afternoon, declare
from tests.signing_in import sign_in
from tests.web import WebProcess

__all__ = ["afternoon"]
HOUR = dt.timedelta(hours=1)
AT_ONCE = 5  # a text of 200 characters holds about so many
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    needs_chromium,
]


# Addresses with nobody's text: the API (JSON), accounts, the admin (walked table by table), fixed forms.
NO_TEXT = (
    "/api/", "/accounts/", "/admin/", "/status/", "/channels/connections/", "/system/banners/", "/search/services/",
    "/incidents/{ref}/export.json", "/incidents/{ref}/evidence/{pk}/",  # a file, saved and not shown: tests/incidents/test_evidence.py
    "/incidents/{ref}/report.md", "/incidents/{ref}/report.pdf",
    "/incidents/{ref}/report/revisions/{number}/report.",  # files too: tests/incidents/test_markdown.py, test_documents.py
)  # fmt: skip


@pytest.fixture
def ada() -> User:
    user = User.objects.create(username="ada", is_staff=True)
    group, _made = Group.objects.get_or_create(name="administrator")
    user.groups.add(group)
    return user


@pytest.fixture
def full(afternoon: Afternoon, ada: User, commander: Actor, now: dt.datetime) -> Afternoon:
    """Rows in every table that holds a text, several where a list shows them."""
    for number in range(AT_ONCE):
        Contact.objects.create(
            name=f"c{number}", email=f"c{number}@example.test", support_url="https://example.test",
            user=None if number else ada,  # whose link Ada opens
        )  # fmt: skip
        declare(commander, now, number, "shop")
        Release.objects.create(
            service=afternoon.service, version=f"1.{number}", state=ReleaseState.GOOD,
            deployed_at=now, recorded_at=now, good_at=now, ended_at=now,
        )  # fmt: skip
    _make_it_stuck(afternoon.rollback, now)
    Approval.objects.create(
        rollback=afternoon.rollback, user=ada, decision="approved", role="incident_commander", reason="x", decided_at=now,
    )  # fmt: skip
    ApiToken.issue(user=ada, name="x", scopes=["read"], expires_at=now + dt.timedelta(days=1))
    disarm_automation(actor=commander, now=now, reason="x")
    outbox.deliver_pending(now=utcnow())
    declare(commander, now, AT_ONCE, "shop")  # its event stays pending
    Incident.objects.update(escalated_at=now, escalated_to="x")
    ChecklistItem.objects.update(ticked_at=now, ticked_by="x")
    _record_payloads(afternoon.incident, now)
    _record_evidence(afternoon.incident, now)
    _report(afternoon.incident, now)
    Task.objects.create(
        incident=afternoon.incident, title="x", created_at=now, created_by="x", state="done", finished_at=now, finished_by="x"
    )  # fmt: skip
    for state, ended in (
        ("open", {}),
        ("done", {"finished_at": now, "finished_by": "x", "finished_note": "x"}),
    ):
        ActionItem.objects.create(
            incident=afternoon.incident, title="x", description="x", created_at=now, created_by="x", state=state, **ended
        )  # fmt: skip
    Presence.objects.create(user=ada, incident=afternoon.incident, doing="x", since=now, seen_at=utcnow())
    _send_in_alerts(afternoon, ada, now)
    _tell_others(afternoon, now)
    drill = Drill.objects.create(
        service=afternoon.service, scenario="bad_release", plan=drill_plan("bad_release"), state="finished", starts_at=now, started_at=now, incident=afternoon.incident,
        planned_by="x", planned_at=now, ended_at=now, outcome="x", notes="x", scorecard={"passed": False, "met": 0, "lines": []},
    )  # fmt: skip
    drill.participants.add(ada)
    for number in range(AT_ONCE):  # gone silent an hour ago
        Process.objects.create(
            name="checks", host="beta", pid=number, started_at=now - HOUR, beat_at=now - HOUR, playbook_digest="x"
        )  # fmt: skip
    LogEntry.objects.create(
        user=ada, content_type=ContentType.objects.get_for_model(Contact), object_id=str(Contact.objects.first().pk),  # type: ignore[union-attr]
        object_repr="x", action_flag=CHANGE, change_message="x",
    )  # fmt: skip
    return afternoon


def _tell_others(afternoon: Afternoon, now: dt.datetime) -> None:
    """Users by the status page, programs by a webhook."""
    incident, service = afternoon.incident, afternoon.service
    Service.objects.filter(pk=service.pk).update(public_name="x")
    when = {"created_at": now, "changed_at": now, "counted_until": now}
    component = Component.objects.create(service=service, group="x", description="x", **when)
    public = PublicIncident.objects.create(
        incident=incident, title="x", status="investigating", impact="minor", started_at=now, created_at=now, updated_at=now
    )  # fmt: skip
    public.components.add(component)
    event = Event.objects.filter(stream=incident.stream).earliest("seq")
    for template, state in (("external_update", "draft"), ("maintenance", "sent")):
        message = Message.objects.create(
            event=event, incident=incident, template=template, visibility="external", state=state, channels=["status_page"],
            subject="x", body="x", created_at=now, approved_at=now if state == "sent" else None,
        )  # fmt: skip
        sent = {"published_at": now, "public_incident": public} if state == "sent" else {}
        PublicUpdate.objects.create(
            message=message, title="x", status="investigating", impact="minor", started_at=now, body="x", **sent
        )  # fmt: skip
    endpoint = WebhookEndpoint.objects.create(
        url="http://127.0.0.1:1/", secret="x", not_before=now, created_at=now
    )
    delivery = WebhookDelivery.objects.create(
        endpoint=endpoint, kind="webhook.test", state="dead", created_at=now, due_at=now, finished_at=now
    )
    WebhookAttempt.objects.create(delivery=delivery, at=now, milliseconds=1, error="x", answer="x")


def _reviewed(now: dt.datetime, person: User, number: int) -> None:
    """A review, a document that was looked over, and a training."""
    Review.objects.create(
        name="x", begins_at=now - HOUR, ends_at=now, opened_at=now, opened_by="x", due_at=now, decisions="x"
    )
    Document.objects.create(
        key=f"document:{number}", name="x", owner="management", due_at=now, reviewed_at=now, reviewed_by="x",
        outcome="changed", note="x",
    )  # fmt: skip
    TrainingRecord.objects.create(
        user=person, course="procedures", done_at=now + number * HOUR, due_at=now + 999 * HOUR, note="x",
        source="x", recorded_at=now, recorded_by="x", current=number == 0,
    )  # fmt: skip


def _send_in_alerts(afternoon: Afternoon, sender: User, now: dt.datetime) -> None:
    span = {"starts_at": now, "ends_at": now + HOUR, "reason": "x", "created_by": "x", "created_at": now}
    for number in range(AT_ONCE):
        Silence.objects.create(matchers=[], ended_by="x", **span)
        _reviewed(now, sender, number)
        planned = span | {"ends_at": now + (number + 1) * HOUR}
        MaintenanceWindow.objects.create(ended_by="x", **planned).services.add(afternoon.service)
        Alert.objects.create(
            source="api", sender=sender, fingerprint=str(number), title="x", starts_at=now, received_at=now,
            last_seen_at=now, service=afternoon.service, incident=afternoon.incident if number % 2 else None,
        )  # fmt: skip
        InboundDelivery.objects.create(
            kind="event",
            sender=sender,
            token="x",
            body="x",
            size=1,
            received_at=now,
            due_at=now,
            parked_at=now,
        )


def _make_it_stuck(rollback: Rollback, now: dt.datetime) -> None:
    rollback.refresh_from_db()
    for state in (RollbackState.VALIDATING, RollbackState.EXECUTING):
        move_rollback(rollback, state, started_at=now, mutated_at=now)
    for step in RollbackStep.objects.filter(rollback=rollback, position__lte=4):
        move_step(step, StepState.STARTING, started_at=now)
        move_step(step, StepState.RUNNING)
        end = StepState.UNKNOWN if step.position == 4 else StepState.SUCCEEDED
        move_step(step, end, finished_at=now, output_tail="x")
        StepOutput.objects.create(step=step, attempt=1, start=0, end=1, raw_end=1, text="x")
    with transaction.atomic():
        ask_for_a_person(rollback, "x", actor=SYSTEM, now=now)


def _record_payloads(incident: Incident, now: dt.datetime) -> None:
    """The timeline cannot be written over, so each payload is an event of its own."""
    with transaction.atomic():
        for payload in PAYLOADS:
            somebody = Actor(ActorKind.USER, payload, Level.RESPONDER)
            events.record(
                incident.stream_id, kind="note.added", actor=somebody, summary=payload, now=now, source=payload[:20],
                data={"message": f"{payload} and more", "root_cause": payload, "next_steps": payload},
            )  # fmt: skip


def _record_evidence(incident: Incident, now: dt.datetime) -> None:
    """Nor can evidence: its name, what it is said to show, who says so, and why it was withdrawn."""
    for number, payload in enumerate(PAYLOADS):
        row = Evidence.objects.create(
            incident=incident, name=payload[:120], description=payload[:500], kind="image" if number % 4 else "file",
            content_type="image/png", size=1, sha256="0" * 64, attached_at=now, attached_by=payload[:200],
        )  # fmt: skip
        if number % 2:
            EvidenceWithdrawal.objects.create(
                evidence=row, reason=payload[:500], withdrawn_at=now, withdrawn_by=payload[:200]
            )


def _report(incident: Incident, now: dt.datetime) -> None:
    """One being written with all that was ever published of it, and one of an incident that is over."""
    over = Incident.objects.exclude(pk=incident.pk).latest("pk")
    Incident.objects.filter(pk=over.pk).update(status="resolved", resolved_at=now)
    for about in (incident, over):
        report = Report.objects.create(
            incident=about, drafted_at=now, due_at=now, submitted_by="x", published_by="x"
        )
        for section in ReportSection:
            ReportText.objects.create(
                report=report, section=section, text="x", changed_at=now, changed_by="x", by_machine=False
            )
        event = Event.objects.filter(stream=about.stream).earliest("seq")
        ReportRow.objects.create(
            report=report, event=event, included=True, event_text="x", action_text="x", owner="x"
        )
    report = incident.report
    event = report.rows.get().event
    for number, payload in enumerate(PAYLOADS, 1):
        said: dict[str, Any] = {"report": report, "revision": number}
        ReportChange.objects.create(
            **said, section="impact", version=number, text=payload, changed_at=now, changed_by=payload[:200]
        )
        ReportRowChange.objects.create(
            **said, event=event, version=number, included=True, event_text=payload[:500], owner=payload[:200],
            changed_at=now, changed_by=payload[:200],
        )  # fmt: skip
        PublishedReport.objects.create(
            **said,
            markdown=payload,
            sha256="0" * 64,
            published_at=now,
            published_by=payload[:200],
            title=payload[:200],
        )


@pytest.fixture
def context(web: WebProcess, ada: User) -> Iterator[BrowserContext]:
    """A browser where Ada is signed in."""
    session = Client()
    sign_in(session, ada)
    value = session.cookies[settings.SESSION_COOKIE_NAME].value
    with chromium() as browser:
        context = browser.new_context(base_url=web.url)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": web.url}])
        context.add_init_script(WATCH)
        yield context


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(context: BrowserContext, web: WebProcess, complaints: list[str]) -> Page:
    """A tab that notes dialogs, errors of scripts and requests to anybody else."""
    page = context.new_page()
    page.on("dialog", lambda dialog: _dismiss(dialog, complaints))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("request", lambda request: _note_stranger(request.url, web.url, complaints))
    return page


def _dismiss(dialog: Dialog, complaints: list[str]) -> None:
    complaints.append(f"dialog: {dialog.message}")
    dialog.dismiss()


def _note_stranger(asked: str, own: str, complaints: list[str]) -> None:
    if not asked.startswith((own, "data:")):
        complaints.append(f"asked {asked}")


@pytest.mark.django_db
def test_every_table_with_a_text_has_rows_here_and_every_page_is_visited(full: Afternoon) -> None:
    """A new table, column or page is covered by itself; this fails when nothing would be shown of it."""
    visited = {
        readable(f"/{resolve(urlsplit(address).path).route}") for address in [*_pages(full), *_forms(full)]
    }
    pages = {
        case.path
        for case in read_matrix().cases
        if case.method == "GET" and (not case.path.startswith(NO_TEXT) or case.path.endswith("/withdraw/"))
    }
    assert sorted(pages - visited) == []
    for model, fields in text_columns():
        assert model._default_manager.exists(), (
            f"no row of {model._meta.label} for {[f.name for f in fields]}"
        )


def test_no_text_becomes_a_script_or_an_element(full: Afternoon, page: Page, complaints: list[str]) -> None:
    """The first five payloads on every page; one test, because making the rows takes longer than looking."""
    nothing_stored_does(full, page, [0])
    nothing_in_a_panel_or_a_dialog_does(full, page)
    nothing_that_comes_straight_back_does(page)
    assert complaints == []
    page.goto("/incidents/")
    page.evaluate("(text) => document.body.insertAdjacentHTML('beforeend', text)", PAYLOADS[2])
    page.wait_for_timeout(100)
    found = " ".join(page.evaluate(SIGNS))
    assert "markup: " in found and "handler: " in found and "CSP: script-src" in found, (
        "what got through is seen"
    )


@pytest.mark.faults
def test_no_payload_in_any_text_of_any_page_does(full: Afternoon, page: Page, complaints: list[str]) -> None:
    nothing_stored_does(full, page, range(0, len(PAYLOADS), AT_ONCE))
    assert complaints == []


@pytest.mark.faults
def test_no_payload_in_a_passkey_a_session_or_a_username_does(
    ada: User, context: BrowserContext, page: Page, web: WebProcess, complaints: list[str]
) -> None:
    """The pages of second factors, in every state of a sign-in; what allauth keeps in tables of its own."""
    User.objects.filter(pk=ada.pk).update(username=PAYLOADS[2])
    ada.refresh_from_db()
    enrol(ada, *PAYLOADS)
    for payload in PAYLOADS:
        elsewhere = Client()
        sign_in(elsewhere, ada)
        key = elsewhere.session.session_key
        UserSession.objects.create(user=ada, ip="127.0.0.1", session_key=key, user_agent=payload)
    seen = []
    for state in states(ada):
        value = state.browser.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": web.url}])
        for address in state.pages:
            answer = page.goto(address)
            assert answer is not None and answer.status == 200, (address, answer and answer.status)
            assert page.evaluate(SIGNS) == [], address
            if address.endswith(("/webauthn/", "/sessions/")):
                assert PAYLOADS[2] in page.inner_text("main"), address
            seen.append(urlsplit(page.url).path)
        for address in state.asking:
            page.goto(address)
            page.fill("[name=code]", PAYLOADS[10])
            page.keyboard.press("Enter")
            page.wait_for_selector(".errorlist")
            assert page.evaluate(SIGNS) == [], address
    assert unseen(seen) == set()
    assert complaints == []


def nothing_stored_does(full: Afternoon, page: Page, starts: Sequence[int]) -> None:
    looked = 0
    for start in starts:
        write_payloads(PAYLOADS[start : start + AT_ONCE], start)
        make_documents(list(Incident.objects.values_list("pk", flat=True)), now=utcnow())
        everywhere = start == 0 and len(starts) > 1
        for address in [*_pages(full), *_forms(full), *_admin_pages()] if everywhere else _pages(full):
            looked += 1
            answer = page.goto(address)
            assert answer is not None and answer.status == 200, (address, answer and answer.status)
            assert page.evaluate(SIGNS) == [], address
    assert looked > (90 if len(starts) > 1 else 8)
    page.goto("/contacts/")
    assert "x-canary" in page.inner_text("main"), "what was written last is read, as words"


def nothing_in_a_panel_or_a_dialog_does(full: Afternoon, page: Page) -> None:
    """What htmx and the page's own module put in later: renewed panels, dialogs, the palette, the toasts."""
    page.goto(f"/incidents/{full.incident.ref}/")
    with page.expect_response(lambda answer: "panels=" in answer.url):
        page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(500)
    links = page.evaluate(
        "[...document.querySelectorAll('a[data-dialog]')].map((link) => link.getAttribute('href'))"
    )
    assert links
    for link in links:
        page.evaluate(
            "(url) => htmx.ajax('GET', url, {target: document.querySelector('#dialog-content'), swap: 'innerHTML'})",
            link,
        )
        page.wait_for_timeout(150)
        assert page.evaluate(SIGNS) == [], link
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette [data-href]")
    assert page.evaluate(SIGNS) == []


def nothing_that_comes_straight_back_does(page: Page) -> None:
    """Error pages, refused forms, searches: what a link or a mistake makes a page say."""
    for payload in PAYLOADS[::10]:
        said = quote(payload, safe="")
        for address in (
            f"/incidents/{said}/", f"/?panel={said}", f"/incidents/?state={said}&severity={said}&before={said}",
            f"/search/?q={said}", f"/search/texts/?q={said}&service={said}", f"/search/?panel=options&q={said}", f"/contacts/?q={said}",
            f"/accounts/login/?next={said}", f"/admin/comms/contact/?q={said}", f"/admin/comms/contact/{said}/change/",
        ):  # fmt: skip
            page.goto(address)
            assert page.evaluate(SIGNS) == [], address
    page.goto("/incidents/declare/")
    with page.expect_navigation():
        page.evaluate(
            "(text) => { const form = document.querySelector('form[action=\"/incidents/declare/\"]'); form.noValidate = true;"
            " for (const field of form.querySelectorAll('input[type=text], textarea')) field.value = text;"
            " HTMLFormElement.prototype.submit.call(form); }",
            " · ".join(PAYLOADS),
        )
    assert page.evaluate(SIGNS) == []


def _pages(full: Afternoon) -> list[str]:
    incident = f"/incidents/{full.incident.ref}/"
    return [
        "/",
        "/incidents/",
        incident,
        f"/rollbacks/{full.rollback.ref}/",
        "/services/",
        "/services/shop/",
        "/contacts/",
        "/reports/",
        *(
            f"{incident}report/{rest}"
            for rest in (
                "",
                "read/",
                "timeline/",
                "timeline/1/history/",
                "sections/impact/history/",
                "revisions/1/",
            )
        ),
        "/search/",
        "/search/?q=script",
        "/search/texts/?q=script&drill=true",
        "/search/people/?q=a",
        "/insights/?by=service",
        "/insights/incidents/",
        "/insights/rollback_frequency/",
        "/alerts/",
        "/action-items/",
        "/action-items/?state=done",
        *(f"/action-items/{pk}/" for pk in ActionItem.objects.values_list("pk", flat=True)),
        "/silences/",
        "/reviews/",
        f"/reviews/{Review.objects.earliest('pk').pk}/",
        "/reviews/documents/",
        "/training/",
        "/maintenance/",
        "/drills/",
        f"/drills/{Drill.objects.get().pk}/",
        "/system/",
        "/changes/",
        "/account/tokens/",
        "/channels/",
        "/components/",
        "/messages/",
        *(f"/messages/{pk}/" for pk in Message.objects.order_by("-pk").values_list("pk", flat=True)[:2]),
        "/webhooks/",
        f"/webhooks/{WebhookEndpoint.objects.get().pk}/",
        "/status/",
        "/status/history/",
    ]


def _forms(full: Afternoon) -> list[str]:
    incident, rollback = f"/incidents/{full.incident.ref}/", f"/rollbacks/{full.rollback.ref}/"
    release = ["shop", full.service.releases.earliest("deployed_at").version]
    draft, sent = Message.objects.get(state="draft").pk, Delivery.objects.earliest("pk")
    webhook = f"/webhooks/{WebhookEndpoint.objects.get().pk}/"
    item = ChecklistItem.objects.earliest("pk")
    todo = done = Task.objects.get().pk
    exhibit = Evidence.objects.earliest("pk").pk
    of_incident = (
        "acknowledge", "close", "criteria", "edit", "escalate", "messages/new", "note", "reopen", "resolve", "severity",
        "update", "security-level", "restrict", "unrestrict", "responders/add", "evidence", "tasks/new",
        *(f"tasks/{todo}/{name}" for name in ("edit", "done", "drop")), f"tasks/{done}/reopen", f"evidence/{exhibit}/withdraw",
        "roles/communications_lead/page", "roles/technical_lead/assign", "roles/technical_lead/take", "roles/incident_commander/release",
        *(f"report/{name}" for name in ("submit", "return", "publish", "revise", "give", "sections/impact", "timeline/1")), "retrospective",
        "action-items/new", "action-items/from-tasks", f"checklists/{item.checklist}/{item.key}/assign",
        f"checklists/{item.checklist}/{item.key}/tick", f"checklists/{item.checklist}/{item.key}/untick",
    )  # fmt: skip
    of_rollback = (
        "approve", "break_glass", "cancel", "edit", "hand_over", "judge", "reject", "undo",
        *(f"steps/4/{name}" for name in ("abort", "confirm", "mark_done", "retry")),
    )  # fmt: skip
    todo_item = ActionItem.objects.get(state="open").pk
    done_item = ActionItem.objects.get(state="done").pk
    return [
        "/action-items/new/", *(f"/action-items/{todo_item}/{name}/" for name in ("edit", "done", "drop")),
        f"/action-items/{done_item}/reopen/",
        "/incidents/declare/", "/automation/", "/drills/new/", *(f"/drills/{Drill.objects.get().pk}/{name}/" for name in ("start", "cancel", "finish", "debrief")), "/silences/new/", "/maintenance/new/", "/alerts/retry/", "/system/parked/retry/",
        f"/reviews/{Review.objects.earliest('pk').pk}/write/", f"/reviews/{Review.objects.earliest('pk').pk}/hold/", f"/reviews/{Review.objects.earliest('pk').pk}/sign_off/",
        f"/reviews/{Review.objects.earliest('pk').pk}/action-items/new/",
        f"/reviews/documents/{Document.objects.earliest('pk').pk}/review/", "/reviews/new/", "/training/record/",
        f"/silences/{Silence.objects.earliest('pk').pk}/end/", f"/maintenance/{MaintenanceWindow.objects.earliest('pk').pk}/end/",
        f"/system/processes/{Process.objects.earliest('pk').pk}/forget/", f"/account/tokens/{ApiToken.objects.earliest('pk').pk}/revoke/",
        f"/components/{Component.objects.earliest('pk').public_id}/state/", "/channels/incident_response/test/",
        f"/a/{token_for(Link(full.incident.pk, Contact.objects.earliest('pk').pk, utcnow() + HOUR))}/",
        reverse("incidents:quarantine", args=release), reverse("incidents:lift_quarantine", args=release),
        *(f"/messages/{draft}/{name}/" for name in ("edit", "approve", "discard")),
        f"/messages/{sent.message_id}/deliveries/{sent.pk}/retry/",
        "/webhooks/new/", *(f"{webhook}{name}/" for name in ("edit", "enable", "disable", "remove", "secret", "test", "replay", "again")),
        f"{incident}messages/new/?to=users", f"{incident}roll-back/?service=shop",
        *(f"{incident}{name}/" for name in of_incident), *(f"{rollback}{name}/" for name in of_rollback),
    ]  # fmt: skip


def _admin_pages() -> Iterator[str]:
    yield "/admin/"
    for model in admin.site._registry:
        if model._meta.app_label not in OWN:
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        if (row := model._default_manager.first()) is not None:
            yield reverse(f"{name}_change", args=[row.pk])
            yield reverse(f"{name}_history", args=[row.pk])
