"""What somebody writes into an incident's title, as the receiver of each channel reads it: text, nothing else.

By the whole path: declared, routed, rendered, sent to a real mail server and over real HTTP, taken apart there.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from django.conf import settings as django_settings
from django.test import Client

from comms.deliveries import send_due_deliveries
from comms.models import Contact, Delivery
from comms.rules.forms import septets
from comms.services.connections import set_connection
from core.actors import SYSTEM
from core.models import User
from core.outbox import deliver_pending
from incidents.models import Incident
from incidents.services.incidents import declare_incident
from tests.faults.outside import TAKEN, Mail, MailServer, body_of
from tests.signing_in import sign_in
from tests.sink import Recorded, Sink

pytestmark = pytest.mark.django_db(transaction=True)
HARMLESS = "Checkout fails"
HOSTILE = {
    "slack": "<!channel> <!here|x> <@U012AB3CD> <!subteam^S1> <https://evil.test|Log in> &lt;!channel&gt; @everyone",
    "mail header": "Down\r\nBcc: all@evil.test\r\nX-Evil: 1\r\n\r\nforged",
    "odd line ends": "Down\x0bBcc: a@evil.test\x0cTo: b@evil.test\x1cCc: c@evil.test\x85X: 1\u2028Bcc: d@evil.test\u2029x",
    "encoded word": "=?utf-8?q?=0d=0aBcc:_all@evil.test?= =?utf-8?b?DQpCY2M6IGFsbEBldmlsLnRlc3Q=?=",
    "html": "</h1><script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a><!--",
    "attributes": "https://evil.test/\"onmouseover=\"alert(1) 'style='x javascript:alert(1) [x](https://evil.test)",
    "voice": "</Say><Dial>+19005550000</Dial><Play>https://evil.test/a.mp3</Play><Say>&amp;&#x0;]]><![CDATA[",
    "template": "{{ settings.SECRET_KEY }} {% debug %} ${incident} {0.__class__} %(x)s",
    "formula": "=HYPERLINK(\"https://evil.test\";\"x\")",
    "directions": "\u202egnp.exe \u200b\ufeff\U0001f525 a\u0301",
}  # fmt: skip
HEADERS = {
    "Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted",
}  # fmt: skip


@pytest.fixture
def mail(settings: Any) -> Iterator[MailServer]:
    with MailServer() as mail:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail.port
        yield mail


@pytest.fixture
def http(settings: Any, now: dt.datetime) -> Iterator[Sink]:
    with Sink() as http:
        settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
        settings.SLACK_API_URL, settings.TWILIO_API_URL = f"{http.url}/slack/", f"{http.url}/twilio"
        http.answer = TAKEN
        account = {"account": "AC" + "0" * 32, "token": "0123456789abcdef", "sender": "+15550001111"}
        for name, plain in (("slack", {"token": "xoxb-1234567890-injection"}), ("twilio", account)):
            set_connection(name=name, settings=plain, actor=SYSTEM, now=now)
        yield http


@pytest.fixture
def people(db: None) -> None:
    """One for each way that a page takes."""
    for n, (means, address) in enumerate(
        {
            "email": {"email": "ida@example.test"},
            "sms": {"phone": "+49301234567"},
            "voice": {"phone": "+49301234568"},
            "chat": {"chat": "U012AB3CD"},
        }.items()
    ):
        Contact.objects.create(name=f"n{n}", audiences=["technical_team"], reach=[means], **address)


def tell(title: str, now: dt.datetime) -> Incident:
    """Declare an incident of this title and wherever else its words come from, and send all of it."""
    incident = declare_incident(
        actor=SYSTEM, now=now, title=title, description=title, impact=title, severity="P1"
    )
    deliver_pending(now=now)
    send_due_deliveries(now=now)
    wrong = Delivery.objects.exclude(state="sent").values_list("channel", "last_error")
    assert list(wrong) == [], "a title keeps no message from leaving"
    return incident


EVERY = pytest.mark.parametrize("title", HOSTILE.values(), ids=HOSTILE)


@EVERY
def test_what_every_receiver_reads(
    title: str, mail: MailServer, http: Sink, people: None, now: dt.datetime
) -> None:
    tell(title, now)
    (sent,) = mail.mails
    is_one_mail_to_one_person(sent)
    is_the_usual_page(sent)
    asked = http.requests
    to_slack = [request for request in asked if "/slack/" in request.path]
    assert {body_of(request)["channel"] for request in to_slack} == {"#incident-response", "U012AB3CD"}
    for request in to_slack:
        calls_nobody_in_slack(request)
    (sms,) = (request for request in asked if request.path.endswith("/Messages.json"))
    assert set(sms.form) == {"To", "From", "Body"}
    assert (sms.form["To"], septets(sms.form["Body"]) <= 160) == ("+49301234567", True)
    assert sms.form["Body"].isprintable()
    (call,) = (request for request in asked if request.path.endswith("/Calls.json"))
    assert set(call.form) == {"To", "From", "Twiml"}
    says_it_twice(call.form["Twiml"])
    assert len(asked) == 4


def is_one_mail_to_one_person(sent: Mail) -> None:
    message = sent.message
    assert sent.to == "ida@example.test"
    assert sorted(message.keys()) == sorted(HEADERS), "no header more, and none twice"
    assert message["To"] == "ida@example.test"
    assert not message.defects
    plain, page = message.iter_parts()
    assert (plain.get_content_type(), page.get_content_type()) == ("text/plain", "text/html")
    assert not plain.defects and not page.defects


class _Page(HTMLParser):
    """The tags of a page, with what each link says."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[list[str]] = []
        self.comments = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _value in attrs}
        if tag == "a":
            self.links.append([dict(attrs)["href"] or "", ""])

    def handle_data(self, data: str) -> None:
        if self.links and self.lasttag == "a" and not self.links[-1][1]:
            self.links[-1][1] = data

    def handle_comment(self, data: str) -> None:
        self.comments += 1


