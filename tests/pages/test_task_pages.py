"""Tasks and evidence on an incident's page: by forms without JavaScript."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from core.actors import Actor
from incidents.models import Evidence, Incident, Task
from incidents.services.evidence import attach_evidence, withdraw_evidence
from incidents.services.incidents import close_incident, resolve_incident
from incidents.services.tasks import create_task
from tests.incidents.test_evidence import HTML, png
from tests.pages.conftest import HOSTILE, SignIn
from tests.pages.test_reading import count_queries
from tests.reporting import publish_report_of

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def by(incident: Incident, commander: Actor, now: dt.datetime) -> dict[str, Any]:
    return {"incident_id": incident.pk, "actor": commander, "now": now}


def page(browser: Client, incident: Incident, panel: str = "") -> str:
    return browser.get(f"/incidents/{incident.ref}/" + (f"?panel={panel}" if panel else "")).content.decode()


def test_one_line_adds_a_task_one_click_finishes_it_and_one_opens_it_again(
    ida: Client, incident: Incident, now: dt.datetime
) -> None:
    html = page(ida, incident)
    form = re.search(r'<form class="[^"]*task-form" method="post" action="([^"]*)"', html)
    assert form
    assert '<option value="ida">ida</option>' in html
    answer = ida.post(form[1], {"title": "Call the vendor", "owner": "ida", "due_in": "30"})
    assert answer["Location"] == f"/incidents/{incident.ref}/"
    task = Task.objects.get()
    assert task.due_at is not None and 29 * MINUTE < task.due_at - now < 31 * MINUTE
    shown = page(ida, incident, "tasks")
    assert "<strong>You</strong>" in shown and 'data-clock="until"' in shown
    ida.post(re.search(r'action="([^"]*/done/)"', shown)[1])  # type: ignore[index]
    shown = page(ida, incident, "tasks")
    assert "Nothing to do" in shown and "Finished" in shown
    ida.post(re.search(r'action="([^"]*/reopen/)"', shown)[1])  # type: ignore[index]
    task.refresh_from_db()
    assert (task.state, task.version) == ("open", 3)


def test_what_is_late_has_an_icon_and_a_word_and_mine_is_first(
    ida: Client, incident: Incident, by: dict[str, Any], now: dt.datetime
) -> None:
    create_task(title=HOSTILE, due_at=now - MINUTE, **by)
    create_task(title="Mine", owner="ida", **by)
    shown = page(ida, incident, "tasks")
    first, second = shown.split('<li class="task"')[1:3]
    assert "Mine" in first
    assert "&lt;img" in second and HOSTILE not in shown
    assert re.search(r'data-tone="overdue"><svg.*?</svg>Overdue</span>', second, re.DOTALL)
    assert 'data-announce="Tasks overdue: 1"' in shown


def test_a_card_of_now_counts_what_is_open_and_what_is_late(
    ida: Client, incident: Incident, by: dict[str, Any], now: dt.datetime
) -> None:
    without = count_queries(ida, "/")
    assert "task" not in ida.get("/?panel=incidents").content.decode()
    for title, due_at in (
        ("Call the vendor", now - MINUTE),
        ("Look at the logs", now + 60 * MINUTE),
        ("Tell", None),
    ):
        create_task(title=title, due_at=due_at, **by)
    shown = ida.get("/?panel=incidents").content.decode()
    assert "3 tasks" in shown and "1 overdue" in shown
    assert count_queries(ida, "/") == without


def test_who_may_not_sees_why_and_on_a_closed_incident_nothing_is_offered(
    ida: Client, sign_in: SignIn, incident: Incident, by: dict[str, Any]
) -> None:
    create_task(title="Look", **by)
    attach_evidence(name="a.txt", content=b"x", **by)
    vic = sign_in("vic", "viewer")
    shown = page(vic, incident)
    assert "task-form" not in shown and "data-evidence" not in shown and "/withdraw/" not in shown
    assert re.search(r'id="task-done-\d+" aria-disabled="true"', shown)
    resolve_incident(resolution="fixed", **by)
    assert "task-form" in page(ida, incident)
    publish_report_of(incident, now=by["now"])
    close_incident(**by)
    shown = page(ida, incident)
    assert "task-form" not in shown and "data-evidence" not in shown
    assert "a.txt" in shown


def test_a_file_is_attached_by_a_form_and_shown_by_what_it_is(ida: Client, incident: Incident) -> None:
    html = page(ida, incident)
    form = re.search(
        r'<form class="[^"]*evidence-form" method="post" enctype="multipart/form-data" action="([^"]*)"', html
    )
    assert form
    for name, content in (("screen.png", png()), ("evil.png", HTML)):
        answer = ida.post(form[1], {"file": SimpleUploadedFile(name, content), "description": HOSTILE})
        assert answer.status_code == 302, answer.content
    shown = page(ida, incident, "evidence")
    picture = Evidence.objects.get(name="screen.png")
    assert f'<img src="/incidents/{incident.ref}/evidence/{picture.pk}/" alt="screen.png"' in shown
    assert shown.count("<img") == 1 and "evil.png.txt" in shown
    assert HOSTILE not in shown
    refused = ida.post(form[1], {"file": SimpleUploadedFile("a.exe", b"MZ\0\xff")})
    assert refused.status_code == 422
    assert "none of PNG" in refused.content.decode()
    refused = ida.post(form[1], {"file": SimpleUploadedFile("a.txt", png())}, headers={"HX-Request": "true"})
    assert (refused.status_code, refused.json()["code"]) == (409, "already_attached")
    assert ida.post(form[1], {}).status_code == 422
    page_alone = ida.get(form[1]).content.decode()
    assert 'enctype="multipart/form-data"' in page_alone and 'type="file"' in page_alone


def test_withdrawn_its_reason_stands_in_its_place(
    ida: Client, incident: Incident, by: dict[str, Any]
) -> None:
    row = attach_evidence(name="screen.png", content=png(), **by)
    address = f"/incidents/{incident.ref}/evidence/{row.pk}/"
    assert ida.get(address)["Content-Disposition"] == 'inline; filename="screen.png"'
    ida.post(f"{address}withdraw/", {"reason": "a password"})
    shown = page(ida, incident, "evidence")
    assert "a password" in shown and "<img" not in shown and address not in shown
    assert ida.get(address).status_code == 404


def test_the_page_costs_the_same_with_many_of_them(
    ida: Client, incident: Incident, by: dict[str, Any]
) -> None:
    address = f"/incidents/{incident.ref}/"
    create_task(title="Look", owner="ida", **by)
    withdraw_evidence(evidence_id=attach_evidence(name="a.txt", content=b"x", **by).pk, reason="x", **by)
    price = count_queries(ida, address)
    for number in range(10):
        create_task(title=f"Look {number}", owner="ida", **by)
        row = attach_evidence(name="a.txt", content=b"%d" % number, **by)
        if number % 2:
            withdraw_evidence(evidence_id=row.pk, reason="x", **by)
    assert count_queries(ida, address) == price
