"""Setting channels up, by every door; what is secret is seen nowhere afterwards. And trying them."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from comms.deliveries import send_due_deliveries
from comms.models import ConnectionSettings, Contact, Delivery
from comms.selectors.channels import list_channels
from comms.selectors.connections import list_connections
from comms.services.connections import remove_connection, set_connection
from core.actors import SYSTEM, Actor
from core.errors import Invalid, NotAllowed, NotFound
from core.models import Event, User
from core.outbox import deliver_pending
from core.playbook import load, use_playbook
from core.ratelimits import BUDGETS
from incidents.services.incidents import declare_incident
from tests.signing_in import sign_in
from tests.sink import Sink

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "CaNaRy"
TOKEN = f"xoxb-1234567890-{CANARY}"
TWILIO = {
    "account": "AC" + "0123456789abcdef" * 2,
    "token": f"{CANARY}0123456789abcdef",
    "sender": "+15550001111",
}


@pytest.fixture(autouse=True)
def fresh_budgets() -> Iterator[None]:
    BUDGETS.forget()
    yield
    BUDGETS.forget()


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    with Sink() as sink:
        settings.SLACK_API_URL = f"{sink.url}/api/"
        settings.TWILIO_API_URL = sink.url
        sink.answer = (200, {"Content-Type": "application/json"}, b'{"ok": true, "ts": "1.2"}')
        yield sink


@pytest.fixture
def playbook_with(tmp_path: Path) -> Iterator[Callable[[str, str, str], None]]:
    """`playbook_with("channels.yaml", "before", "after")`: the shipped playbook with another text in it."""
    with contextlib.ExitStack() as until_the_end:

        def change(file: str, before: str, after: str) -> None:
            folder = tmp_path / "playbook"
            shutil.copytree(django_settings.PLAYBOOK_DIR, folder)
            text = (folder / file).read_text()
            assert before in text
            (folder / file).write_text(text.replace(before, after))
            until_the_end.enter_context(use_playbook(load(folder)))

        yield change


@pytest.fixture
def browser(make_user: Callable[..., User], client: Client) -> Client:
    sign_in(client, make_user("root", "administrator"))
    return client


def everything_stored() -> str:
    """Every row of every table, as text."""
    said = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            said += [row[0] for row in cursor.fetchall() if row[0]]
    return "\n".join(said)


# --- setting up ----------------------------------------------------------------------------------------------


def test_a_secret_is_seen_nowhere_after_it_was_set(
    browser: Client,
    sink: Sink,
    now: dt.datetime,
    caplog: pytest.LogCaptureFixture,
    make_user: Callable[..., User],
) -> None:
    """By the page; then it is used, well and badly, and everything that Firebreak says is searched."""
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    for name, sent in (
        ("slack", {"token": TOKEN}),
        ("twilio", TWILIO),
        ("social", {"url": f"json://{sink.host}:{sink.port}/{CANARY}"}),
        ("slack", {"token": f"{CANARY} is no token"}),  # refused, and not shown again
        ("support_portal", {"url": f"exec://{CANARY}"}),
    ):
        answer = browser.post(f"/channels/connections/{name}/set/", sent)
        assert answer.status_code in (302, 422), answer.content
        seen.append(answer.content.decode())
    assert {row.name for row in ConnectionSettings.objects.all()} == {"slack", "twilio", "social"}
    Contact.objects.create(
        name="Root", phone="+49301234567", chat="U012AB3CD", user=User.objects.get(username="root")
    )
    for mode in ("ok", "403", "500", "reset", "garbage"):
        sink.mode = mode
        for key in ("incident_response", "chat", "sms", "voice", "social"):
            BUDGETS.forget()
            connection.cursor().execute("DELETE FROM core_ratebudget")
            seen.append(browser.post(f"/channels/{key}/test/").content.decode())
    assert len(sink.requests) == 25
    assert any(CANARY in request.path or CANARY in str(request.headers) for request in sink.requests)
    for address in (
        "/channels/",
        "/changes/",
        "/system/",
        "/contacts/",
        "/channels/connections/slack/set/",
        "/api/v1/channels/",
    ):
        answer = browser.get(address)
        assert answer.status_code == 200
        seen.append(answer.content.decode())
    shown = io.StringIO()
    call_command("connection", "list", stdout=shown)
    seen.append(shown.getvalue())
    assert CANARY not in "\n".join(seen)
    assert CANARY not in everything_stored()
    assert CANARY not in caplog.text
    sealed = ConnectionSettings.objects.get(name="slack").sealed
    assert "xoxb" not in sealed


def test_the_history_says_who_set_what_up(browser: Client) -> None:
    browser.post("/channels/connections/slack/set/", {"token": TOKEN})
    browser.post("/channels/connections/slack/remove/")
    kinds = list(Event.objects.order_by("pk").values_list("kind", "actor"))
    assert kinds == [("connection.changed", "root"), ("connection.removed", "root")]
    page = browser.get("/changes/?thing=Connection").content.decode()
    assert page.count("slack") >= 2
    assert "root" in page


def test_only_administrators_set_up(make_actor: Callable[..., Actor], now: dt.datetime) -> None:
    commander = make_actor("ida", "commander")
    with pytest.raises(NotAllowed):
        set_connection(name="slack", settings={"token": TOKEN}, actor=commander, now=now)
    with pytest.raises(NotAllowed):
        remove_connection(name="slack", actor=commander, now=now)
    assert not ConnectionSettings.objects.exists()


@pytest.mark.parametrize(
    ("name", "given", "fields"),
    [
        ("slack", {}, {"token"}),
        ("slack", {"token": ""}, {"token"}),
        ("slack", {"token": TOKEN, "url": "https://evil.test"}, {"url"}),
        ("slack", {"token": None}, {"token"}),
        ("slack", {"token": [TOKEN]}, {"token"}),
        ("twilio", TWILIO | {"sender": "555"}, {"sender"}),
        ("twilio", TWILIO | {"account": "../x"}, {"account"}),
        ("social", {"url": "exec://ls"}, {"url"}),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_is_stored(
    now: dt.datetime, name: str, given: dict[str, Any], fields: set[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        set_connection(name=name, settings=given, actor=SYSTEM, now=now)
    assert set(refused.value.fields) == fields
    assert CANARY not in str(refused.value)
    assert not ConnectionSettings.objects.exists()


def test_a_name_that_no_channel_has_is_refused(now: dt.datetime) -> None:
    with pytest.raises(NotFound):
        set_connection(name="nobody", settings={}, actor=SYSTEM, now=now)


def test_by_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: str, given: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        said = io.StringIO()
        call_command("connection", *words, stdout=said)
        return said.getvalue()

    assert run("set", "slack", given=json.dumps({"token": TOKEN})) == "slack is set up\n"
    assert "slack  Slack  incident_response,dev_alerts,security_alerts,chat  set up" in run("list")
    assert [one["set_up"] for one in json.loads(run("list", "--json"))] == [True, False, False, False]
    assert run("remove", "slack") == "slack is not set up\n"
    for given in ("", "[]", "{", '{"token": 1}', '{"token": "' + CANARY + '"}'):
        with pytest.raises(CommandError) as refused:
            run("set", "slack", given=given)
        assert CANARY not in str(refused.value)
    with pytest.raises(CommandError, match="No channel"):
        run("set", "nobody", given="{}")


# --- the list ------------------------------------------------------------------------------------------------


def test_the_list_costs_the_same_however_many_deliveries_there_are(
    commander: Actor, now: dt.datetime, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2):
        before = list_channels()
    assert [line.key for line in before][:3] == ["incident_response", "dev_alerts", "security_alerts"]
    assert not any(line.ready for line in before if line.connection)
    for number in range(5):
        declare_incident(actor=commander, now=now, title=f"Down {number}", severity="P3")
    deliver_pending(now=now)
    send_due_deliveries(now=now)
    newest = Delivery.objects.latest("pk")
    newest.channel, newest.state, newest.last_error, newest.sent_at = "dev_alerts", "dead", "it is away", None
    newest.save()
    with django_assert_num_queries(2):
        after = {line.key: line for line in list_channels()}
    assert after["incident_response"].last_sent_at is not None
    assert after["dev_alerts"].last_error == "it is away"
    with django_assert_num_queries(1):
        assert [one.name for one in list_connections()] == ["slack", "twilio", "social", "support_portal"]


# --- trying ----------------------------------------------------------------------------------------------------


def test_a_test_says_the_receipt_or_the_reason(
    sink: Sink, client: Client, make_user: Callable[..., User], now: dt.datetime
) -> None:
    set_connection(name="slack", settings={"token": TOKEN}, actor=SYSTEM, now=now)
    sign_in(client, make_user("ida", "commander"))
    answer = client.post("/api/v1/channels/incident_response/test/", "{}", content_type="application/json")
    assert (answer.status_code, answer.json()) == (200, {"sent": True, "receipt": "ts 1.2", "reason": ""})
    sink.answer = (200, {"Content-Type": "application/json"}, b'{"ok": false, "error": "not_in_channel"}')
    answer = client.post("/api/v1/channels/dev_alerts/test/", "{}", content_type="application/json")
    assert answer.json()["sent"] is False
    assert "invite" in answer.json()["reason"]
    said = list(Event.objects.filter(kind="channel.tested").order_by("pk").values_list("data", "actor"))
    assert said == [
        ({"channel": "incident_response", "sent": True}, "ida"),
        ({"channel": "dev_alerts", "sent": False}, "ida"),
    ]


def test_a_test_of_people_goes_to_the_person_who_asks(
    sink: Sink, client: Client, make_user: Callable[..., User], now: dt.datetime
) -> None:
    set_connection(name="slack", settings={"token": TOKEN}, actor=SYSTEM, now=now)
    ida = make_user("ida", "commander")
    sign_in(client, ida)
    Contact.objects.create(name="Somebody else", chat="U0SOMEBODY")
    answer = client.post("/api/v1/channels/chat/test/", "{}", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_address")
    Contact.objects.create(name="Ida", chat="U0IDA00000", user=ida)
    assert client.post("/api/v1/channels/chat/test/", "{}", content_type="application/json").json()["sent"]
    assert b"U0IDA00000" in sink.requests[0].body
    assert len(sink.requests) == 1


def test_tests_are_few(sink: Sink, client: Client, make_user: Callable[..., User], now: dt.datetime) -> None:
    set_connection(name="slack", settings={"token": TOKEN}, actor=SYSTEM, now=now)
    sign_in(client, make_user("ida", "commander"))
    answers = [
        client.post("/api/v1/channels/dev_alerts/test/", "{}", content_type="application/json")
        for _ in range(5)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert int(answers[-1]["Retry-After"]) >= 1
    assert len(sink.requests) == 3


@pytest.mark.parametrize("level", ["viewer", "responder"])
def test_who_may_not_configure_may_not_test(
    client: Client, make_user: Callable[..., User], level: str
) -> None:
    sign_in(client, make_user("tom", level))
    assert (
        client.post("/api/v1/channels/email/test/", "{}", content_type="application/json").status_code == 403
    )
    assert client.post("/channels/email/test/").status_code == 403


def test_no_such_channel_is_404(browser: Client) -> None:
    assert (
        browser.post("/api/v1/channels/nobody/test/", "{}", content_type="application/json").status_code
        == 404
    )
    assert browser.get("/channels/nobody/test/").status_code == 404
    assert browser.get("/channels/connections/nobody/set/").status_code == 404


# --- the daily limit ---------------------------------------------------------------------------------------------


def test_after_the_daily_limit_people_are_reached_in_other_ways(
    sink: Sink, commander: Actor, now: dt.datetime, playbook_with: Callable[..., None]
) -> None:
    playbook_with("channels.yaml", "daily_limit: 500", "daily_limit: 5")
    set_connection(name="twilio", settings=TWILIO, actor=SYSTEM, now=now)
    for number in range(7):
        Contact.objects.create(
            name=f"p{number}", phone=f"+4930123456{number}", email=f"p{number}@example.test", audiences=["technical_team"],
            reach=["sms", "email"],
        )  # fmt: skip
    declare_incident(actor=commander, now=now, title="Down", severity="P1")
    deliver_pending(now=now)
    for _ in range(3):
        send_due_deliveries(now=now)
    sms = Delivery.objects.filter(channel="sms")
    assert sms.filter(state="sent").count() == 5
    assert sms.filter(state="dead", last_error__contains="daily limit of 5").count() == 2
    kinds = (
        Event.objects.filter(kind__startswith="channel.limit").order_by("pk").values_list("kind", flat=True)
    )
    assert list(kinds) == ["channel.limit_near", "channel.limit_reached"]
    assert not Delivery.objects.filter(channel="email").exclude(state="sent").exists()
