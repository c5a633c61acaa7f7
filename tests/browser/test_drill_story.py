"""A drill in a real Chromium: planned and begun by a commander, answered as in earnest, scored, and on the board."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from comms.models import Contact, Delivery, Message, PublicIncident
from comms.models.contacts import ContactKind
from core.clock import utcnow
from core.models import User
from core.outbox import deliver_pending
from incidents.models import Incident, Service
from rollbacks.models import Drill, Rollback
from rollbacks.services.drill_sweep import look_after_drills
from tests.browser.chromium import needs_chromium
from tests.browser.conftest import Visitors
from tests.browser.test_commander import COUNT, Way, visitors
from tests.rollbacks.conftest import own_folders, workshop
from tests.rollbacks.workshop import Workshop, run

__all__ = ["own_folders", "visitors", "workshop"]  # fixtures
pytestmark = [
    pytest.mark.faults,
    pytest.mark.browser,
    needs_chromium,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def people(shop: Service, make_user: Callable[..., User]) -> dict[str, User]:
    """Ida commands, Lena takes part; the rest of the company must hear nothing of it."""
    found = {
        "ida": make_user("ida", "commander", "incident_commander", "technical_lead"),
        "lena": make_user("lena", "responder"),
    }
    Service.objects.filter(pk=shop.pk).update(public_name="Checkout")
    reach = {"phone": "+49300000000", "kind": ContactKind.TEAM}
    for name, user in found.items():
        Contact.objects.create(name=name, user=user, email=f"{name}@example.test", **reach)
    Contact.objects.create(
        name="company",
        email="all@example.test",
        audiences=["everyone", "management", "technical_team"],
        **reach,
    )
    return found


def pass_time(seconds: int = 0) -> None:
    """What the workers do, as if so much time had passed."""
    at = utcnow() + dt.timedelta(seconds=seconds)
    look_after_drills(now=at)
    deliver_pending(now=utcnow())


def plan(page: Page) -> Drill:
    page.goto("/drills/")
    expect(page.locator("section[aria-label=Readiness]")).to_contain_text("Never rehearsed")
    page.click("#plan-drill")
    form = page.locator("dialog#dialog[open] form")
    form.get_by_label("Scenario").select_option("bad_release")
    form.locator("services-field input[type=text]").fill("shop")
    form.get_by_label("Who takes part?").fill("ida, nobody")
    form.get_by_role("button", name="Plan it").click()
    expect(form).to_contain_text("No such account: nobody.")
    form.get_by_label("Who takes part?").fill("ida, lena")
    form.get_by_role("button", name="Plan it").click()
    page.wait_for_url("**/drills/*/")
    return Drill.objects.get()


def test_a_drill_from_its_plan_to_the_board(
    visitors: Visitors, workshop: Workshop, people: dict[str, User], now: dt.datetime
) -> None:
    ida, lena = visitors.somebody(people["ida"]), visitors.on_a_phone(people["lena"])
    ida.add_init_script(COUNT)
    drill = plan(ida)
    deliver_pending(now=utcnow())
    lena.goto(f"/drills/{drill.pk}/")
    expect(lena.locator("#live-state")).to_have_text("Live")
    expect(lena.locator(".why")).to_contain_text("Needs the account level")
    other = visitors.somebody(people["lena"])
    other.goto("/drills/")
    expect(other.locator("#live-state")).to_have_text("Live")

    ida.get_by_role("link", name="Start now…").click()
    dialog = ida.locator("dialog#dialog[open]")
    expect(dialog).to_contain_text("Who takes part: ida, lena. They get e-mail alone.")
    dialog.get_by_role("button", name="Start now").click()
    expect(ida.locator("#panel-header")).to_contain_text("Running")
    expect(lena.locator("#panel-header")).to_contain_text("Running")  # who had the page open sees it begin
    expect(other.locator("#panel-coming")).to_contain_text("Running")
    drill.refresh_from_db()
    incident = Incident.objects.get()
    assert (incident.drill, drill.incident) == (True, incident)

    ida.locator("#panel-header").get_by_role("link", name=incident.ref).click()
    ida.wait_for_url(f"**/incidents/{incident.ref}/")
    expect(ida.locator(".ribbon").first).to_contain_text("DRILL")
    expect(ida.locator("#live-state")).to_have_text("Live")
    pass_time(65)
    expect(ida.locator(".timeline")).to_contain_text("Error rate 8.3 % (critical above 5 %)")
    expect(lena.locator("#panel-injects")).to_contain_text("Error rate 8.3 %")
    way = Way(ida)
    way.do("action-acknowledge")
    expect(lena.locator("#panel-card tr", has_text="Acknowledged")).to_contain_text("In time")
    way.do("check-criteria", "Check the criteria", criteria="data_corruption")
    way.do("action-roll_back", "Roll back now", reason="2.0.0 is to blame")
    rollback = Rollback.objects.get()
    assert (rollback.drill, rollback.state) == (True, "approved"), "of a P0 the commander decides alone"
    assert run(rollback).state == "succeeded"
    assert not {"switch_version", "update_config", "restart_services"} & set(workshop.ran)
    expect(ida.locator("section[aria-label=Rollback]")).to_contain_text("Succeeded")
    way.do("action-resolve", "Resolve", resolution="Rolled back")
    pass_time()
    expect(lena.locator("#panel-header")).to_contain_text("Finished")
    expect(lena.locator("#panel-card")).to_contain_text("Passed")
    expect(lena.locator("#panel-card .badge", has_text="In time")).to_have_count(5)
    expect(lena.locator("#panel-card")).to_contain_text("0 steps failed")
    assert not lena.evaluate("document.documentElement.scrollWidth > innerWidth")

    expect(other.locator("#panel-past")).to_contain_text("Passed")
    row = other.locator("section[aria-label=Readiness] tbody tr", has_text="Shop")
    expect(row).to_contain_text("Rehearsed today")  # nobody loaded the page again
    lena.get_by_role("link", name="Write the debrief…").click()
    debrief = lena.locator("dialog#dialog[open] form")
    debrief.get_by_label("What did you learn?").fill("The criteria took us longest.")
    debrief.get_by_role("button", name="Keep it").click()
    expect(lena.locator("#panel-debrief")).to_contain_text("The criteria took us longest.")
    nothing_real_left(incident)


def nothing_real_left(incident: Incident) -> None:
    """Who takes part was told by e-mail, marked; no telephone rang, and nobody else heard of it."""
    messages = Message.objects.all()
    assert messages.exists()
    assert all("DRILL" in message.subject for message in messages.filter(incident=incident))
    deliveries = Delivery.objects.all()
    told = set(deliveries.filter(contact__isnull=False).values_list("contact__name", flat=True))
    assert told == {"ida", "lena"}
    assert set(deliveries.filter(contact__isnull=False).values_list("lane", flat=True)) == {"email"}
    assert not deliveries.filter(urgent=True).exists()
    assert not deliveries.filter(recipient__in=["+49300000000", "all@example.test"]).exists()
    assert not messages.filter(visibility="external").exists()
    assert not PublicIncident.objects.exists()
