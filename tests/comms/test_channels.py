"""Every way out over real sockets: what is sent, what an answer means, how long it takes, and injection."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from comms.channels import CHANNELS, apprise, email, slack, twilio
from comms.facts import NotSent, Outgoing, Sent
from comms.rules.forms import as_blocks, as_html, defused, septets
from comms.rules.numbers import e164
from tests.sink import Recorded, Sink

TOKEN = "xoxb-1234567890-canarycanary"
ACCOUNT = "AC" + "0123456789abcdef" * 2
AUTH = "canary0123456789canary0123456789"
SID = "SM" + "0123456789abcdef" * 2
HOSTILE = "<!channel> <https://evil.test|Login> @everyone [x](https://evil.test) </Say><Dial>+1900</Dial><b>&\r\nBcc: all@evil.test"

SLACK_OK = (
    200,
    {"Content-Type": "application/json"},
    b'{"ok": true, "ts": "1700000000.000100", "channel": "C1"}',
)
TWILIO_OK = (201, {"Content-Type": "application/json"}, json.dumps({"sid": SID, "status": "queued"}).encode())


def outgoing(**changed: Any) -> Outgoing:
    title = changed.pop("title", "Checkout fails")
    body = f"INCIDENT ALERT - P1 High\n\nIncident ID: INC-1\n\nDescription:\n{title}\n"
    made: dict[str, Any] = {
        "key": "msg_1_abc",
        "recipient": "+49 (0)30 1234567",
        "subject": f"INCIDENT ALERT - {title}",
        "body": body,
        "html": as_html(body),
        "blocks": as_blocks(body),
        "short": f"P1 {title}",
        "event_kind": "incident.declared",
        "occurred_at": "2026-11-20T10:00:00Z",
        "incident": "INC-1",
        "rollback": "",
    }
    return Outgoing(**(made | changed))


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    with Sink() as sink:
        settings.SLACK_API_URL = f"{sink.url}/api/"
        settings.TWILIO_API_URL = sink.url
        yield sink


def by_slack(sink: Sink, **changed: Any) -> Sent:
    channel = slack.SlackChannel(kind="slack", room="#incident-response")
    return slack.send_to_room(outgoing(**changed), channel, slack.SlackConnection(token=TOKEN))


def by_slack_direct(sink: Sink, **changed: Any) -> Sent:
    channel = slack.SlackDirectChannel(kind="slack_direct")
    message = outgoing(**({"recipient": "U012AB3CD"} | changed))
    return slack.send_to_person(message, channel, slack.SlackConnection(token=TOKEN))


def account() -> twilio.TwilioConnection:
    return twilio.TwilioConnection(account=ACCOUNT, token=AUTH, sender="+15550001111")


def by_sms(sink: Sink, **changed: Any) -> Sent:
    return twilio.send_sms(outgoing(**changed), twilio.SmsChannel(kind="sms"), account())


def by_voice(sink: Sink, **changed: Any) -> Sent:
    return twilio.send_call(outgoing(**changed), twilio.VoiceChannel(kind="voice"), account())


def by_apprise(sink: Sink, **changed: Any) -> Sent:
    connection = apprise.AppriseConnection(url=f"json://{sink.host}:{sink.port}/canary-in-the-path")
    return apprise.send(
        outgoing(**changed), apprise.AppriseChannel(kind="apprise", connection="x"), connection
    )


WAYS: dict[str, Callable[..., Sent]] = {
    "slack": by_slack,
    "slack_direct": by_slack_direct,
    "sms": by_sms,
    "voice": by_voice,
    "apprise": by_apprise,
}
ANSWERS = {"slack": SLACK_OK, "slack_direct": SLACK_OK, "sms": TWILIO_OK, "voice": TWILIO_OK}
EVERY = pytest.mark.parametrize("way", WAYS)


def send(way: str, sink: Sink, **changed: Any) -> Sent:
    sink.answer = ANSWERS.get(way, sink.answer)
    return WAYS[way](sink, **changed)


# --- what is sent ------------------------------------------------------------------------------------


def test_a_room_of_slack_gets_blocks_and_an_escaped_fallback(sink: Sink) -> None:
    sent = send("slack", sink, title=HOSTILE)
    assert sent.receipt == "ts 1700000000.000100"
    (request,) = sink.requests
    assert (request.method, request.path) == ("POST", "/api/chat.postMessage")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    said = body_of(request)
    assert said["channel"] == "#incident-response"
    assert "<" not in said["text"]
    assert "&lt;!channel&gt; &lt;https://evil.test|Login&gt;" in said["text"]
    assert "link_names" not in said or said["link_names"] in (False, "0", "false")
    assert said["unfurl_links"] in (False, "0") and said["unfurl_media"] in (False, "0")
    blocks = said["blocks"] if isinstance(said["blocks"], list) else json.loads(said["blocks"])
    kinds = {text["type"] for block in blocks for text in texts_of(block)}
    assert kinds == {"plain_text"}


def texts_of(block: dict[str, Any]) -> list[dict[str, Any]]:
    found = [block["text"]] if "text" in block else []
    more: list[dict[str, Any]] = block.get("fields", [])
    return found + more + [element["text"] for element in block.get("elements", [])]


def body_of(request: Recorded) -> dict[str, Any]:
    if request.headers["content-type"].startswith("application/json"):
        return dict(json.loads(request.body))
    return dict(request.form)


def test_a_person_gets_a_direct_message(sink: Sink) -> None:
    send("slack_direct", sink)
    assert body_of(sink.requests[0])["channel"] == "U012AB3CD"
    with pytest.raises(NotSent, match="chat ID") as refused:
        send("slack_direct", sink, recipient="ida@example.test")
    assert not refused.value.retry
    assert len(sink.requests) == 1


def test_an_sms_is_one_of_160_with_its_link(sink: Sink) -> None:
    sent = send("sms", sink, title=HOSTILE * 3, link="https://fb.test/a/1234567890")
    assert sent.receipt == SID
    (request,) = sink.requests
    assert request.path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert request.headers["authorization"].startswith("Basic ")
    assert request.form["To"] == "+49301234567"
    assert request.form["From"] == "+15550001111"
    assert request.form["Body"].endswith(" https://fb.test/a/1234567890")
    assert septets(request.form["Body"]) <= 160
    assert "\n" not in request.form["Body"]


def test_a_call_says_it_twice_and_nothing_else(sink: Sink) -> None:
    assert send("voice", sink, title=HOSTILE).receipt == SID
    (request,) = sink.requests
    assert request.path == f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    spoken = ElementTree.fromstring(request.form["Twiml"])
    assert [child.tag for child in spoken] == ["Say", "Pause", "Say"]
    assert spoken[0].text == spoken[2].text
    assert "</Say><Dial>+1900</Dial>" in (spoken[0].text or "")


@given(st.text(max_size=500))
def test_every_text_is_well_formed_for_the_voice(text: str) -> None:
    made = ElementTree.fromstring(twilio.twiml(text))
    assert [child.tag for child in made] == ["Say", "Pause", "Say"]
    assert len(made[0].text or "") <= twilio.SPOKEN_LENGTH


def test_a_target_of_apprise_gets_one_message_that_calls_nobody(sink: Sink) -> None:
    assert "HTTP 200" in send("apprise", sink, title=HOSTILE).receipt
    (request,) = sink.requests
    said = json.loads(request.body)
    assert "@everyone" not in said["title"] + said["message"]
    assert "](" not in said["title"] + said["message"]
    assert "everyone" in said["title"]


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+49 (0)30 1234-567", "+49301234567"),
        ("0049 30 1234567", "+49301234567"),
        ("+1 (555) 010-9999", "+15550109999"),
        ("030 1234567", None),
        ("110", None),
        ("+0123456789", None),
        ("+1234567890123456", None),
        ("+49٣٠١٢٣٤٥٦", None),
        ("", None),
    ],
)
def test_numbers_as_a_network_takes_them(written: str, number: str | None) -> None:
    assert e164(written) == number


@pytest.mark.parametrize("way", ["sms", "voice"])
def test_a_number_without_its_country_is_final(sink: Sink, way: str) -> None:
    with pytest.raises(NotSent, match="country") as refused:
        send(way, sink, recipient="030 1234567")
    assert not refused.value.retry
    assert sink.requests == []


# --- what an answer means --------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize(
    ("mode", "retry", "after"),
    [("500", True, None), ("503", True, None), ("429", True, 7.0), ("403", False, None), ("reset", True, None), ("garbage", True, None)],
)  # fmt: skip
def test_what_goes_wrong_is_tried_again_or_not(
    sink: Sink, way: str, mode: str, retry: bool, after: float | None
) -> None:
    sink.mode = mode
    with pytest.raises(NotSent) as refused:
        send(way, sink)
    assert (refused.value.retry, refused.value.retry_after) == (retry, after), refused.value.reason
    assert len(sink.requests) == 1, "nothing is tried again behind our back"
    says_no_secret(refused.value)


def says_no_secret(error: BaseException) -> None:
    text = repr(error) + str(error) + repr(error.__cause__)
    assert "canary" not in text
    assert ACCOUNT not in text


@EVERY
def test_a_redirect_is_not_followed(sink: Sink, way: str) -> None:
    with Sink() as other:
        sink.mode, sink.redirect_to = "redirect", f"{other.url}/inside"
        with pytest.raises(NotSent) as refused:
            send(way, sink)
        assert not refused.value.retry
        assert (len(sink.requests), other.requests) == (1, [])


@EVERY
def test_a_private_address_is_not_reached_without_the_setting(sink: Sink, settings: Any, way: str) -> None:
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    with pytest.raises(NotSent, match="not allowed"):
        send(way, sink)
    assert sink.requests == []


@EVERY
def test_the_environments_proxies_are_not_asked(
    sink: Sink, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sink() as proxy:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert os.environ["http_proxy"] == proxy.url
        send(way, sink)
        assert (len(sink.requests), proxy.requests) == (1, [])


@EVERY
@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_nothing_lasts_longer_than_the_deadline(
    sink: Sink, way: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code with a deadline of one second instead of ten."""
    sink.mode = mode
    for module in (slack, twilio, apprise):
        assert module.DEADLINE_SECONDS == 10.0
        monkeypatch.setattr(module, "DEADLINE_SECONDS", 1.0)
    if way == "apprise":
        send_first(sink)  # the library itself takes its time once a process
    began = time.monotonic()
    with pytest.raises(NotSent) as refused:
        send(way, sink)
    assert time.monotonic() - began < 2.5
    assert refused.value.retry, refused.value.reason


