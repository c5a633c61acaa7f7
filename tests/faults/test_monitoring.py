"""Sources, beat, Redis and PostgreSQL taken away from what measures: what is still measured and paged, how soon.

The processes are the Procfile's. docs/faults.md has the same as a table.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Group

from comms.models import Message
from core.clock import utcnow
from core.embedded.postgres import EmbeddedPostgres
from core.embedded.valkey import EmbeddedValkey
from core.models import User
from incidents.models import Alert, Incident, Monitor, MonitoringOutage, Sample, Service
from incidents.selectors.outages import freeze_reason
from incidents.states import MonitorLevel
from rollbacks.models import Decision, Rollback
from tests.alerts.conftest import alert, token_of, webhook
from tests.conftest import make_service
from tests.faults import recorder
from tests.faults.world import World, restart_immediately
from tests.flows.stack import free_ports
from tests.hostile_source import HostileSource, of_kind

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
ALL = ("checks", "comms", "beat", "watchdog")
INTERVAL_SECONDS = 5
# A first failed check is followed by two more, two seconds apart, each up to a second late; then the
# incident is opened and the page is written and sent, each by a sweep of two or three seconds.
UNTIL_PAGED_SECONDS = INTERVAL_SECONDS + 15
# Of work that nobody does the watchdog hears after ten seconds, and looks every two.
UNTIL_RESCUED_SECONDS = 20
UNTIL_RESCUERS_PAGED_SECONDS = 30


@pytest.fixture
def source(tmp_path: Path) -> Iterator[HostileSource]:
    with HostileSource(tmp_path) as source:
        yield source


def watch(
    service: Service, source: HostileSource, name: str = "", seconds: int = INTERVAL_SECONDS
) -> Monitor:
    now = utcnow()
    return Monitor.objects.create(
        service=service,
        metric="error_rate",
        source=of_kind("http_json", source.url(name or service.slug)),
        interval_seconds=seconds,
        created_at=now,
        level_since=now,
        next_check_due_at=now,
    )


def start(world: World, *names: str) -> dict[str, list[int]]:
    """The processes of these names, which may ask this machine; returns their pids by name."""
    started = defaultdict(list)
    for name in names:
        process = world.of_procfile(name, OUTBOUND_ALLOWED_NETWORKS="127.0.0.0/8")
        started[name].append(process.pid)
    return started


def until_checked(world: World, *monitors: Monitor, seconds: float = 60) -> float:
    """Until each was measured (again); returns how long that took."""
    began, since = time.monotonic(), utcnow()
    wanted = {monitor.pk for monitor in monitors}

    def all_were() -> bool:
        found = Sample.objects.filter(monitor__in=wanted, at__gt=since).values_list("monitor", flat=True)
        return set(found) == wanted

    world.until(all_were, "the next checks", seconds)
    return time.monotonic() - began


def mails_of(world: World, incident: Incident) -> list[str]:
    texts = [path.read_text() for path in (world.var_dir / "mail").glob("*.log")]
    return [text for text in texts if "Subject: INCIDENT ALERT" in text and incident.ref in text]


def until_paged(world: World, find: Callable[[], Incident | None], seconds: float) -> Incident:
    """Until there is such an incident and its page has left as a mail."""
    incident = world.until(find, "the incident", seconds)
    world.until(lambda: mails_of(world, incident), "the page", seconds)
    return incident


def test_the_source_of_one_service_goes_down(
    broker: EmbeddedValkey, world: World, shop: Service, source: HostileSource
) -> None:
    other = make_service("other", utcnow())
    monitor, neighbour = watch(shop, source), watch(other, source)
    start(world, *ALL)
    until_checked(world, monitor, neighbour)
    source.manners["shop"] = "reset_at_once"
    began = time.monotonic()
    incident = until_paged(world, Incident.objects.filter(origin=shop).first, UNTIL_PAGED_SECONDS)
    took = time.monotonic() - began
    print(f"paged {took:.1f} s after the source went down")
    assert took <= UNTIL_PAGED_SECONDS
    assert (incident.severity, Incident.objects.count()) == ("P0", 1)
    assert not Rollback.objects.exists(), "nothing else says that the service fails"
    until_checked(world, neighbour, seconds=INTERVAL_SECONDS + 3)


def test_all_sources_go_down_and_come_back(
    broker: EmbeddedValkey, world: World, source: HostileSource, tmp_path: Path
) -> None:
    """One incident for all, no automatic rollback meanwhile, and its end when most answer again."""
    services = [make_service(f"s{n}", utcnow()) for n in range(12)]
    monitors = [watch(service, source) for service in services]
    (tmp_path / "well").mkdir()
    with HostileSource(tmp_path / "well") as well:
        seen = watch(services[0], well, "seen")
        start(world, *ALL)
        until_checked(world, *monitors, seen)
        source.stop()
        began = time.monotonic()
        outage = world.until(MonitoringOutage.objects.first, "the outage", UNTIL_PAGED_SECONDS)
        until_paged(world, lambda: outage.incident, UNTIL_PAGED_SECONDS)
        print(f"the outage was paged after {time.monotonic() - began:.1f} s")
        assert time.monotonic() - began <= UNTIL_PAGED_SECONDS
        all_blind = Monitor.objects.filter(level=MonitorLevel.UNKNOWN)
        world.until(lambda: all_blind.count() == len(services), "all of them to be blind", 30)
        # Who was blind before it was an outage, two services at most, has an incident of its own.
        assert Incident.objects.exclude(pk=outage.incident_id).count() <= 2

        # What can still be seen is still told, and waits for a person.
        well.manners["seen"] = "bad_value"
        bad = world.until(Incident.objects.filter(origin=services[0]).first, "the incident", 20)
        refused = Decision.objects.filter(incident=bad, monitor=seen.pk)
        decision = world.until(refused.first, "the decision", 20)
        assert "monitoring_outage" in {reason["code"] for reason in decision.reasons}
        assert decision.verdict == "refused"
        until_paged(world, lambda: bad, 20)

        source.start()
        began = time.monotonic()
        world.until(lambda: freeze_reason(now=utcnow()) is None, "the end of the freeze", 30)
        print(f"the freeze ended {time.monotonic() - began:.1f} s after the sources were back")
        assert time.monotonic() - began <= INTERVAL_SECONDS + 10
    assert not Rollback.objects.exists()
    pages = Message.objects.filter(template="incident_alert").values_list("incident", flat=True)
    assert Counter(pages) == dict.fromkeys(Incident.objects.values_list("pk", flat=True), 1)
    assert Incident.objects.count() <= 4


@pytest.mark.parametrize(
    "fault", ["beat killed", "beat stuck", "checks killed", "redis stopped", "redis stuck", "all killed"]
)
def test_who_wakes_the_checks_is_gone(
    fault: str, broker: EmbeddedValkey, world: World, shop: Service, source: HostileSource
) -> None:
    """The watchdog does their work: checks go on, and a bad value is paged."""
    monitor = watch(shop, source, seconds=2)
    pids = start(world, *ALL)
    until_checked(world, monitor)
    name, how = fault.split()
    if how == "stopped":
        broker.stop()
    elif name == "redis":
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
    else:
        for each in ("beat", "checks", "comms") if name == "all" else (name,):
            os.kill(pids[each][0], signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    try:
        checked = until_checked(world, monitor, seconds=UNTIL_RESCUED_SECONDS)
        source.manners["shop"] = "bad_value"
        began = time.monotonic()
        incident = until_paged(
            world, Incident.objects.filter(origin=shop).first, UNTIL_RESCUERS_PAGED_SECONDS
        )
        paged = time.monotonic() - began
        print(f"{fault}: checked after {checked:.1f} s, a bad value paged after {paged:.1f} s")
        assert paged <= UNTIL_RESCUERS_PAGED_SECONDS
        assert incident.severity == "P0"
        until_checked(world, monitor, seconds=2 + 3)
    finally:
        if fault == "redis stuck" and broker.pid is not None:
            os.kill(broker.pid, signal.SIGCONT)


def watch_many(count: int, source: HostileSource, seconds: int) -> list[Monitor]:
    service = make_service("many", utcnow())
    return [watch(service, source, f"m{n}", seconds) for n in range(count)]


# A slot is left out when the answer of the one before is still awaited: taken late, that is soon after it.
LEFT_OUT = 3


def check_slots(monitors: list[Monitor], source: HostileSource) -> int:
    """No slot was given to two, and who was given one asked once at most; returns how often was asked."""
    slots: dict[int, list[str]] = {monitor.pk: [] for monitor in monitors}
    for move in recorder.moves(recorder.CLAIM):
        slots[move.became["id"]].append(move.became["next_check_due_at"])
    for n, monitor in enumerate(monitors):
        taken, asked = slots[monitor.pk], len(source.asked[f"m{n}"])
        assert taken == sorted(set(taken)), f"a slot of m{n} was taken twice"
        assert len(taken) - LEFT_OUT <= asked <= len(taken), f"m{n}: {len(taken)} slots, asked {asked} times"
    return sum(map(len, source.asked.values()))


def is_quiet(source: HostileSource) -> bool:
    before = sum(map(len, source.asked.values()))
    time.sleep(1)
    return sum(map(len, source.asked.values())) == before


def test_two_beats_and_five_workers_take_no_slot_twice(
    broker: EmbeddedValkey, world: World, source: HostileSource
) -> None:
    seconds, interval = 60, 3
    monitors = watch_many(200, source, interval)
    start(world, "beat", "beat", *["checks"] * 4, "watchdog")
    until_checked(world, *monitors)
    began = utcnow()
    time.sleep(seconds)
    measured = Sample.objects.filter(at__gte=began)
    counts = Counter(measured.values_list("monitor", flat=True))
    Monitor.objects.update(enabled=False)
    world.until(lambda: is_quiet(source), "what is under way to end", 30)
    asked = check_slots(monitors, source)
    print(f"{len(monitors)} monitors were asked {asked} times, never twice for a slot")
    assert Sample.objects.count() == asked
    assert min(counts[monitor.pk] for monitor in monitors) >= seconds // interval - LEFT_OUT


def test_postgresql_restarts_during_checks_and_alerts(
    database: EmbeddedPostgres, broker: EmbeddedValkey, world: World, source: HostileSource
) -> None:
    """Twice, as by a crash: checks go on within seconds, no slot is taken twice, no alert is lost."""
    user = User.objects.create(username="prom")
    user.groups.add(Group.objects.get(name="responder"))
    key = token_of(user, "ingest")
    monitors = watch_many(40, source, 2)
    make_service("shop", utcnow())
    [port] = free_ports(1)
    start(world, *ALL)
    world.of_procfile("web", PORT=str(port), PUBLIC_URL=f"http://127.0.0.1:{port}")
    until_checked(world, *monitors)
    world.until(lambda: _post(port, key, "First")[0] == 202, "the web process", 60)

    answers: list[tuple[int, str | None]] = []
    ended = threading.Event()
    names: list[str] = []

    def send() -> None:
        while not ended.is_set():
            names.append(f"A{len(names)}")
            while True:  # as Alertmanager does
                answer = _post(port, key, names[-1])
                answers.append(answer)
                if answer[0] == 202:
                    break
                time.sleep(0.3)
            time.sleep(0.1)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(2):
            time.sleep(3)
            restart_immediately(database)
            took = until_checked(world, *monitors)
            print(f"all monitors were checked within {took:.1f} s of the restart")
            assert took <= 10
    finally:
        ended.set()
        sender.join()
    print(Counter(answers))
    assert {status for status, _ in answers} <= {202, 503}
    assert all(retry_after for status, retry_after in answers if status == 503)
    world.until(lambda: Alert.objects.count() == len(names) + 1, "every alert", 60)
    assert all(process.poll() is None for process in world.processes), "nobody ended over it"
    Monitor.objects.update(enabled=False)
    world.until(lambda: is_quiet(source), "what is under way to end", 30)
    check_slots(monitors, source)


def _post(port: int, key: str, name: str) -> tuple[int, str | None]:
    """Status and Retry-After; 0 where nobody answers."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        link.request("POST", "/api/v1/ingest/alertmanager/", json.dumps(webhook(alert(name))), headers)
        answer = link.getresponse()
        answer.read()
        return answer.status, answer.getheader("Retry-After")
    except OSError:
        return 0, None
    finally:
        link.close()
