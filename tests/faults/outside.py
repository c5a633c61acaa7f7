"""The other ends of every channel, for workers that are broken: a real mail server, and one HTTP sink."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from subprocess import Popen
from typing import Any, Self

from aiosmtpd.controller import Controller
from django.conf import settings
from ruamel.yaml import YAML

from comms.models import ConnectionSettings, Contact, Delivery
from core.clock import utcnow
from core.encryption import encrypt
from tests.faults.world import World
from tests.flows.stack import free_ports
from tests.sink import Recorded, Sink, kill_client

# As Slack and Twilio answer; the others look at the status alone.
TAKEN = (200, {"Content-Type": "application/json"}, b'{"ok": true, "ts": "1.2", "sid": "none"}')
SENDERS = "core.sweep_outbox comms.sweep_deliveries"
KILL = "kill"


@dataclass(frozen=True)
class Mail:
    """One mail as it came."""

    to: str
    key: str
    text: str
    message: EmailMessage
    at: float = field(default_factory=time.monotonic)


class MailServer:
    """A real SMTP server. `answer` says what becomes of a mail: an SMTP answer, or `kill` for its sender."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.answer: Callable[[Mail], str] = lambda mail: "250 taken"
        [self.port] = free_ports(1)
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=policy.default)
        part = message.get_body(("plain",))
        text = part.get_content() if part else ""
        mail = Mail(
            envelope.rcpt_tos[0], str(message["Message-ID"]), f"{message['Subject']}\n{text}", message
        )
        answer = self.answer(mail)
        if answer.startswith("2") or answer == KILL:
            self.mails.append(mail)
        if answer == KILL:
            kill_client(session.peer)
            return "451 nobody hears it"
        return answer

    def to(self, recipient: str) -> list[str]:
        return [mail.text for mail in self.mails if mail.to == recipient]

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._controller.stop()


class Outside:
    """`mail` and `http`: Slack, Twilio and a service of Apprise are paths of the same sink."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.mail, self.http = MailServer(), Sink()
        self.http.answer = TAKEN
        self.environment = {
            "EMAIL_URL": f"smtp://127.0.0.1:{self.mail.port}",
            "SLACK_API_URL": f"{self.http.url}/slack/",
            "TWILIO_API_URL": f"{self.http.url}/twilio",
            "OUTBOUND_ALLOWED_NETWORKS": "127.0.0.0/8",
            "ENCRYPTION_KEYS": settings.ENCRYPTION_KEYS[0],
            "FAULTS_SWEEPS": SENDERS,
        }

    def __enter__(self) -> Self:
        self.mail.__enter__()
        self.http.__enter__()
        return self

    def __exit__(self, *_details: object) -> None:
        self.world.stop()
        self.http.__exit__()
        self.mail.__exit__()

    def connect(self, **connections: dict[str, str]) -> None:
        """Set up connections by their names, as an administrator does."""
        for name, plain in connections.items():
            sealed = encrypt(json.dumps(plain))
            ConnectionSettings.objects.create(
                name=name, sealed=sealed, changed_at=utcnow(), changed_by="the test"
            )

    def connect_slack(self) -> None:
        self.connect(slack={"token": "xoxb-1234567890-fault-tests"})

    def connect_twilio(self) -> None:
        account = "AC" + "0123456789abcdef" * 2
        self.connect(twilio={"account": account, "token": "0123456789abcdef", "sender": "+15550001111"})

    # --- who sends ----------------------------------------------------------------------------------

    def sender(self, **environment: str) -> Popen[bytes]:
        return self.world.worker(**(self.environment | environment))

    def of_procfile(self, name: str, **environment: str) -> Popen[bytes]:
        return self.world.of_procfile(name, **(self.environment | environment))

    # --- what came ----------------------------------------------------------------------------------

    def at(self, path: str) -> list[Recorded]:
        return [request for request in list(self.http.requests) if path in request.path]

    @property
    def rooms(self) -> list[tuple[str, str]]:
        """What Slack was sent, in order: to whom and the text."""
        found = []
        for request in self.at("/slack/"):
            said = body_of(request)
            found.append((str(said["channel"]), str(said["text"])))
        return found

    def copies_of_mails(self) -> Counter[str]:
        return Counter(mail.key for mail in list(self.mail.mails))


def body_of(request: Recorded) -> dict[str, Any]:
    """Slack's client sends JSON or a form."""
    if request.headers["content-type"].startswith("application/json"):
        return dict(json.loads(request.body))
    return dict(request.form)


class Crew:
    """Senders of which one that dies is followed by another, as whoever runs services sees to it."""

    def __init__(self, outside: Outside, number: int, **environment: str) -> None:
        self._start = partial(outside.sender, **environment)
        self._number, self._over = number, threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="crew")
        self.deaths = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._over.set()
        self._thread.join()

    def _look_after(self) -> None:
        crew = [self._start() for _ in range(self._number)]
        while not self._over.wait(0.1):
            for place, process in enumerate(crew):
                if process.poll() is not None:
                    self.deaths += 1
                    crew[place] = self._start()


def make_team(number: int, **more: Any) -> list[str]:
    """So many contacts of the technical team, by mail; returns their addresses."""
    made = [
        Contact(name=f"c{n}", email=f"c{n}@example.test", audiences=["technical_team"], **more)
        for n in range(number)
    ]
    return [contact.email for contact in Contact.objects.bulk_create(made)]


def use_routes(world: World, routes: list[dict[str, Any]], **channels: dict[str, Any]) -> None:
    """The playbook's routes instead of its own, and channels beside its own."""
    file = world.workshop.folder / "routing.yaml"
    yaml: Any = YAML()
    routing = YAML(typ="safe").load(file)
    with file.open("w") as out:
        yaml.dump(routing | {"routes": routes}, out)
    file = world.workshop.folder / "channels.yaml"
    known = YAML(typ="safe").load(file)
    with file.open("w") as out:
        yaml.dump(known | channels, out)


def unfinished() -> int:
    return Delivery.objects.filter(state__in=("pending", "retrying", "sending")).count()


def make_due(**which: Any) -> None:
    """As if the waits were over; what is being sent stays with whoever sends it."""
    rows = Delivery.objects.filter(state__in=("pending", "retrying"), **which)
    rows.update(due_at=utcnow())