def send_first(sink: Sink) -> None:
    mode, sink.mode = sink.mode, "ok"
    send("apprise", sink)
    sink.mode = mode


@pytest.mark.parametrize(
    ("code", "retry", "said"),
    [
        ("invalid_auth", False, "does not accept the token"),
        ("channel_not_found", False, "knows no such room"),
        ("not_in_channel", False, "invite"),
        ("some_new_error", False, "some_new_error"),
        ("ratelimited", True, "no more messages"),
        ("internal_error", True, "internal_error"),
        ("<b>canary</b>", True, "makes no sense"),
    ],
)
def test_slacks_errors_in_words(sink: Sink, code: str, retry: bool, said: str) -> None:
    sink.answer = (
        200,
        {"Content-Type": "application/json"},
        json.dumps({"ok": False, "error": code}).encode(),
    )
    with pytest.raises(NotSent, match=said) as refused:
        by_slack(sink)
    assert refused.value.retry == retry
    says_no_secret(refused.value)


@pytest.mark.parametrize(
    ("status", "code", "retry", "said"),
    [
        (401, 20003, False, "does not accept the account"),
        (400, 21211, False, "no telephone number"),
        (400, 21610, False, "STOP"),
        (400, 99999, False, "error 99999"),
        (429, 20429, True, "20429"),
        (400, "canary", False, "answered 400"),
    ],
)
def test_twilios_errors_in_words(sink: Sink, status: int, code: object, retry: bool, said: str) -> None:
    sink.answer = (status, {}, json.dumps({"code": code, "message": "canary", "status": status}).encode())
    with pytest.raises(NotSent, match=said) as refused:
        by_sms(sink)
    assert refused.value.retry == retry
    says_no_secret(refused.value)


