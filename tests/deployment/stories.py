"""What a reader of the guide relies on once it is installed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import TypeVar

from playwright.sync_api import Page

from tests.deployment import guide
from tests.deployment.machine import Machine
from tests.deployment.visitor import DOMAIN, Outage, Visitor, browsing

T = TypeVar("T")
UNITS = {
    "web": "firebreak", "checks": "firebreak", "comms": "firebreak", "beat": "firebreak",
    "runner": "firebreak-runner", "watchdog": "firebreak-runner",
}  # fmt: skip
# Every command of the shipped playbook does nothing here; one takes its time and leaves two marks.
PLAYBOOK = r"""
cat > /usr/local/sbin/slow-switch <<'EOF'
#!/bin/sh
date +%s.%N > "$1.begun"; sleep "$2"; date +%s.%N > "$1.ended"
EOF
chmod 0755 /usr/local/sbin/slow-switch
cd /etc/firebreak/playbook
sed -i 's|^  argv: .*|  argv: [/bin/true]|' commands.yaml
sed -i '/^switch_version:/,/argv:/ s|argv: .*|argv: [/usr/local/sbin/slow-switch, "{var_dir}/{service}", "SECONDS"]|' commands.yaml
sed -i 's|"SECONDS"|"12"|' commands.yaml
firebreak-manage playbook check
systemctl restart firebreak.target
"""
# A service with a bad release, as a monitor would find it: from here on the policy and the processes act.
BREACH = """
import datetime as dt
from core.actors import SYSTEM
from core.clock import utcnow
from incidents.facts import Reading
from incidents.models import Monitor
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.services import create_service, record_release
from incidents.states import SampleOutcome
now = utcnow()
service = create_service(actor=SYSTEM, now=now, slug="NAME", name="NAME", procedure="storefront_rollback", auto_rollback=True)
for version, age in (("1.9.0", dt.timedelta(days=2)), ("2.0.0", dt.timedelta(hours=1))):
    record_release(service_id=service.pk, version=version, actor=SYSTEM, now=now - age)
