"""The public page and the way of a message to it, in a real Chromium: two people inside, users outside."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from comms.deliveries import send_due_deliveries
from comms.models import Component, ComponentDay, Delivery, Message
from comms.services.components import ensure_components
from comms.services.external import approve_message, draft_message
from core.actors import Actor
from core.clock import utcnow
from core.models import User
from incidents.models import Incident, Service
from incidents.services.incidents import declare_incident
from incidents.services.people import assign_role
from incidents.services.quiet import create_window
from tests.browser.conftest import Visitors
from tests.comms.outside import subscribe
from tests.conftest import make_service

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 320, "height": 640}
LONG = "Checkoutandeverythingaroundpaymentswithoutasinglespaceinthewholetitleofit"


@pytest.fixture
def open_incident(shop: Service, commander: Actor, now: dt.datetime) -> Incident:
    """Ida commands it; three components, of which one has had bad days; planned work; two subscribers."""
    for slug, name in (("shop", "Checkout"), ("search", LONG), ("mail", "E-mail")):
        service = shop if slug == "shop" else make_service(slug, now)
        Service.objects.filter(pk=service.pk).update(public_name=name)
    ensure_components(now=now)
    Component.objects.exclude(service=shop).update(group="Around the shop")
    for days, seconds in ((3, 1200), (4, 60), (40, 7000)):
        ComponentDay.objects.create(
            component=Component.objects.get(service=shop), day=now.date() - dt.timedelta(days=days),
            partial_seconds=seconds, degraded_seconds=seconds // 2,
        )  # fmt: skip
    later = now + dt.timedelta(days=2)
    create_window(
        services=["mail"], reason="never public", starts_at=later, ends_at=later + dt.timedelta(hours=2),
        actor=commander, now=now,
    )  # fmt: skip
    subscribe(2, now)
    incident = declare_incident(
        actor=commander, now=now, title="inside: tenant 4711", severity="P0", services=["shop"]
    )
    assign_role(incident_id=incident.pk, role="incident_commander", username="ida", actor=commander, now=now)
    return incident


def say(incident: Incident, actor: Actor, now: dt.datetime, **fields: Any) -> None:
    message = draft_message(
        incident_id=incident.pk, template="external_update", actor=actor, now=now, **fields
    )
    approve_message(message_id=message.pk, actor=actor, now=now)


def wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def axe_clean(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_the_page(
    visitors: Visitors, open_incident: Incident, commander: Actor, scheme: Any
) -> None:
    now = utcnow()
    say(
        open_incident,
        commander,
        now,
        title=f"{LONG} <b>is</b> slow",
        update_text="See https://example.test/a?b",
    )
    say(open_incident, commander, now, status="monitoring", update_text="It is better.\nWe watch it.")
    page = visitors.somebody(color_scheme=scheme, viewport=PHONE, java_script_enabled=True)
    for address in ("/status/", "/status/history/", "/status/subscribe/", "/status/confirm/nonsense/"):
        page.goto(address)
        assert not wide(page), address
        assert page.locator("script").count() == 0
        axe_clean(page)
        assert not page.context.cookies(), "nobody is recognised"
    visitors.complaints[:] = [one for one in visitors.complaints if "404" not in one]  # the nonsense link
    page.goto("/status/")
    expect(page.get_by_role("status")).to_have_text("Major Service Outage")
    expect(page.get_by_role("heading", name=f"{LONG} <b>is</b> slow")).to_be_visible()
    expect(page.get_by_text("Monitoring", exact=True).first).to_be_visible()
    page.get_by_text(re.compile("of 90 days with trouble")).first.click()
    expect(page.locator("details li", has_text="20 min outage")).to_be_visible()
    assert page.evaluate("document.styleSheets.length") == 1
    page.get_by_role("link", name="Subscribe by e-mail").click()
    page.get_by_label("E-mail address").fill("nora@example.test")
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("heading", name="Look into your mailbox")).to_be_visible()


def test_a_responder_writes_the_commander_approves_and_users_read_it(
    visitors: Visitors, open_incident: Incident, commander: Actor, make_user: Callable[..., User]
) -> None:
    user = visitors.somebody()
    user.goto("/status/")
    expect(user.get_by_role("status")).to_have_text("All Systems Operational")

    rae = visitors.somebody(make_user("rae", "responder"))
    rae.goto(f"/incidents/{open_incident.ref}/")
    rae.get_by_role("link", name="Write to users").click()
    rae.get_by_role("textbox", name="Title").fill("Checkout is slow")
    rae.get_by_label("What users should know now").fill("Orders arrive late.")
    rae.get_by_role("button", name="Preview").click()
    preview = rae.get_by_role("region", name="Preview")
    expect(preview).to_contain_text("Orders arrive late.")
    expect(preview).to_contain_text("2 recipients")
    axe_clean(rae)
    assert not Message.objects.filter(subject__contains="Checkout is slow").exists(), "nothing is stored"
    rae.get_by_role("button", name="Store the draft").click()
    expect(rae.get_by_role("heading", name="Checkout is slow")).to_be_visible()
    expect(rae.get_by_text("The incident commander approves what is said outside.")).to_be_visible()
    expect(rae.get_by_role("link", name="Approve…")).to_have_count(0)
    axe_clean(rae)

    ida = visitors.somebody(User.objects.get(username="ida"))
    ida.goto(rae.url)
    ida.get_by_role("link", name="Approve…").click()
    expect(ida.get_by_role("region", name="Preview")).to_contain_text("E-mail to subscribers as mail, 2 recipients")
    expect(ida.get_by_text("Checkout is major outage.")).to_be_visible()
    axe_clean(ida)
    ida.get_by_role("button", name="Approve and send").click()
    expect(ida.get_by_role("region", name="State")).to_contain_text("Queued")

    user.reload()
    expect(user.get_by_role("status")).to_have_text("Major Service Outage")
    expect(user.get_by_text("Orders arrive late.")).to_be_visible()
    assert "4711" not in user.content()


def test_the_outbox_shows_receipts_and_tries_again(
    visitors: Visitors, open_incident: Incident, commander: Actor, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    now = utcnow()
    say(open_incident, commander, now, title="Checkout is slow")
    send_due_deliveries(now=now)
    lost = Delivery.objects.get(channel="support_portal")
    Delivery.objects.filter(pk=lost.pk).update(state="dead", attempts=9, last_error="the portal says 500")
    Message.objects.update(state="failed")
    ida = visitors.somebody(User.objects.get(username="ida"))
    ida.goto("/messages/")
    axe_clean(ida)
    ida.get_by_role("navigation", name="State").get_by_role("link", name="Failed").click()
    ida.get_by_role("link", name="Checkout is slow").click()
    deliveries = ida.get_by_role("region", name="Deliveries")
    expect(deliveries).to_contain_text("the portal says 500")
    expect(deliveries).to_contain_text("9 attempts")
    expect(deliveries).to_contain_text("/status/")
    assert "@example.test" not in ida.content(), "nobody inside reads who subscribed"
    axe_clean(ida)
    deliveries.get_by_role("button", name="Try again").click()
    expect(ida.get_by_role("region", name="Deliveries")).not_to_contain_text("the portal says 500")
    assert Delivery.objects.get(pk=lost.pk).state in ("pending", "sent")


def test_a_commander_sets_a_component_by_hand(
    visitors: Visitors, open_incident: Incident, commander: Actor
) -> None:
    ida = visitors.somebody(User.objects.get(username="ida"), viewport=PHONE)
    ida.goto("/components/")
    assert not wide(ida)
    axe_clean(ida)
    ida.get_by_role("link", name="Set… Checkout", exact=True).click()
    dialog = ida.get_by_role("dialog")
    dialog.get_by_label("State").select_option("partial_outage")
    dialog.get_by_label("Why?").fill("seen with my own eyes")
    dialog.get_by_role("button", name="Set").click()
    expect(ida.get_by_text("Checkout is partial outage now.")).to_be_visible()
    user = visitors.somebody()
    user.goto("/status/")
    expect(user.get_by_role("status")).to_have_text("Partial System Outage")
    assert "my own eyes" not in user.content()