# --- connections ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "exec://ls", "file:///etc/passwd", "dbus://", "syslog://", "windows://", "macosx://", "glib://", "gnome://",
        "https://discord.com/api/webhooks/1/2", "mailto://u:p@mail.test", "smpp://u:p@h", "mqtt://h", "rsyslog://h",
        "json://h\nx", " json://h", "json:// h", "json", "discord://x", "",
    ],
)  # fmt: skip
def test_what_apprise_may_not_do_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        apprise.AppriseConnection(url=url)
    assert "input_value" not in str(refused.value)


@pytest.mark.parametrize("scheme", sorted(apprise.SCHEMES))
def test_every_scheme_of_apprise_speaks_by_our_requests_alone(scheme: str) -> None:
    """A plugin that opened sockets in another way would have neither deadline nor proxies off."""
    import apprise as library

    manager: Any = library.manager_plugins.NotificationManager
    plugin = manager()[scheme]
    source = open(__import__("sys").modules[plugin.__module__].__file__).read()  # noqa: SIM115
    for word in (
        "import socket",
        "import subprocess",
        "requests.Session",
        "smtplib",
        "from requests import",
        "urlopen",
    ):
        assert word not in source, word


@pytest.mark.parametrize("token", ["xoxb-1\r\nX: 1" + "0" * 20, "password", "xoxb-" + "ü" * 20])
def test_a_token_that_could_break_a_header_is_refused(token: str) -> None:
    with pytest.raises(ValidationError) as refused:
        slack.SlackConnection(token=token)
    assert token not in str(refused.value)


