"""Every shipped procedure, run by the real executor: on a storefront that serves, git, npm and PostgreSQL.

Only waiting is shortened. What the programs themselves refuse is told in tests/demo.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.playbook import get_playbook, load, use_playbook
from incidents.facts import Reading
from incidents.models import Incident, Monitor, Release, Service
from incidents.services.measuring import observe
from incidents.services.monitors import create_monitor
from incidents.services.people import assign_role
from incidents.services.services import create_service, record_release
from incidents.states import SampleOutcome
from rollbacks.executor import run_due
from rollbacks.models import Rollback
from rollbacks.services.confirmations import confirm_step
from rollbacks.services.requests import approve_rollback
from tests.demo.conftest import Storefront
from tests.demo.programs import Program
from tests.rollbacks.workshop import ask, states, step

pytestmark = pytest.mark.django_db(transaction=True)
MakeActor = Callable[..., Actor]
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
ATTACKER = {"X-Forwarded-For": "203.0.113.7"}


@pytest.fixture
def shop(db: None, now: dt.datetime) -> Service:
    """The storefront's service: 1.5.0 is live since an hour, 1.4.2 is the good release before it."""
    service = create_service(actor=SYSTEM, now=now, slug="shop", name="Shop", procedure="automated_rollback")
    for version, age in (("1.4.2", dt.timedelta(days=2)), ("1.5.0", dt.timedelta(hours=1))):
        record_release(service_id=service.pk, version=version, actor=SYSTEM, now=now - age)
    return service


@pytest.fixture
def storefront(own_folders: None) -> Iterator[Storefront]:
    """It serves 1.5.0 where the shipped commands look for it."""
    running = Storefront(settings.VAR_DIR / "storefront")
    settings.VAR_DIR.mkdir(exist_ok=True)
    running.start("--rate", "0")
    running.succeed("deploy", "1.5.0")
    yield running
    running.end()


@contextlib.contextmanager
def shipped(tmp_path: Path, *changes: tuple[str, str]) -> Iterator[None]:
    """The shipped playbook with short waits, and with `changes` of commands.yaml."""
    folder = tmp_path / "playbook"
    shutil.copytree(settings.BASE_DIR / "playbook", folder)
    for file in (folder / "procedures").glob("*.yaml"):
        text = file.read_text().replace("duration: 30m, settle: 1m", "duration: 1s")
        file.write_text(text.replace("duration: 300s", "duration: 1s"))
    commands = (folder / "commands.yaml").read_text()
    for old, new in changes:
        assert old in commands
        commands = commands.replace(old, new)
    (folder / "commands.yaml").write_text(commands)
    with use_playbook(load(folder)):
        yield