def is_the_usual_page(sent: Mail) -> None:
    """Its tags are those of any message; a link goes where it says, or to Firebreak."""
    page = _Page()
    page.feed(list(sent.message.iter_parts())[1].get_content())
    assert page.tags <= {"html", "head", "meta", "body", "h1", "h2", "p", "strong", "ul", "li", "a"}
    assert page.attributes <= {"lang", "charset", "name", "content", "style", "href", "rel"}
    assert page.comments == 0
    for address, said in page.links:
        assert urlsplit(address).scheme in ("http", "https")
        ours = address.startswith(f"{django_settings.PUBLIC_URL}/") and said == "Acknowledge"
        assert ours or said == address, "nobody is led elsewhere than the link says"


def calls_nobody_in_slack(request: Recorded) -> None:
    """Its fallback has no markup, its blocks are plain texts, and the only link is Firebreak's."""
    said = body_of(request)
    assert "<" not in said["text"] and ">" not in said["text"]
    assert said["parse"] == "none" and str(said["link_names"]).lower() in ("false", "0")
    blocks = said["blocks"] if isinstance(said["blocks"], list) else json.loads(said["blocks"])
    for block in blocks:
        assert block["type"] in ("header", "section", "actions")
        texts = [*block.get("fields", []), *([block["text"]] if "text" in block else [])]
        assert {text["type"] for text in texts} <= {"plain_text"}
        for element in block.get("elements", []):
            assert element["url"].startswith(f"{django_settings.PUBLIC_URL}/")
            assert (element["type"], element["text"]["type"]) == ("button", "plain_text")


def says_it_twice(twiml: str) -> None:
    spoken = ElementTree.fromstring(twiml)
    assert [element.tag for element in spoken.iter()] == ["Response", "Say", "Pause", "Say"]
    assert (spoken[0].attrib, spoken[2].attrib) == ({"language": "en-US"}, {"language": "en-US"})
    assert spoken[0].text == spoken[2].text


@EVERY
def test_while_nothing_is_set_up_each_message_is_one_line_of_its_file(
    title: str, settings: Any, tmp_path: Path, people: None, now: dt.datetime
) -> None:
    settings.VAR_DIR, settings.EMAIL_FILE_PATH = tmp_path, tmp_path / "mail"
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    incident = tell(title, now)
    for name in ("slack", "sms", "voice", "slack_direct"):
        (line,) = (tmp_path / "outbox" / f"{name}.jsonl").read_bytes().rstrip(b"\n").split(b"\n")
        said = json.loads(line)
        assert incident.ref in json.dumps(said)
    (file,) = (tmp_path / "mail").iterdir()
    head = file.read_text().split("\n\n", 1)[0]
    assert {line.split(":")[0] for line in head.splitlines() if line[:1] not in " \t"} == HEADERS


@EVERY
def test_by_the_api_a_title_is_one_line_or_refused(
    title: str, client: Client, make_user: Callable[..., User]
) -> None:
    sign_in(client, make_user("ida", "responder"))
    body = {"title": title, "severity": "P1"}
    answer = client.post("/api/v1/incidents/", body, content_type="application/json")
    if answer.status_code == 400:
        assert "title" in json.dumps(answer.json())
        assert not Incident.objects.exists()
        return
    assert answer.status_code == 201
    assert len(Incident.objects.get().title.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1-1", "-2+3", "@SUM(A1)", "=cmd|' /C calc'!A0", "'=1", '=HYPERLINK("https://evil.test")'],
)
def test_the_sheet_of_contacts_computes_nothing(
    text: str, client: Client, make_user: Callable[..., User]
) -> None:
    """As another person's spreadsheet reads what somebody typed into a contact; read again it is the same."""
    sign_in(client, make_user("ida", "commander"))
    body = {"name": text, "title": text, "email": "a@example.test"}
    assert client.post("/api/v1/contacts/", body, content_type="application/json").status_code == 201
    given_out = client.get("/api/v1/contacts.csv")
    assert given_out["Content-Type"] == "text/csv; charset=utf-8"
    header, row = csv.reader(io.StringIO(given_out.content.decode(), newline=""))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    given = dict(zip(header, row, strict=True))
    assert (given["name"], given["title"]) == (f"'{text}", f"'{text}")
