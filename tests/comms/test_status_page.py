"""What everybody reads: public words alone, the same on disk and by Django, at the same cost for ever."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.core import mail
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext

import comms.urls
from comms.deliveries import send_due_deliveries
from comms.models import (
    Component,
    ComponentDay,
    Contact,
    Delivery,
    Message,
    PublicIncident,
    PublicUpdate,
    StatusSnapshot,
    Subscriber,
)
from comms.publishing import snapshot as module
from comms.publishing.files import NAMES
from comms.publishing.snapshot import write_due_snapshot, write_snapshot
from comms.selectors.operation import unwritten_status_page
from comms.selectors.status_page import get_status_page
from comms.selectors.subscribers import CONFIRM, confirm_url, key_of, unsubscribe_url
from comms.services.components import ensure_components, set_component_state
from comms.services.external import approve_message, draft_message
from comms.subscriptions import send_confirmations
from core.actors import Actor
from core.models import Stream, User
from core.ratelimits import BUDGETS
from incidents.models import Incident, Service
from incidents.services.incidents import declare_incident
from incidents.services.quiet import create_window
from tests.browser.stored_texts import text_columns, write_payloads
from tests.browser.test_stored_scripts import ada, full
from tests.comms.outside import Outside, make_outside, subscribe
from tests.comms.statuspage_shapes import SHAPES
from tests.pages.conftest import Afternoon, afternoon
from tests.signing_in import sign_in

__all__ = ["ada", "afternoon", "full"]
CANARY = "CaNaRy"
ATOM = {"a": "http://www.w3.org/2005/Atom"}
ADDRESSES = (
    "/status/", "/status/history/", "/status/subscribe/", "/status/confirm/x/", "/status/unsubscribe/x/",
    "/status/nothing/", "/status/history/?last=nonsense", *(f"/status/{name}" for name in NAMES[1:]),
)  # fmt: skip


@pytest.fixture
def outside(shop: Service, commander: Actor, now: dt.datetime) -> Outside:
    return make_outside(shop, commander, now)


@pytest.fixture
def said(outside: Outside, commander: Actor, now: dt.datetime) -> Outside:
    """An incident of which users have been told once."""
    say(outside, commander, now, title="Checkout is <slow> & sad", update_text="We look into it.")
    return outside


@pytest.fixture
def var_dir(settings: Any, tmp_path: Path) -> Path:
    settings.VAR_DIR = settings.STATUS_PAGE_DIR = tmp_path
    return tmp_path


def say(outside: Outside, actor: Actor, now: dt.datetime, **fields: Any) -> Message:
    asked = {"template": "external_update", **fields}
    message = draft_message(incident_id=outside.incident.pk, actor=actor, now=now, **asked)
    return approve_message(message_id=message.pk, actor=actor, now=now)


def read(client: Client, name: str) -> Any:
    answer = client.get(f"/status/api/v2/{name}.json")
    assert answer.status_code == 200
    return answer.json()


# --- the page ---------------------------------------------------------------------------------------


def test_the_page_says_how_it_is_what_is_open_and_what_was(said: Outside, client: Client) -> None:
    page = client.get("/status/").content.decode()
    assert "Major Service Outage" in page
    assert "Checkout is &lt;slow&gt; &amp; sad" in page
    assert "We look into it." in page
    assert page.count("No incidents.") == 6, "one of seven days has one"
    assert "<script" not in page


def test_a_draft_is_nobodys_yet(outside: Outside, commander: Actor, client: Client, now: dt.datetime) -> None:
    draft_message(
        incident_id=outside.incident.pk, template="maintenance", title="Not yet", actor=commander, now=now
    )
    for address in ADDRESSES:
        assert "Not yet" not in client.get(address).content.decode()
    assert read(client, "status")["status"]["indicator"] == "none"


def test_planned_maintenance_shows_without_its_reason(
    outside: Outside, commander: Actor, client: Client, now: dt.datetime
) -> None:
    end = now + dt.timedelta(hours=2)
    create_window(services=["shop"], reason=f"{CANARY} reason", ends_at=end, actor=commander, now=now)
    later = now + dt.timedelta(days=2)
    create_window(
        services=["shop"], reason=CANARY, starts_at=later, ends_at=later + dt.timedelta(hours=1), actor=commander,
        now=now,
    )  # fmt: skip
    summary = read(client, "summary")
    assert [one["status"] for one in summary["scheduled_maintenances"]] == ["in_progress", "scheduled"]
    assert summary["components"][0]["status"] == "under_maintenance"
    assert summary["status"] == {"indicator": "maintenance", "description": "Service Under Maintenance"}
    assert Component.objects.get().state == "operational", "only shown: nobody has to set it back"
    for address in ADDRESSES:
        assert CANARY not in client.get(address).content.decode()


def test_ninety_days_are_counted_in_minutes(outside: Outside, commander: Actor, now: dt.datetime) -> None:
    noon = dt.datetime.combine(now.date(), dt.time(12), tzinfo=dt.UTC)
    component = outside.component
    ComponentDay.objects.create(
        component=component, day=noon.date() - dt.timedelta(days=89), major_seconds=61
    )
    ComponentDay.objects.create(
        component=component, day=noon.date() - dt.timedelta(days=90), major_seconds=61
    )
    Component.objects.filter(pk=component.pk).update(counted_until=noon - dt.timedelta(days=1))
    component.refresh_from_db()
    began = noon - dt.timedelta(hours=13)
    set_component_state(
        component_id=component.pk, state="degraded_performance", reason="x", actor=commander, now=began
    )
    (line,) = get_status_page(now=noon).components
    assert len(line.days) == 90
    assert [(bar.outage_minutes, bar.degraded_minutes) for bar in line.days if bar.level != "ok"] == [
        (2, 0),
        (0, 60),
        (0, 720),
    ]
    assert line.days[-1].day == noon.date()


# --- machines ---------------------------------------------------------------------------------------


def test_the_json_is_statuspages_field_for_field(
    said: Outside, commander: Actor, client: Client, now: dt.datetime
) -> None:
    Component.objects.update(group="Shop")
    create_window(
        services=["shop"], reason="x", ends_at=now + dt.timedelta(hours=2), actor=commander, now=now
    )
    say(said, commander, now, status="monitoring")
    for name, shape in SHAPES.items():
        shape.model_validate(read(client, name))
    summary = read(client, "summary")
    group, part = summary["components"]
    assert (group["group"], group["components"], part["group_id"]) == (True, [part["id"]], group["id"])
    (incident,) = summary["incidents"]
    assert [update["status"] for update in incident["incident_updates"]] == ["monitoring", "investigating"]
    assert incident["incident_updates"][1]["affected_components"][0]["new_status"] == "major_outage"
    assert incident["monitoring_at"] is not None


def test_a_missing_field_would_be_noticed(said: Outside, client: Client) -> None:
    summary = read(client, "summary")
    del summary["incidents"][0]["shortlink"]
    with pytest.raises(ValueError, match="shortlink"):
        SHAPES["summary"].model_validate(summary)


def test_the_feed_is_atom(said: Outside, client: Client) -> None:
    Incident.objects.update(title="inside")
    PublicIncident.objects.update(title="Bad \x0b & <b>")
    answer = client.get("/status/feed.atom")
    assert answer["Content-Type"].startswith("application/atom+xml")
    feed = ET.fromstring(answer.content)
    for name in ("id", "title", "updated", "author/a:name"):
        assert feed.findtext(f"a:{name}", namespaces=ATOM)
    (entry,) = feed.findall("a:entry", ATOM)
    assert entry.findtext("a:title", namespaces=ATOM) == "Investigating: Bad \ufffd & <b>"
    assert "We look into it." in (entry.findtext("a:content", namespaces=ATOM) or "")
    dt.datetime.fromisoformat(entry.findtext("a:updated", "", ATOM))


def test_answers_may_be_kept_and_are_not_sent_twice(said: Outside, client: Client) -> None:
    for name in NAMES[1:]:
        first = client.get(f"/status/{name}")
        assert first["Cache-Control"] == "public, max-age=15"
        assert not first.cookies
        assert "Cookie" not in first.get("Vary", "")
        again = client.get(f"/status/{name}", headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert client.post("/status/").status_code == 405


def test_the_cost_does_not_grow(said: Outside, commander: Actor, client: Client, now: dt.datetime) -> None:
    def queries(name: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get(f"/status/{name}").status_code == 200
        return len(seen)

    _many(said, 10, now)
    few = {name: queries(name) for name in ("", "history/", *NAMES[1:])}
    _many(said, 990, now)
    assert {name: queries(name) for name in few} == few
    assert max(few.values()) <= 20


def _many(outside: Outside, number: int, now: dt.datetime) -> None:
    """Public incidents by the row: services would take a minute."""
    base = Incident.objects.count()
    for n in range(number):
        at = now - dt.timedelta(hours=n % 300)
        incident = Incident.objects.create(
            ref=f"INC-2020-01-01-{base + n:04}", title="x", severity="P1", source="person", declared_at=at,
            declared_by="x", started_at=at, response_due_at=at, stream=Stream.objects.create(kind="incident", name=f"many{base + n}"),
        )  # fmt: skip
        over = None if n % 2 else at
        public = PublicIncident.objects.create(
            incident=incident, title=f"Public {n}", status="resolved" if over else "investigating", impact="minor",
            started_at=at, created_at=at, updated_at=at, resolved_at=over,
        )  # fmt: skip
        public.components.add(outside.component)


# --- private fields ---------------------------------------------------------------------------------


def public_words() -> None:
    """What was written for outside is written again over the canaries that stand everywhere."""
    Service.objects.update(public_name="Checkout")
    Component.objects.update(group="Shop", description="Paying")
    PublicIncident.objects.update(title="Checkout is slow")
    PublicUpdate.objects.update(body="We look into it.")
    PublicIncident.objects.filter(Q(incident__restricted=True) | Q(incident__drill=True)).update(title=CANARY)


@pytest.mark.django_db(transaction=True)
def test_no_private_word_reaches_the_public(
    full: Afternoon, commander: Actor, client: Client, var_dir: Path, now: dt.datetime, shop: Service
) -> None:
    """Canaries in every text of every row of every table, and then all that anybody may read."""
    Service.objects.filter(pk=shop.pk).update(public_name="Checkout")
    ensure_components(now=now)
    outside = Outside(full.incident, Component.objects.get(service=shop))
    say(outside, commander, now)
    draft_message(incident_id=full.incident.pk, template="maintenance", actor=commander, now=now)
    subscribe(2, now)
    hidden = [make_hidden(kind, shop, commander, now) for kind in ("restricted", "drill")]
    create_window(
        services=["shop"], reason="x", ends_at=now + dt.timedelta(hours=1), actor=commander, now=now
    )
    filled = {model for model, _fields in text_columns() if model._default_manager.exists()}
    assert {Incident, Message, PublicUpdate, Contact, User, Service, Delivery} <= filled
    assert len(filled) > 20
    Incident.objects.update(escalated_at=now, escalated_to="x")  # the two go together
    write_payloads([CANARY], 0)
    public_words()
    answers = read_everything(client)
    write_snapshot()
    answers |= {str(p): p.read_bytes() for p in (var_dir / "status").resolve().rglob("*") if p.is_file()}
    assert len(answers) >= len(ADDRESSES) + len(NAMES) + 3
    for where, content in answers.items():
        assert CANARY.encode() not in content, where
        assert b"@example.test" not in content, where
        for ref in (full.incident.ref, full.rollback.ref, *hidden):
            assert ref.encode() not in content, where
    for where in ("/status/", "/status/feed.atom", "/status/api/v2/summary.json"):
        assert b"Checkout is slow" in answers[where], "silence would mean nothing on an empty page"


def read_everything(client: Client) -> dict[str, bytes]:
    """Every address that needs no account, as a link, a mail program and a form would ask for it."""
    answers = {address: client.get(address).content for address in ADDRESSES}
    key = Subscriber.objects.latest("pk").key
    for url in (confirm_url(key), unsubscribe_url(key)):
        path = "/" + url.split("/", 3)[3]
        answers[path] = client.get(path).content
    answers["POST subscribe"] = client.post("/status/subscribe/", {"email": "no address"}).content
    return answers


def test_every_public_address_is_read(db: None) -> None:
    """A new one below /status/ is added to ADDRESSES."""
    patterns = [str(one.pattern) for one in comms.urls.urlpatterns]
    read = {re.sub(r"/x/$", "/<str:token>/", address.partition("?")[0]) for address in ADDRESSES}
    assert {f"/{one}" for one in patterns if one.startswith("status/")} <= read


def make_hidden(kind: str, shop: Service, commander: Actor, now: dt.datetime) -> str:
    """Something that was published and then became restricted, or was a drill all along."""
    incident = declare_incident(
        actor=commander, now=now, title=f"Hidden {kind}", severity="P1", services=["shop"]
    )
    PublicIncident.objects.create(
        incident=incident, title=CANARY, status="investigating", impact="major", started_at=now,
        created_at=now, updated_at=now,
    )  # fmt: skip
    Incident.objects.filter(pk=incident.pk).update(**{kind: True})
    return incident.ref


def test_a_canary_in_a_public_field_is_found(said: Outside, client: Client) -> None:
    PublicIncident.objects.update(title=CANARY)
    assert CANARY in client.get("/status/").content.decode()


# --- the snapshot -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_change_is_on_disk_with_the_next_sweep_and_the_set_is_whole(
    outside: Outside, commander: Actor, var_dir: Path, now: dt.datetime
) -> None:
    assert write_due_snapshot(now=now) == 1, "at start"
    assert write_due_snapshot(now=now) == 0, "not due"
    first = (var_dir / "status").resolve()
    say(outside, commander, now)
    assert write_due_snapshot(now=now) == 1
    second = (var_dir / "status").resolve()
    assert first != second
    assert first.exists(), "whoever reads the old set reads on"
    assert {str(p.relative_to(second)) for p in second.rglob("*") if p.is_file()} == set(NAMES)
    for name in ("summary", "status", "components", "incidents"):
        SHAPES[name].model_validate(json.loads((second / "api/v2" / f"{name}.json").read_text()))
    assert "Major Service Outage" in (second / "index.html").read_text()
    for _turn in range(5):
        write_snapshot()
    assert len(list(var_dir.glob("status-*"))) == 2
    served = var_dir / "status" / "index.html"
    assert (served.parent.stat().st_mode & 0o777, served.stat().st_mode & 0o777) == (0o775, 0o644)


@pytest.mark.django_db(transaction=True)
def test_a_change_while_it_is_written_is_not_lost(
    outside: Outside, commander: Actor, var_dir: Path, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = module.write_snapshot

    def and_then_something_happens() -> Path:
        link = whole()
        say(outside, commander, now)
        return link

    monkeypatch.setattr(module, "write_snapshot", and_then_something_happens)
    assert write_due_snapshot(now=now) == 1
    assert "All Systems Operational" in (var_dir / "status/index.html").read_text()
    monkeypatch.setattr(module, "write_snapshot", whole)
    assert write_due_snapshot(now=now) == 1
    assert "Major Service Outage" in (var_dir / "status/index.html").read_text()


@pytest.mark.django_db(transaction=True)
def test_a_folder_nobody_may_write_leaves_the_old_page_is_said_and_tried_again(
    outside: Outside, var_dir: Path, now: dt.datetime
) -> None:
    write_due_snapshot(now=now)
    StatusSnapshot.objects.update(due_at=now)
    var_dir.chmod(0o555)
    try:
        assert write_due_snapshot(now=now) == 0
    finally:
        var_dir.chmod(0o755)
    assert "PermissionError" in StatusSnapshot.objects.get().last_error
    (trouble,) = unwritten_status_page()
    assert "PermissionError" in trouble.detail
    assert (var_dir / "status/index.html").exists()
    StatusSnapshot.objects.update(due_at=now)
    assert write_due_snapshot(now=now) == 1
    assert unwritten_status_page() == ()


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_put_in_its_place_leaves_nothing_behind(outside: Outside, var_dir: Path) -> None:
    (var_dir / "status").mkdir()  # as an installation before had it
    with pytest.raises(OSError, match="status"):
        write_snapshot()
    assert [path.name for path in var_dir.iterdir()] == ["status"]


# --- subscribing ------------------------------------------------------------------------------------


@pytest.fixture
def letters(settings: Any) -> list[Any]:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail.outbox = []
    return mail.outbox


def test_a_subscription_counts_once_its_address_is_confirmed(
    said: Outside, client: Client, letters: list[Any], now: dt.datetime
) -> None:
    first = client.post("/status/subscribe/", {"email": "Nora@Example.test"})
    assert send_confirmations(now=now) == 1
    assert letters[0].to == ["nora@example.test"]
    link = re.search(r"/status/confirm/\S+/", letters[0].body)
    assert link
    assert b"Confirm" in client.get(link[0]).content
    assert Subscriber.objects.get().confirmed_at is None, "a mail scanner follows links"
    assert b"You are subscribed" in client.post(link[0]).content
    known = client.post("/status/subscribe/", {"email": "nora@example.test"})
    assert (known.status_code, known.content) == (first.status_code, first.content)
    assert send_confirmations(now=now) == 0


def test_an_address_is_not_mailed_again_and_again(
    said: Outside, client: Client, letters: list[Any], now: dt.datetime
) -> None:
    for _turn in range(5):
        client.post("/status/subscribe/", {"email": "nora@example.test"})
        send_confirmations(now=now)
    assert len(letters) == 1


@pytest.mark.parametrize(
    "wrong", ["", "nobody", "a@b", "a@example.test\r\nBcc: x@example.test", "a\0@example.test"]
)
def test_what_is_no_address_is_said(said: Outside, client: Client, wrong: str) -> None:
    assert client.post("/status/subscribe/", {"email": wrong}).status_code in (400, 422)
    assert not Subscriber.objects.exists()


def test_links_expire_and_cannot_be_made(db: None, client: Client, now: dt.datetime) -> None:
    subscribe(1, now)
    key = Subscriber.objects.get().key
    token = confirm_url(key).split("/")[-2]
    assert key_of(token, CONFIRM) == key
    assert key_of(token, "unsubscribe") is None, "a link does what it is for"
    for forged in (key, f"{token}x", token[:-1], "x" * 500):
        assert client.post(f"/status/unsubscribe/{forged}/").status_code == 404
    assert Subscriber.objects.exists()


def test_asking_is_limited(db: None, client: Client, settings: Any) -> None:
    settings.API_RATES = settings.API_RATES | {"subscribe": 3}
    BUDGETS.forget()
    codes = [client.post("/status/subscribe/", {"email": f"u{n}@example.test"}).status_code for n in range(5)]
    BUDGETS.forget()
    assert codes[0] == 200
    assert codes[-1] == 429


@pytest.mark.django_db(transaction=True)
def test_every_mail_has_its_own_way_out(
    outside: Outside, commander: Actor, client: Client, letters: list[Any], now: dt.datetime
) -> None:
    subscribe(2, now)
    say(outside, commander, now)
    gone = Subscriber.objects.get(email="user0@example.test")
    path = "/" + unsubscribe_url(gone.key).split("/", 3)[3]
    assert b"Unsubscribe" in client.get(path).content
    assert Subscriber.objects.count() == 2
    # As a mail program does it (RFC 8058): no cookie, no token of a form.
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(path, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert strict.post(path).status_code == 200
    send_due_deliveries(now=now)
    (letter,) = letters
    assert letter.to == ["user1@example.test"]
    key = Subscriber.objects.get().key
    assert letter.extra_headers["List-Unsubscribe"].startswith("<http")
    assert key in letter.extra_headers["List-Unsubscribe"]
    assert letter.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "/status/unsubscribe/" in letter.body
    assert outside.incident.ref not in letter.body + str(letter.alternatives)
    states = dict(Delivery.objects.values_list("recipient", "state"))
    places = dict.fromkeys(("status_page", "social", "support_portal"), "sent")
    assert states == {gone.key: "superseded", key: "sent", **places}
    assert Message.objects.get(visibility="external").state == "sent"


# --- pages of those inside --------------------------------------------------------------------------


def test_the_pages_of_messages_work_and_their_cost_does_not_grow(
    said: Outside, ida: Client, commander: Actor, now: dt.datetime
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert ida.get("/messages/").status_code == 200
        return len(seen)

    few = queries()
    for _turn in range(6):
        say(said, commander, now)
    assert queries() == few
    new = f"/incidents/{said.incident.ref}/messages/new/"
    assert b"Preview" in ida.get(new).content
    form = ida.get(f"{new}?to=users&template=maintenance").content.decode()
    assert "component_" in form
    asked = {
        "to": "users",
        "template": "external_update",
        "title": "Login",
        "status": "monitoring",
        "impact": "minor",
    }
    seen = ida.post(new, asked | {"preview": "1"})
    assert b"Monitoring: Login" in seen.content
    before = Message.objects.count()
    assert seen.status_code == 200
    made = ida.post(new, asked)
    assert made.status_code == 302, made.content
    assert Message.objects.count() == before + 1
    page = ida.get(made["Location"])
    assert b"Approve" in page.content
    message = Message.objects.latest("pk")
    edit = f"/messages/{message.pk}/edit/"
    seen = ida.get(edit).context["form"]["seen"].value()
    changed = asked | {"title": "Sign-in", "body": message.body, "seen": seen}
    assert ida.post(edit, changed).status_code == 302
    assert ida.post(edit, changed | {"title": "Sign-on"}).status_code == 409, "somebody changed it meanwhile"
    message.refresh_from_db()
    assert message.body.startswith("Monitoring: Sign-in")
    gate = f"/messages/{message.pk}/approve/"
    assert b"recipient" in ida.get(gate).content
    assert ida.post(gate, {"seen": message.version}).status_code == 302
    assert PublicUpdate.objects.filter(message=message, published_at__isnull=False).exists()
    assert b"Checkout" in ida.get("/components/").content
    assert ida.get(f"/incidents/{said.incident.ref}/").status_code == 200


@pytest.fixture
def ida(commander: Actor) -> Client:
    browser = Client()
    sign_in(browser, User.objects.get(username=commander.label))
    return browser
