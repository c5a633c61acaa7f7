"""One recorded incident gives exactly golden/report.md, and a PDF that says the same.

`UPDATE_GOLDEN=1 make test ARGS=tests/incidents/test_golden_report.py` writes it anew; read the difference.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from django.core.management import call_command

from core.actors import SYSTEM, Actor, ActorKind
from core.models import Event
from core.outbox import deliver_pending
from incidents.facts import Reading
from incidents.models import Incident, PublishedReport, Report
from incidents.selectors.report_files import markdown_of, pdf_of
from incidents.services.action_items import create_action_item
from incidents.services.criteria import check_criteria
from incidents.services.incidents import (
    acknowledge_incident,
    change_severity,
    close_incident,
    post_update,
    resolve_incident,
)
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.notes import add_note
from incidents.services.people import assign_role
from incidents.services.reports import edit_report, edit_row, publish_report, submit_report
from incidents.services.services import create_service, record_release
from incidents.states import Role, SampleOutcome
from rollbacks.services.endings import end_rollback
from rollbacks.services.requests import approve_rollback, request_rollback
from rollbacks.states import RollbackState
from rollbacks.timeline import record_on_rollback
from rollbacks.transitions import move_rollback

pytestmark = pytest.mark.django_db
GOLDEN = Path(__file__).parent / "golden" / "report.md"
BEGAN = dt.datetime(2025, 2, 28, 22, 47, tzinfo=dt.UTC)  # over the end of a month
MINUTE = dt.timedelta(minutes=1)
WRITTEN = {
    "impact": "Nobody could pay; about 4,100 carts were left",
    "primary_cause": (
        "The release 4.2.0 renamed a column that the payment worker of 4.1.9 still read.\n\n"
        "```sql\nALTER TABLE orders RENAME COLUMN paid TO settled;\n```\n\n"
        "# A heading of mine\n\nSee [the change](https://git.example.test/shop/4711)."
    ),
    "contributing_factors": "- Both ran for six minutes side by side\n- The check of the schema looks at **new** tables alone",
    "users_affected": "About 12 % of all sessions",
    "functionality_affected": "Paying by card",
    "revenue_impact": "Not known | asked for",
    "sla_breach": "No",
    "customer_complaints": "37",
    "went_well": "The alarm came within a minute\nThe rollback ran as rehearsed",
    "could_be_improved": "Nobody saw the <script> in the template's `name`",
}


@pytest.fixture
def incident(make_actor: Callable[..., Actor]) -> Incident:
    """From the breach to the published report, every moment said."""
    ida = make_actor("ida", "commander", "incident_commander", "technical_lead")
    lena = make_actor("lena", "responder", "technical_lead")
    shop = create_service(
        actor=SYSTEM, now=BEGAN - 3000 * MINUTE, slug="shop", name="Shop", procedure="storefront_rollback",
        auto_rollback=False,
    )  # fmt: skip
    for version, age in (("4.1.9", 3000 * MINUTE), ("4.2.0", 40 * MINUTE)):
        record_release(service_id=shop.pk, version=version, actor=SYSTEM, now=BEGAN - age)
    monitor = create_monitor(
        actor=SYSTEM, now=BEGAN - MINUTE, service="shop", metric="error_rate", source={"type": "push"}
    )
    observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.124), now=BEGAN)
    deliver_pending(now=BEGAN)
    incident = Incident.objects.get()

    def by(actor: Actor, minutes: int) -> dict[str, Any]:
        now = BEGAN + minutes * MINUTE
        return {"incident_id": incident.pk, "actor": replace(actor, authenticated_at=now), "now": now}

    acknowledge_incident(**by(ida, 3))
    assign_role(role=Role.TECHNICAL_LEAD, username="lena", **by(ida, 4))
    add_note(summary="Payment worker logs: column orders.paid does not exist", **by(lena, 6))
    check_criteria(criteria=["database_connectivity"], **by(ida, 8))
    add_note(summary="Switched card payments off", kind="action", **by(lena, 9))
    post_update(
        message="We go back to 4.1.9; cards are off until then", next_steps="Roll back", **by(ida, 10)
    )
    _roll_back(incident, by, ida)
    add_note(summary="Switched card payments on", kind="action", **by(lena, 31))
    change_severity(severity="P1", reason="Only the carts are left", **by(ida, 40))
    resolve_incident(
        resolution="4.1.9 serves again; the column is read under both names",
        root_cause="A column was renamed while its readers ran",
        **by(ida, 95),
    )
    deliver_pending(now=BEGAN + 95 * MINUTE)
    edit_report(texts=WRITTEN, **by(lena, 300))
    check = "Refuse a migration | while the version before runs"
    create_action_item(
        kind="immediate", title=check, owner="lena", due_on=dt.date(2025, 3, 7), **by(lena, 303)
    )
    create_action_item(kind="long_term", title="Expand, then contract: no column is renamed", **by(lena, 304))
    note = Event.objects.get(summary__startswith="Payment worker logs").seq
    edit_row(
        seq=note, included=True, event_text="The cause is seen in the logs", owner="lena", **by(lena, 301)
    )
    update = Event.objects.get(kind="incident.updated").seq
    edit_row(seq=update, included=False, **by(lena, 302))
    submit_report(**by(lena, 310))
    publish_report(**by(ida, 1400))
    incident.refresh_from_db()
    return incident


def _roll_back(incident: Incident, by: Callable[[Actor, int], dict[str, Any]], ida: Actor) -> None:
    """Asked for by a program, so that a person approves it; what its steps do is no part of a report."""
    program = Actor(
        ActorKind.TOKEN, "ida (token ci)", ida.level, user_id=ida.user_id, token_id="0123456789ab"
    )
    rollback = request_rollback(
        service="shop",
        target_version="4.1.9",
        reason="Errors since 4.2.0",
        **by(ida, 12) | {"actor": program},
    )
    said = by(ida, 14)
    approve_rollback(rollback_id=rollback.pk, reason="The logs say so", actor=said["actor"], now=said["now"])
    rollback.refresh_from_db()
    at = BEGAN + 15 * MINUTE
    move_rollback(rollback, RollbackState.VALIDATING, started_at=at)
    begun = {"trigger": rollback.trigger, "from": rollback.from_version, "target": rollback.target_version}
    record_on_rollback(
        rollback, "rollback.started", "4.2.0 → 4.1.9 of Shop started", actor=SYSTEM, now=at, data=begun
    )
    move_rollback(rollback, RollbackState.EXECUTING)
    for minutes, phase, name in (
        (16, "validate", "Look at the target"),
        (19, "execute", "Switch the version"),
    ):
        record_on_rollback(
            rollback,
            "rollback.step_succeeded",
            f"{name}: done",
            actor=SYSTEM,
            now=BEGAN + minutes * MINUTE,
            data={"phase": phase},
        )
    move_rollback(rollback, RollbackState.VERIFYING)
    said_at_the_end = "Shop is back on 4.1.9, verified, after 780 s"
    end_rollback(rollback, RollbackState.SUCCEEDED, said_at_the_end, actor=SYSTEM, now=BEGAN + 28 * MINUTE)


def test_the_recorded_incident_gives_exactly_this_report(incident: Incident) -> None:
    said = markdown_of(incident)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(said)
    assert said == GOLDEN.read_text()
    kept = PublishedReport.objects.get()
    assert kept.markdown == said
    assert Event.objects.get(kind="report.published").data["sha256"] == kept.sha256
    call_command("verify_timeline", incident.ref)
    assert close_incident(incident_id=incident.pk, actor=SYSTEM, now=BEGAN + 1500 * MINUTE).status == "closed"


def test_its_pdf_says_the_same_in_the_same_order(incident: Incident) -> None:
    file = pdf_of(incident)
    if folder := os.environ.get("KEEP_PDF"):  # to be looked at
        (Path(folder) / "report.pdf").write_bytes(file)
    document = pypdfium2.PdfDocument(file)
    text = " ".join(page.get_textpage().get_text_range() for page in document)
    found = re.sub(r"[\u200b\ufffe\s]", "", text)
    headings = re.findall(r"^#{2,3} (.+)$", GOLDEN.read_text(), re.MULTILINE)
    assert len(headings) == 18, headings
    place = 0
    for said in (*headings[:2], "Thecauseisseeninthelogs", *headings[2:]):
        place = found.find("".join(said.split()), place)
        assert place >= 0, said
    for said in ("[thechange]", "```", "**"):
        assert said not in found
    assert "<script>" in found and "ALTERTABLEordersRENAMECOLUMNpaidTOsettled;" in found
    assert "Published2025-03-0122:07:00UTCbyida" in found
    assert len(document) == 2
    report = Report.objects.get()
    assert (report.state, report.revision, report.published_by) == ("published", 1, "ida")