def run(rollback: Rollback, *, confirmed_by: Actor | None = None, seconds: float = 240) -> Rollback:
    """Run as a worker does; a question is answered with yes by `confirmed_by`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run_due(now=utcnow())
        rollback.refresh_from_db()
        if rollback.due_at is None:
            return rollback
        asked = rollback.steps.filter(kind="confirm", state="waiting").first()
        if asked is not None and confirmed_by is not None:
            confirm_step(rollback_id=rollback.pk, position=asked.position, actor=confirmed_by, now=utcnow())
        time.sleep(0.05)
    raise AssertionError(f"still {rollback.state}")


def told(rollback: Rollback) -> str:
    """What a failing test needs to know."""
    lines = [
        f"{s.key}: {s.state} {s.note} {s.output_tail[-300:]}" for s in rollback.steps.order_by("position")
    ]
    return "\n".join([rollback.state, rollback.outcome, rollback.attention, *lines])


def test_every_procedure_of_the_policy_is_shipped() -> None:
    procedures = get_playbook()["procedures"]
    assert set(procedures) == {
        "automated_rollback", "configuration_rollback", "database_rollback", "frontend_rollback",
        "performance_rollback", "security_rollback", "storefront_rollback",
    }  # fmt: skip
    by_itself = {name for name, procedure in procedures.items() if procedure.automatic}
    assert by_itself == {"automated_rollback", "performance_rollback", "storefront_rollback"}
    for name, procedure in procedures.items():
        soak = procedure.verify[-1]
        assert (soak.kind, soak.duration) == ("soak", 12 if name == "storefront_rollback" else 1800)
    assert procedures["automated_rollback"].execute == procedures["storefront_rollback"].execute


def test_automated(
    storefront: Storefront, tmp_path: Path, shop: Service, incident: Incident, commander: Actor
) -> None:
    assert json.loads(storefront.get("/catalogue.json")[1])["release"] == "1.5.0"
    with shipped(tmp_path):
        rollback = run(ask(incident, commander))
    assert rollback.state == "succeeded", told(rollback)
    assert storefront.metrics()["version"] == "1.4.2"
    assert json.loads(storefront.get("/catalogue.json")[1])["release"] == "1.4.2", "the CDN is purged"


@pytest.fixture
def frontend(own_folders: None, shop: Service) -> Program:
    """The repository that the shipped commands clone; both releases know their commits."""
    home = settings.VAR_DIR / "frontend"
    program = Program("frontend", "--home", home)
    good, bad = program.succeed("make-source", "--at", home / "source").split()
    for version, commit in (("1.4.2", good), ("1.5.0", bad)):
        Release.objects.filter(service=shop, version=version).update(commit=commit)
    return program


def _deployed() -> str:
    """The heading of the page that is deployed."""
    page = settings.VAR_DIR / "frontend/current/index.html"
    return page.read_text().partition("<h1>")[2].partition("</h1>")[0] if page.exists() else ""


@pytest.mark.faults
@needs_npm
def test_frontend(
    frontend: Program, tmp_path: Path, shop: Service, incident: Incident, commander: Actor
) -> None:
    with shipped(tmp_path):
        rollback = run(ask(incident, commander, procedure="frontend_rollback"))
    assert rollback.state == "succeeded", told(rollback)
    assert _deployed() == "Larch & Linen"
    assert Release.objects.get(service=shop, state="live").version == "1.4.2"


@pytest.mark.faults
def test_a_frontend_that_cannot_be_built_fails_before_anything_changed(
    frontend: Program, tmp_path: Path, incident: Incident, commander: Actor
) -> None:
    with shipped(tmp_path, ("[demo/bin/frontend, install,", "[demo/bin/frontend, smoke-test,")):
        rollback = run(ask(incident, commander, procedure="frontend_rollback"))
    assert (rollback.state, rollback.mutated_at) == ("failed", None), told(rollback)
    assert _deployed() == ""


@needs_npm
@pytest.mark.faults
def test_a_frontend_whose_deployment_is_not_read_back_is_put_back(
    frontend: Program, tmp_path: Path, shop: Service, incident: Incident, commander: Actor
) -> None:
    live = Release.objects.get(service=shop, state="live").commit
    frontend.environment["FIREBREAK_ROLLBACK"] = "RB-2020-01-01-0001"
    frontend.succeed("prepare", "--source", settings.VAR_DIR / "frontend/source")
    frontend.succeed("roll-back", "--ref", "RB-2020-01-01-0001", live)
    for verb in ("install", "build", "deploy"):
        frontend.succeed(verb, live)
    with shipped(tmp_path, ('deployment, "{commit}"]', 'deployment, "{rollback}"]')):
        rollback = run(ask(incident, commander, procedure="frontend_rollback"))
    assert rollback.state == "failed", told(rollback)
    assert "put back" in rollback.outcome
    assert (step(rollback, "deploy").state, _deployed()) == ("compensated", "undefined")


@pytest.mark.faults
def test_configuration(
    storefront: Storefront, tmp_path: Path, shop: Service, incident: Incident, commander: Actor
) -> None:
    program = Program("configuration", "--site", storefront.site)
    program.succeed("set", "cache_seconds", "0")
    program.succeed("reload")
    with shipped(tmp_path):
        rollback = run(ask(incident, commander, procedure="configuration_rollback"))
    live = json.loads((storefront.site / "config/current.json").read_text())
    assert rollback.state == "succeeded", told(rollback)
    assert live["cache_seconds"] == 600
    program.environment["FIREBREAK_ROLLBACK"] = rollback.ref
    program.succeed("read-back", "--ref", rollback.ref, "reloaded")
    assert Release.objects.get(service=shop, state="live").version == "1.5.0", "the version stays"


@pytest.mark.faults
def test_a_configuration_that_no_server_takes_up_is_put_back(
    storefront: Storefront, tmp_path: Path, incident: Incident, commander: Actor
) -> None:
    Program("configuration", "--site", storefront.site).succeed("set", "cache_seconds", "0")
    with shipped(tmp_path, ('"{rollback}", reloaded]', '"{rollback}", never]')):
        rollback = run(ask(incident, commander, procedure="configuration_rollback"))
    assert rollback.state == "failed", told(rollback)
    assert "put back" in rollback.outcome
    assert json.loads((storefront.site / "config/current.json").read_text())["cache_seconds"] == 0
    states_of = {s.key: s.state for s in rollback.steps.all()}
    assert (states_of["restore"], states_of["reload"]) == ("compensated", "compensated")


@pytest.fixture
def orders(own_folders: None) -> Iterator[Program]:
    """The database that the shipped commands name, with a backup called `nightly` and one order more."""
    known = connections["owner"].get_connection_params()
    address = {key: known[key] for key in ("host", "port", "user", "password") if known.get(key)}
    folder = settings.VAR_DIR / "database"
    folder.mkdir(parents=True)
    file = folder / "connection.conf"
    file.touch(mode=0o600)
    file.write_text("[shop]\n" + "".join(f"{key}={value}\n" for key, value in address.items()))
    program = Program(
        "database", f"--connection={file}", f"--store={folder / 'backups'}", "--database=storefront_orders"
    )  # fmt: skip
    program.succeed("make-demo")
    program.succeed("back-up", "--label", "nightly")
    with psycopg.connect(dbname="storefront_orders", autocommit=True, **address) as connection:
        connection.execute("INSERT INTO orders (product, pieces) VALUES ('vase', 1)")
    yield program
    with psycopg.connect(dbname="postgres", autocommit=True, **address) as server:
        rows = server.execute("SELECT datname FROM pg_database WHERE datname LIKE 'storefront_orders%'")
        for (name,) in rows.fetchall():
            server.execute(f"DROP DATABASE {name}".encode())


def test_database(
    orders: Program,
    storefront: Storefront,
    tmp_path: Path,
    incident: Incident,
    commander: Actor,
    make_actor: MakeActor,
) -> None:
    second = make_actor("tom", "commander", "technical_lead")
    assign_role(incident_id=incident.pk, role="technical_lead", username="tom", actor=commander, now=utcnow())
    with shipped(tmp_path):
        rollback = ask(
            incident, commander, procedure="database_rollback",
            parameters={"backup": "storefront_orders-nightly"},
        )  # fmt: skip
        assert rollback.state == "awaiting_approval", "one person is not enough"
        approve_rollback(rollback_id=rollback.pk, actor=second, now=utcnow(), reason="seen")
        rollback = run(rollback, confirmed_by=second)
    assert rollback.state == "succeeded", told(rollback)
    words = ("--ref", rollback.ref, "storefront_orders-nightly")
    orders.succeed("read-back", *words, "switched")
    orders.succeed("check-integrity", "--live", "--check=SELECT count(*) = 100 FROM orders", *words)
    assert f"storefront_orders-{rollback.ref}" in orders.succeed("list-backups"), "dumped first"


def test_security(
    storefront: Storefront, tmp_path: Path, shop: Service, incident: Incident, commander: Actor
) -> None:
    storefront.eventually(lambda: storefront.get("/", ATTACKER)[0] == 200)
    with shipped(tmp_path):
        rollback = ask(
            incident, commander, procedure="security_rollback",
            parameters={"addresses": "203.0.113.7,2001:db8::/64", "accounts": "petra"},
        )  # fmt: skip
        rollback = run(rollback, confirmed_by=commander)
    assert rollback.state == "succeeded", told(rollback)
    evidence = settings.VAR_DIR / "evidence" / rollback.ref
    about = json.loads((evidence / "about.json").read_text())
    assert about["release"] == "1.5.0", "evidence was preserved before anything changed"
    assert storefront.metrics()["version"] == "1.4.2"
    assert storefront.get("/", ATTACKER)[0] == 403
    assert storefront.get("/", {"X-Forwarded-For": "198.51.100.1"})[0] == 200, "open again"
    found = json.loads(Program("security", "--site", storefront.site).succeed("inventory"))
    assert list(found["accounts"]) == ["petra"]
    assert found["isolation"] == {}


def test_who_is_protected_stops_the_security_rollback_for_a_person(
    storefront: Storefront, tmp_path: Path, incident: Incident, commander: Actor
) -> None:
    with shipped(tmp_path):
        rollback = ask(
            incident, commander, procedure="security_rollback", parameters={"addresses": "192.0.2.0/28"}
        )
        rollback = run(rollback)
    assert rollback.state == "needs_attention", told(rollback)
    assert "192.0.2.0/28 is protected" in step(rollback, "block").output_tail
    assert states(rollback)[-1] == "pending"


def _measured(error_rate: float | None) -> None:
    """A quarter of the metrics is never measured here; without `error_rate` it is three quarters."""
    for metric, value in (("response_time", 100.0), ("memory_usage", 0.3), ("error_rate", error_rate)):
        if error_rate is None and metric != "response_time":
            continue
        monitor = create_monitor(
            actor=SYSTEM, now=utcnow(), service="shop", metric=metric, interval_seconds=300,
            source={"type": "http_json", "url": "http://127.0.0.1:1/", "path": "x"},
        )  # fmt: skip
        observe(monitor_id=monitor.pk, reading=Reading(SampleOutcome.OK, value), now=utcnow())


def _run_performance(incident: Incident, commander: Actor) -> Rollback:
    """Nothing polls here, so the monitors are taken away before the soak waits for them."""
    rollback = ask(incident, commander, procedure="performance_rollback")
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and step(rollback, "score").state in ("pending", "waiting"):
        run_due(now=utcnow())
        rollback.refresh_from_db()
        time.sleep(0.05)
        if rollback.state == "verifying" or rollback.due_at is None:
            break
    Monitor.objects.update(enabled=False)
    return run(rollback)


@pytest.mark.parametrize(
    ("error_rate", "version"),
    [
        pytest.param(0.0, "1.5.0", marks=pytest.mark.faults),
        pytest.param(0.33, "1.4.2", marks=pytest.mark.faults),
    ],
)
def test_performance_below_70_is_rolled_back_after_the_quick_fixes_above_it_is_not(
    error_rate: float,
    version: str,
    storefront: Storefront,
    tmp_path: Path,
    shop: Service,
    incident: Incident,
    commander: Actor,
) -> None:
    _measured(error_rate)
    before = storefront.slots()
    with shipped(tmp_path):
        rollback = _run_performance(incident, commander)
    assert step(rollback, "score").state == ("succeeded" if version == "1.5.0" else "failed"), told(rollback)
    assert step(rollback, "switch_version").state == ("skipped" if version == "1.5.0" else "succeeded")
    assert rollback.state == "succeeded", told(rollback)
    assert storefront.metrics()["version"] == version
    assert Release.objects.get(service=shop, state="live").version == version
    assert not set(before.values()) & set(storefront.slots().values()), "both servers are fresh"
    assert (storefront.site / "performance.json").exists() is (version == "1.5.0")


def test_with_too_little_measured_for_a_score_a_person_decides(
    storefront: Storefront, tmp_path: Path, incident: Incident, commander: Actor
) -> None:
    _measured(None)
    with shipped(tmp_path):
        rollback = _run_performance(incident, commander)
    assert (rollback.state, step(rollback, "score").state) == ("needs_attention", "unknown"), told(rollback)
    assert "too little is measured for a score" in step(rollback, "score").note
    assert step(rollback, "switch_version").state == "pending"