source = {"type": "http_json", "url": "https://monitoring.example.org/m.json", "path": "error_rate"}
monitor = create_monitor(actor=SYSTEM, now=now, service="NAME", metric="error_rate", interval_seconds=3600, source=source)
observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, 0.33), now=now)
Monitor.objects.filter(pk=monitor.pk).update(enabled=False)
"""

RESPONDER = """
from django.contrib.auth.models import Group
from core.models import User
User.objects.create_user("bea", password="PASSWORD").groups.add(Group.objects.get(name="responder"))
"""


class Stories:
    def __init__(self, machine: Machine, visitor: Visitor, password: str) -> None:
        self.machine, self.visitor, self.password = machine, visitor, password
        self._playbook_is_ours = False

    # --- the installation ---------------------------------------------------------------------------
    def units(self) -> None:
        for name, account in UNITS.items():
            pid = self._pid(name)
            status = self.machine.sh(f"cat /proc/{pid}/status")
            assert self.machine.sh(f"stat -c %U /proc/{pid}") == account, name
            assert "NoNewPrivs:\t1" in status, name
            assert re.search(r"CapBnd:\t0+$", status, re.MULTILINE), name
            assert re.search(r"Seccomp:\t2", status), f"{name} has no system call filter"
            environment = self.machine.sh(f"tr '\\0' '\\n' < /proc/{pid}/environ")
            assert "DATABASE_URL=" in environment
            assert "OWNER" not in environment, f"{name} knows the owner of the tables"
            assert self.machine.sh(f"systemctl show -p NRestarts --value firebreak-{name}") == "0", name
        rights = self.machine.sh(
            "stat -c '%a %U %n' /etc/firebreak/* /var/lib/firebreak /var/lib/firebreak-runner"
        )
        for expected in ("640 root /etc/firebreak/firebreak.env", "600 root /etc/firebreak/owner.env",
                         "700 firebreak /var/lib/firebreak", "700 firebreak-runner /var/lib/firebreak-runner"):  # fmt: skip
            assert expected in rights, rights
        warnings = self.machine.sh("journalctl -q -u 'firebreak-*' -p warning --no-pager -o cat")
        assert "Traceback" not in warnings, warnings

    def closed_doors(self) -> None:
        assert self.visitor.get_plain("/") == 301
        assert self.visitor.get_plain("/api/v1/incidents/") == 403
        assert self.visitor.get_plain("/", host="another.example.org") == 0
        for path in ("/metrics", "/metrics/", "/readyz", "/readyz/"):
            assert self.visitor.get(path).status == 404, path
        assert self.visitor.get("/api/v1/incidents/").status == 401
        for path in ("/readyz", "/healthz", "/metrics"):
            status = self.machine.sh(f"curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:8000{path}")
            assert status == "200", f"{path} from the host: {status}"
        login = self.visitor.get(
            "/accounts/login/", **{"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http"}
        )
        assert login.status == 200  # what a client claims is replaced: no redirect loop
        assert "max-age=31536000" in login.headers["strict-transport-security"]

    def static_files(self) -> str:
        page = self.visitor.get("/accounts/login/").body.decode()
        found = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
        assert found
        for path in found:
            assert re.search(r"\.[0-9a-f]{12}\.\w+$", path), f"{path} carries no hash"
            answer = self.visitor.get(path, **{"Accept-Encoding": "gzip"})
            assert answer.status == 200, path
            assert "immutable" in answer.headers["cache-control"]
        return f"{len(found)} files"

    # --- as a user ----------------------------------------------------------------------------------
    def sign_in_and_declare(self) -> str:
        """The administrator of the guide can sign in; a responder declares and the stream says so."""
        with browsing() as page:
            _sign_in(page, "admin", self.password)
            assert "/accounts/2fa/" in page.url, f"not led to a second factor: {page.url}"
        self._manage_shell(RESPONDER.replace("PASSWORD", self.password))
        with browsing() as page:
            _sign_in(page, "bea", self.password)
            cookies = page.context.cookies()
            assert cookies
            assert all(cookie["secure"] for cookie in cookies)
            header = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in cookies)
            with self.visitor.listening(header) as lines:
                _wait(lambda: any("retry" in line for _at, line in lines), "the stream's first line", 10)
                page.goto(f"https://{DOMAIN}/incidents/declare/")
                page.fill("input[name=title]", "Declared over nginx")
                page.check("input[name=severity][value=P2]", force=True)
                began = time.monotonic()
                page.locator("form.stack button[type=submit]").click()
                page.wait_for_url(re.compile(r"/incidents/INC-"))
                heard = _wait(
                    lambda: [at for at, line in lines if "incident:~" in line and at > began],
                    "the event",
                    10,
                )
            assert "Declared over nginx" in page.content()
        return f"heard {heard[0] - began:.2f} s after the click"

    def stop_waits(self) -> str:
        self._breach("shop")
        _wait(lambda: self._marks("shop", "begun"), "the command to begin", 60)
        began = time.time()
        self.machine.sh("systemctl stop firebreak-runner firebreak-watchdog")
        stopped = time.time()
        ended = self._marks("shop", "ended")
        assert ended, "the command was cut"
        assert began < ended <= stopped, "the stop did not wait"
        assert self._step("shop") == "succeeded"
        assert self._state("shop") == "executing"  # the next step was not begun
        self.machine.sh("systemctl start firebreak.target")
        _wait(lambda: self._state("shop") == "succeeded", "the rollback to go on", 120)
        return f"{stopped - began:.1f} s until the command had ended"

    def crash_leaves_the_command(self) -> None:
        self._breach("cart")
        _wait(lambda: self._marks("cart", "begun"), "the command to begin", 60)
        self.machine.sh("systemctl kill --kill-whom=main --signal=KILL firebreak-runner")
        _wait(lambda: self._marks("cart", "ended"), "the command to end by itself", 30)
        _wait(lambda: self._state("cart") == "succeeded", "its successor to take it up", 120)
        assert self._step("cart") == "succeeded"

    def same_environment(self) -> None:
        """systemd and firebreak-manage read a value with blanks and signs alike."""
        awkward = "Firebreak = on call <firebreak@example.org>; 50% #1"
        self.machine.sh(f"echo 'DEFAULT_FROM_EMAIL={awkward}' >> /etc/firebreak/firebreak.env")
        self.machine.sh("systemctl restart firebreak-web")
        environment = self.machine.sh(f"tr '\\0' '\\n' < /proc/{self._pid('web')}/environ")
        assert f"DEFAULT_FROM_EMAIL={awkward}" in environment.splitlines()
        asked = "from django.conf import settings; print(settings.DEFAULT_FROM_EMAIL)"
        assert self._manage_shell(asked) == awkward

    def figures(self) -> str:
        memory = {name: self._resident_mb(name) for name in UNITS}
        connections = self._sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'firebreak'")
        return f"resident MB {memory}, {connections} database connections"

    def everything_stopped(self) -> None:
        _wait(lambda: b"As of" in self.visitor.get("/status/").body, "the status page on disk", 90)
        owner = self.machine.sh("stat -c %U /var/lib/firebreak-public/status-*")
        assert set(owner.split()) <= {"firebreak", "firebreak-runner"}, owner
        self.machine.sh("systemctl stop firebreak.target 'firebreak-*.service' postgresql redis-server")
        try:
            status = self.visitor.get("/status/")
            assert status.status == 200
            assert b"All Systems Operational" in status.body
            assert "style-src 'self'" in status.headers["content-security-policy"]
            assert self.visitor.get("/status/style.css").headers["content-type"].startswith("text/css")
            summary = json.loads(self.visitor.get("/status/api/v2/summary.json").body)
            assert summary["status"]["indicator"] == "none"
            assert self.visitor.get("/status/subscribe/").status == 502
            assert self.visitor.get("/unavailable/page.css").status == 200
            page = self.visitor.get("/")
            assert (page.status, page.headers["retry-after"]) == (502, "10")
            assert b"Firebreak does not answer" in page.body
            answer = self.visitor.get("/api/v1/incidents/")
            assert (answer.status, json.loads(answer.body)["status"]) == (503, 503)
            assert answer.headers["content-type"] == "application/problem+json"
        finally:
            self.machine.sh("systemctl start postgresql redis-server firebreak.target")
            _wait(lambda: self.visitor.get("/accounts/login/").status == 200, "the pages", 60)

    # --- its own versions -----------------------------------------------------------------------------
    def switch(self, part: str, version: str) -> str:
        """Follow the guide's blocks to another version; returns how long the pages were away."""
        count = self._sql("SELECT count(*) FROM incidents_incident")
        with Outage(self.visitor) as outage:
            for block in guide.blocks(part):
                self.machine.paste(block)
        assert self.machine.sh("readlink /opt/firebreak/current") == f"releases/{version}"
        assert (
            self.machine.sh(f"readlink /proc/{self._pid('web')}/cwd") == f"/opt/firebreak/releases/{version}"
        )
        # The tables are the newer version's either way: the older one runs on them.
        column = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'one_more'"
        assert self._sql(column) == "1"
        assert self._sql("SELECT count(*) FROM incidents_incident") == count
        token = self._manage("token create --user admin --name switch --scope read --scope write")
        declared = self.machine.sh(
            f"curl -fsS --resolve {DOMAIN}:443:127.0.0.1 --cacert /etc/firebreak/tls/fullchain.pem"
            f" -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json'"
            f""" -d '{{"title": "After the {part}", "severity": "P3"}}' https://{DOMAIN}/api/v1/incidents/"""
        )
        assert json.loads(declared)["ref"].startswith("INC-")
        return f"pages away for {outage.seconds:.1f} s"

    def removal(self) -> None:
        there = self.left_behind()
        for seen in ("/opt/firebreak", "firebreak.target", "/proc/", "firebreak-runner:", "firebreak_owner"):
            assert seen in there, f"the look does not see {seen}: {there}"
        for block in guide.blocks("remove"):
            self.machine.paste(block)
        assert self.left_behind() == ""

    def left_behind(self) -> str:
        """What there is of Firebreak: folders, units, processes, accounts, roles."""
        return self.machine.sh(
            "ls -d /opt/firebreak /etc/firebreak /var/lib/firebreak* /etc/systemd/system/*firebreak* 2>/dev/null || true;"
            "grep -lE '[g]ranian|[c]elery|[m]anage.py' /proc/[0-9]*/cmdline 2>/dev/null || true;"
            "getent passwd firebreak firebreak-runner || true;"
            "runuser -u postgres -- psql -X -At -c \"SELECT rolname FROM pg_roles WHERE rolname LIKE 'firebreak%'\""
        )

    # --- looking ----------------------------------------------------------------------------------------
    def _breach(self, name: str) -> None:
        if not self._playbook_is_ours:
            self.machine.sh("set -e\n" + PLAYBOOK)
            self._playbook_is_ours = True
        self._manage_shell(BREACH.replace("NAME", name))

    def _marks(self, name: str, mark: str) -> float:
        text = self.machine.sh(f"cat /var/lib/firebreak-runner/{name}.{mark} 2>/dev/null || true")
        return float(text or 0)

    def _state(self, service: str) -> str:
        return self._sql(
            "SELECT r.state FROM rollbacks_rollback r JOIN incidents_service s ON s.id = r.service_id"
            f" WHERE s.slug = '{service}'"
        )

    def _step(self, service: str) -> str:
        return self._sql(
            "SELECT t.state FROM rollbacks_rollbackstep t JOIN rollbacks_rollback r ON r.id = t.rollback_id"
            f" JOIN incidents_service s ON s.id = r.service_id WHERE s.slug = '{service}' AND t.key = 'switch_version'"
        )

    def _sql(self, query: str) -> str:
        return self.machine.sh(f'cd / && runuser -u postgres -- psql -X -At -c "{query}" firebreak')

    def _resident_mb(self, unit: str) -> int:
        pids = f"grep -l firebreak-{unit}.service /proc/[0-9]*/cgroup | cut -d/ -f3"
        rss = self.machine.sh(f"for pid in $({pids}); do grep VmRSS /proc/$pid/status; done || true")
        return sum(int(kilobytes) for kilobytes in re.findall(r"(\d+) kB", rss)) // 1024

    def _pid(self, unit: str) -> str:
        return self.machine.sh(f"systemctl show -p MainPID --value firebreak-{unit}")

    def _manage(self, words: str) -> str:
        return self.machine.sh(f"firebreak-manage {words}")

    def _manage_shell(self, code: str, *, check: bool = True) -> str:
        return self.machine.sh(
            f"firebreak-manage shell -v 0 -c \"$(cat <<'EOF'\n{code}\nEOF\n)\"", check=check
        )


def _sign_in(page: Page, username: str, password: str) -> None:
    page.goto(f"https://{DOMAIN}/accounts/login/")
    page.fill("input[name=login]", username)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(re.compile(rf"^https://{re.escape(DOMAIN)}/(?!accounts/login/)"))


def _wait(look: Callable[[], T], what: str, seconds: float) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.3)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")