def test_settings_show_their_secrets_only_for_sealing() -> None:
    for made in (account(), slack.SlackConnection(token=TOKEN)):
        assert "canary" not in repr(made) + str(made) + made.model_dump_json() + repr(made.model_dump())
        assert "canary" in made.model_dump_json(context={"secrets": True})


def test_every_kind_with_a_connection_is_proved_here() -> None:
    needing = {name for name, kind in CHANNELS.items() if kind.connection is not None}
    assert needing == set(WAYS)


@given(st.text(max_size=200))
def test_nothing_defused_calls_anybody(text: str) -> None:
    said = defused(text)
    assert said.replace("\u200b", "") == text.replace("\u200b", "")
    assert all(said[at + 1 : at + 2] == "\u200b" for at, letter in enumerate(said) if letter == "@")


# --- e-mail ------------------------------------------------------------------------------------------------


def by_mail(**changed: Any) -> Sent:
    return email.send(
        outgoing(**({"recipient": "ida@example.test"} | changed)), email.EmailChannel(kind="email"), None
    )


def test_the_mail_server_is_the_operators_own(settings: Any) -> None:
    """EMAIL_URL names it, so that it may be a private one; nothing listens there any more."""
    settings.OUTBOUND_ALLOWED_NETWORKS = []
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with socket.create_server(("127.0.0.1", 0)) as gone:
        settings.EMAIL_HOST, settings.EMAIL_PORT = gone.getsockname()
    with pytest.raises(NotSent, match="refused") as refused:
        by_mail()
    assert refused.value.retry
    assert "not allowed" not in refused.value.reason


def test_a_mail_server_that_drips_is_cut_off(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    monkeypatch.setattr("comms.smtp.DEADLINE_SECONDS", 1.0)
    with Sink() as sink:  # no mail server: it waits for a request line that never ends, as a tarpit does
        settings.EMAIL_HOST, settings.EMAIL_PORT = sink.host, sink.port
        began = time.monotonic()
        with pytest.raises(NotSent, match="within 1 s"):
            by_mail()
    assert time.monotonic() - began < 2.5
