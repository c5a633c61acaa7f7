"""Senders, channels, Redis and PostgreSQL taken away from messages: what still leaves, how soon, how often.

The other ends are a real mail server and an HTTP sink (outside.py). docs/faults.md has the same as a table.
"""

from __future__ import annotations

import datetime as dt
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from django.db.models import F

from comms.models import Contact, Delivery
from comms.selectors.operation import dead_deliveries
from comms.selectors.outbox import list_receipts
from core.actors import SYSTEM, Actor
from core.clock import utcnow
from core.embedded.postgres import EmbeddedPostgres
from core.embedded.valkey import EmbeddedValkey
from core.models import Event
from incidents.models import Incident
from incidents.services.incidents import declare_incident, post_update, resolve_incident
from tests.faults.outside import (
    KILL,
    Crew,
    Mail,
    Outside,
    body_of,
    make_due,
    make_team,
    unfinished,
    use_routes,
)
from tests.faults.world import World, restart_immediately
from tests.sink import Recorded

pytestmark = pytest.mark.django_db(transaction=True)
ROOM = "#incident-response"
LATER = "451 later"
# A claim of this length has to lapse before another sender follows one that died; then the next sweep.
UNTIL_FOLLOWED_SECONDS = 30 + 5
UNTIL_RESCUED_SECONDS = 30  # by the watchdog
AFTER_A_RESTART_SECONDS = 60
THOUSAND_SECONDS = 120  # a thousand mails by two processes on two cores take most of a minute anyway


def long(*values: object) -> Any:
    """For `make faults` alone."""
    return pytest.param(*values, marks=pytest.mark.faults)


@pytest.fixture
def outside(world: World) -> Iterator[Outside]:
    with Outside(world) as outside:
        yield outside


def declare(title: str = "Checkout fails", severity: str = "P1") -> Incident:
    return declare_incident(actor=SYSTEM, now=utcnow(), title=title, severity=severity)


def post(incident: Incident, actor: Actor, *numbers: int) -> None:
    for number in numbers:
        post_update(incident_id=incident.pk, message=f"number {number:04}", actor=actor, now=utcnow())


def number_in(text: str) -> int:
    """Which update it is; 0: the alert of the incident."""
    found = re.search(r"number (\d{4})", text)
    return int(found[1]) if found else 0


def until_over(outside: Outside, messages: int, seconds: float) -> float:
    """Until so many events are routed and nothing waits any more; returns the seconds."""
    began = time.monotonic()

    def is_over() -> bool:
        routed = Delivery.objects.values("event").distinct().count()
        return routed >= messages and not unfinished()

    outside.world.until(is_over, f"{messages} messages", seconds)
    return time.monotonic() - began


def states() -> dict[str, int]:
    return dict(Counter(Delivery.objects.values_list("state", flat=True)))


# --- senders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("updates", "team", "kills", "threads", "claim"),
    [(3, 3, 1, 1, "3"), long(24, 12, 14, 1, "8"), long(24, 12, 14, 4, "8")],
)
def test_a_sender_killed_between_sending_and_marking_again_and_again(
    updates: int, team: int, kills: int, threads: int, claim: str, outside: Outside, commander: Actor
) -> None:
    """Each time by the receiver, who has it: another sender follows, and nobody reads it twice but for that."""
    make_team(team)
    struck: list[str] = []
    every = (updates + 1) * (team + 1) // (kills + 1)

    def answer(mail: Mail) -> str:
        wanted = len(outside.mail.mails) >= every * (len(struck) + 1)
        if wanted and len(struck) < kills and mail.key not in outside.copies_of_mails():
            struck.append(mail.key)
            return KILL
        return "250 taken"

    outside.mail.answer = answer
    incident = declare()
    post(incident, commander, *range(1, updates + 1))
    with Crew(outside, 2, FAULTS_THREADS=str(threads), FAULTS_CLAIM_SECONDS=claim) as crew:
        took = until_over(outside, updates + 1, 240)
    copies = outside.copies_of_mails()
    twice = copies.total() - len(copies)
    print(f"{kills} kills, {twice} of {len(copies)} mails twice, all sent after {took:.1f} s")
    assert set(states()) == {"sent"}
    assert len(copies) == (updates + 1) * (team + 1)
    assert len(struck) == kills <= crew.deaths
    assert all(copies[key] == 2 for key in struck), "whoever was killed had sent it, and another one followed"
    assert twice <= kills * threads, "no more twice than were being sent"
    assert max(copies.values()) <= 1 + kills


@pytest.mark.faults
def test_a_sender_that_died_is_followed_within_half_a_minute(outside: Outside) -> None:
    """With the times of production."""
    died: list[float] = []

    def answer(mail: Mail) -> str:
        if died:
            return "250 taken"
        died.append(time.monotonic())
        return KILL

    outside.mail.answer = answer
    declare()
    with Crew(outside, 2, FAULTS_REAL_LEASES="1"):
        until_over(outside, 1, 90)
    took = outside.mail.mails[-1].at - died[0]
    print(f"followed after {took:.1f} s")
    assert took <= UNTIL_FOLLOWED_SECONDS


@pytest.mark.faults
def test_a_room_reads_in_order_whoever_dies(outside: Outside, commander: Actor) -> None:
    """One at a time to a recipient: what comes twice comes before what follows it."""
    outside.connect_slack()
    seen: Counter[int] = Counter()

    def mode(request: Recorded) -> str:
        if "/slack/" not in request.path:
            return "ok"
        number = number_in(str(body_of(request)["text"]))
        seen[number] += 1
        return "kill" if number % 3 == 1 and seen[number] == 1 else "ok"

    outside.http.mode = mode
    incident = declare()
    post(incident, commander, *range(1, 13))
    with Crew(outside, 2):
        until_over(outside, 13, 240)
    told = [number_in(text) for to, text in outside.rooms if to == ROOM]
    assert told == sorted(told)
    assert Counter(told) == {number: 2 if number % 3 == 1 else 1 for number in range(13)}


@pytest.mark.faults
def test_one_that_kills_and_one_that_raises_among_a_thousand(outside: Outside, commander: Actor) -> None:
    """The others leave meanwhile, also those to the same person; both are given up, shown, and alarmed of."""
    team = make_team(24)
    incident = declare()
    post(incident, commander, *range(1, 41))
    outside.mail.answer = lambda mail: (
        KILL if (mail.to, number_in(mail.text)) == (team[3], 7) else "250 taken"
    )
    with Crew(outside, 2) as crew:
        raising = outside.world.until(
            Delivery.objects.filter(recipient=team[5], state="pending").order_by("-pk").first, "the last one"
        )
        Delivery.objects.filter(pk=raising.pk).update(recipient=f"{team[5]}\nBcc: all@example.test")
        outside.world.until(lambda: not _not_sent_of(41), "all but two", THOUSAND_SECONDS)
        late = max(mail.at for mail in outside.mail.mails) - min(mail.at for mail in outside.mail.mails)

        def both_are_dead() -> bool:
            make_due(pk=raising.pk)
            return Delivery.objects.filter(state="dead").count() == 2

        outside.world.until(both_are_dead, "the end of both", 120)
        alarms = Delivery.objects.filter(event__kind="delivery.given_up", channel="email", state="sent")
        outside.world.until(alarms.exists, "the alarm", 30)
    print(f"all but two had left {late:.1f} s after the first, {crew.deaths} senders died")
    killing = Delivery.objects.get(recipient=team[3], state="dead")
    raising.refresh_from_db()
    assert number_in(killing.message.body) == 7
    assert (killing.crashes, killing.last_error) == (5, "whoever sends it dies")
    assert (raising.state, raising.crashes, raising.last_error) == ("dead", 5, "ValueError, see the log")
    assert outside.copies_of_mails()[f"<msg_{killing.pk}_{killing.event.hash[:16]}@firebreak>"] == 5
    assert any(one.state_label == "Given up" and one.retry_url for one in list_receipts(killing.message))
    (trouble,) = dead_deliveries()
    assert "2 messages could not be delivered" in trouble.text
    assert Event.objects.filter(kind="delivery.given_up").count() == len(
        {killing.message_id, raising.message_id}
    )
    assert "FIREBREAK ALARM" in " ".join(outside.mail.to("oncall@example.test"))
    assert {number_in(text) for text in outside.mail.to(team[3])} == set(range(41)), "nothing is held up"


def _not_sent_of(messages: int) -> bool:
    """Whether anything but the two waits, or is not routed yet."""
    rows = Delivery.objects.filter(event__kind__in=("incident.declared", "incident.updated"))
    return rows.values("event").distinct().count() < messages or rows.exclude(state="sent").count() > 2


@pytest.mark.parametrize(("updates", "team"), [(4, 24), long(100, 99)], ids=["a hundred", "ten thousand"])
def test_each_leaves_exactly_once(
    updates: int, team: int, broker: EmbeddedValkey, outside: Outside, commander: Actor
) -> None:
    """Of 500 by two processes that sweep, of 10,000 by four workers that two beats and every hint wake."""
    outside.connect_slack()
    make_team(team)
    incident = declare()
    if updates < 100:
        for _ in range(2):
            outside.sender()
    else:
        for name in ("beat", "beat", "comms", "comms", "comms", "comms"):
            outside.of_procfile(name)
    post(incident, commander, *range(1, updates + 1))
    took = until_over(outside, updates + 1, 900)
    number = (updates + 1) * (team + 2)
    print(f"{number} deliveries in {took:.1f} s")
    assert states() == {"sent": number}
    copies = outside.copies_of_mails()
    assert (len(copies), set(copies.values())) == ((updates + 1) * (team + 1), {1})
    everything = list(range(updates + 1))
    assert [number_in(text) for _room, text in outside.rooms] == everything
    read = {
        to: [number_in(text) for text in outside.mail.to(to)]
        for to in {mail.to for mail in outside.mail.mails}
    }
    assert all(numbers == everything for numbers in read.values()), "everybody reads them in their order"


# --- Redis and PostgreSQL ------------------------------------------------------------------------------


@pytest.mark.faults
def test_redis_stopped_for_five_minutes(broker: EmbeddedValkey, outside: Outside) -> None:
    """The watchdog routes and sends, each page within half a minute; when it is back, nothing leaves twice."""
    outside.connect_slack()
    for name in ("comms", "beat", "watchdog"):
        outside.of_procfile(name)
    _page(outside, "with Redis")
    broker.stop()
    until = time.monotonic() + 300
    took: list[float] = []
    while time.monotonic() < until:
        took.append(_page(outside, f"without Redis {len(took)}"))
        time.sleep(5)
    print(f"{len(took)} pages without Redis: {max(took):.1f} s at the most")
    assert max(took) <= UNTIL_RESCUED_SECONDS
    broker.start()
    _page(outside, "with Redis again")
    until_over(outside, len(took) + 2, 60)
    assert set(outside.copies_of_mails().values()) == {1}
    assert set(Counter(text for _room, text in outside.rooms).values()) == {1}


def _page(outside: Outside, title: str) -> float:
    """Declare; returns the seconds until mail and room have it."""
    began = time.monotonic()
    declare(title, "P0")

    def is_out() -> bool:
        by_mail = any(title in mail.text for mail in list(outside.mail.mails))
        return by_mail and any(title in text for _room, text in outside.rooms)

    outside.world.until(is_out, title, 90)
    return time.monotonic() - began


@pytest.mark.faults
def test_postgresql_restarted_while_messages_leave(
    database: EmbeddedPostgres, broker: EmbeddedValkey, outside: Outside, commander: Actor
) -> None:
    """As by a crash: each leaves, and none twice but what was being sent in that moment."""
    outside.connect_slack()
    make_team(19)
    workers = 2
    for name in (*["comms"] * workers, "beat", "watchdog"):
        outside.of_procfile(name)
    outside.mail.answer = _slowly
    incident = declare()
    post(incident, commander, *range(1, 25))
    outside.world.until(lambda: len(outside.mail.mails) >= 100, "the first hundred")
    restart_immediately(database)
    back, before = time.monotonic(), len(outside.mail.mails)
    until_over(outside, 25, 120)
    copies = outside.copies_of_mails()
    took = max(mail.at for mail in outside.mail.mails) - back
    twice = copies.total() - len(copies)
    print(f"{len(copies) - before} mails within {took:.1f} s of the restart, {twice} of all twice")
    assert set(states()) == {"sent"}
    assert len(copies) == 25 * 20
    assert took <= AFTER_A_RESTART_SECONDS
    assert twice <= 4 * (workers + 1), "what four threads of each process were sending"
    assert max(copies.values()) <= 2
    assert {number_in(text) for _room, text in outside.rooms} == set(range(25))
    assert all(process.poll() is None for process in outside.world.processes), "nobody ended over it"


def _slowly(mail: Mail) -> str:
    time.sleep(0.02)
    return "250 taken"


# --- channels ------------------------------------------------------------------------------------------


@pytest.mark.faults
def test_all_channels_down_for_half_an_hour(outside: Outside, commander: Actor) -> None:
    """Tried again, the next way within a minute; then what was overtaken is superseded, the rest in order."""
    outside.connect_slack()
    outside.connect_twilio()
    team = make_team(4)
    for n, address in enumerate(team):
        Contact.objects.filter(email=address).update(phone=f"+4930123456{n}", chat=f"U012AB3C{n}")
    outside.mail.answer = lambda _mail: LATER
    outside.http.mode = "500"
    began = utcnow()
    incidents = [declare(f"Incident {n}") for n in range(4)]
    for number in (1, 2, 3):
        for incident in incidents:
            post(incident, commander, number)
    outside.sender(FAULTS_REAL_LEASES="1")
    pages = Delivery.objects.filter(event__kind="incident.declared", channel="sms")
    world = outside.world

    def all_fell_through() -> bool:
        by_voice = Delivery.objects.filter(channel="voice", attempts__gt=0)
        wanted, found = (set(rows.values_list("contact", "event")) for rows in (pages, by_voice))
        return len(wanted) == len(incidents) * len(team) and found >= wanted

    world.until(all_fell_through, "everybody's next way", 90)
    took = (utcnow() - began).total_seconds()
    print(f"everybody's next way was tried within {took:.1f} s")
    assert took <= 60
    for _ in range(5):  # half an hour of attempts, as if the waits were over
        world.until(_tried_all, "an attempt at everything", 60)
        Delivery.objects.update(created_at=F("created_at") - dt.timedelta(minutes=6))
        make_due()
    assert outside.mail.mails == []
    assert set(states()) <= {"pending", "retrying", "sending", "superseded"}, "nothing is lost"

    for incident in incidents[:2]:
        resolve_incident(incident_id=incident.pk, resolution="passed", actor=commander, now=utcnow())
    world.until(_tried_all, "an attempt at everything", 60)
    outside.http.requests.clear()
    outside.http.mode, outside.mail.answer = "ok", lambda _mail: "250 taken"
    back = time.monotonic()
    # One of each channel is tried, as its time comes; that it works brings the others.
    for channel in ("incident_response", "email"):
        waiting = Delivery.objects.filter(channel=channel, state="retrying", event__kind="incident.updated")
        first = waiting.order_by("due_at", "pk").first()
        assert first is not None
        make_due(pk=first.pk)

    waited = Delivery.objects.filter(channel__in=("incident_response", "email"))
    under_way = waited.filter(state__in=("pending", "retrying", "sending"))
    world.until(lambda: not under_way.exists(), "what waited", 60)
    print(f"what waited left within {time.monotonic() - back:.1f} s")
    alerts = waited.filter(event__kind="incident.declared")
    over = alerts.filter(message__incident__in=incidents[:2])
    assert set(over.values_list("state", flat=True)) == {"superseded"}
    assert set(alerts.exclude(pk__in=over).values_list("state", flat=True)) == {"sent"}
    for texts in ([text for room, text in outside.rooms if room == ROOM], *map(outside.mail.to, team)):
        for n, incident in enumerate(incidents):
            about = [text for text in texts if incident.ref in text and "RESOLVED" not in text]
            assert [number_in(text) for text in about] == ([1, 2, 3] if n < 2 else [0, 1, 2, 3])


def _tried_all() -> bool:
    """Nothing is due or under way: what is left waits out a failure or a limit."""
    rows = Delivery.objects.filter(state__in=("pending", "retrying", "sending"))
    return not rows.filter(due_at__lte=utcnow()).exists() and not rows.filter(state="sending").exists()


# Who is what in the sink: of two that share an address, the room and the person, the SMS and the call.
HTTP: dict[str, Callable[[Recorded], bool]] = {
    "room": lambda request: "/slack/" in request.path and body_of(request)["channel"] == ROOM,
    "chat": lambda request: "/slack/" in request.path and str(body_of(request)["channel"]).startswith("U"),
    "sms": lambda request: request.path.endswith("/Messages.json"),
    "voice": lambda request: request.path.endswith("/Calls.json"),
    "portal": lambda request: "/apprise" in request.path,
}
CHANNELS = {"room": "incident_response"}  # the others have their names in the playbook
BECOMES = {
    "500": ("retrying", "500"),
    "429": ("retrying", ""),
    "hang": ("retrying", ""),
    "drip": ("retrying", ""),
    "reset": ("retrying", ""),
    "redirect": ("dead", ""),
}
LIMITED = ("sms", "voice")  # one a minute to a number: each round is told somebody else
ONE_ROUTE: list[dict[str, Any]] = [
    {
        "event": "incident.updated", "template": "incident_update", "audiences": ["technical_team"],
        "channels": ["incident_response", "chat", "sms", "voice", "email", "portal"],
    }
]  # fmt: skip


@pytest.fixture
def everywhere(outside: Outside) -> Outside:
    """Every kind of channel is set up, and gets each update of an incident."""
    use_routes(outside.world, ONE_ROUTE, portal={"kind": "apprise", "connection": "portal"})
    outside.connect_slack()
    outside.connect_twilio()
    outside.connect(portal={"url": f"json://{outside.http.host}:{outside.http.port}/apprise"})
    Contact.objects.all().delete()
    return outside


def tell_everywhere(outside: Outside, incident: Incident, actor: Actor, number: int) -> dict[str, Delivery]:
    """An update that a contact gets by every channel; returns the deliveries, once all are routed."""
    Contact.objects.update(active=False)
    Contact.objects.create(
        name=f"n{number}", email=f"n{number}@example.test", phone=f"+4930{number:07}", chat=f"U{number:08}",
        audiences=["technical_team"],
    )  # fmt: skip
    post(incident, actor, number)
    rows = Delivery.objects.filter(message__body__contains=f"number {number:04}")
    outside.world.until(lambda: rows.count() == len(HTTP) + 1, "the routing", 30)
    return {row.channel: row for row in rows}


@pytest.mark.faults
@pytest.mark.parametrize("mode", BECOMES)
def test_what_the_other_side_does_delays_no_other_channel(
    mode: str, everywhere: Outside, commander: Actor
) -> None:
    """Each channel in turn is answered badly: what becomes of its delivery, and the others are on time."""
    outside, incident = everywhere, declare()
    outside.http.redirect_to = f"{outside.http.url}/elsewhere"
    outside.sender(FAULTS_REAL_LEASES="1")
    tell_everywhere(outside, incident, commander, 1)  # libraries take their time once a process
    until_over(outside, 1, 60)
    state, said = BECOMES[mode]
    slowest = 0.0
    for number, (name, is_to) in enumerate(HTTP.items(), start=2):
        outside.http.mode = _only(is_to, mode)
        rows = tell_everywhere(outside, incident, commander, number)
        bad = rows.pop(CHANNELS.get(name, name))
        slowest = max(slowest, *_until_sent(outside, rows.values()))
        bad = _until_tried(outside, bad)
        assert (bad.state, bad.attempts) == (state, 1), f"{name}: {bad.last_error}"
        assert said in bad.last_error and bad.last_error
        if mode == "429":
            assert bad.due_at - utcnow() > dt.timedelta(seconds=4), f"{name} asked for seven seconds"
        Delivery.objects.filter(pk=bad.pk, state="retrying").update(due_at=utcnow() + dt.timedelta(hours=1))
    print(f"{mode}: the others left within {slowest:.1f} s")
    assert slowest <= 8
    assert outside.at("/elsewhere") == []
    outside.http.mode = "ok"
    make_due(state="retrying")
    outside.world.until(lambda: not unfinished(), "what was put off", 60)
    dead = len(HTTP) if state == "dead" else 0
    assert Counter(states()) == Counter(sent=(len(HTTP) + 1) ** 2 - dead, dead=dead)


def _only(is_to: Callable[[Recorded], bool], mode: str) -> Callable[[Recorded], str]:
    return lambda request: mode if is_to(request) else "ok"


def _until_sent(outside: Outside, rows: Iterable[Delivery]) -> list[float]:
    """How many seconds after it was queued each has left."""
    sent = Delivery.objects.filter(pk__in=[row.pk for row in rows])
    outside.world.until(lambda: not sent.exclude(state="sent").exists(), "the others", 20)
    return [(row.sent_at - row.created_at).total_seconds() for row in sent if row.sent_at and row.created_at]


def _until_tried(outside: Outside, row: Delivery) -> Delivery:
    tried = Delivery.objects.filter(pk=row.pk, attempts__gt=0).exclude(state="sending")
    return outside.world.until(tried.first, "the first attempt", 30)


@pytest.mark.faults
@pytest.mark.parametrize("name", HTTP)
def test_a_channel_whose_receiver_kills_the_worker_and_then_takes_it(
    name: str, everywhere: Outside, commander: Actor
) -> None:
    outside, is_to, seen = everywhere, HTTP[name], threading.Event()

    def mode(request: Recorded) -> str:
        if not is_to(request) or seen.is_set():
            return "ok"
        seen.set()
        return "kill"

    outside.http.mode = mode
    incident = declare()
    with Crew(outside, 1, FAULTS_CLAIM_SECONDS="15") as crew:
        rows = tell_everywhere(outside, incident, commander, 1)
        outside.world.until(lambda: not unfinished(), "every delivery", 90)
    assert crew.deaths == 1
    assert states() == {"sent": len(HTTP) + 1}
    bad = Delivery.objects.get(pk=rows[CHANNELS.get(name, name)].pk)
    assert (bad.crashes, bad.attempts) == (1, 1)
    asked = [request for request in outside.http.requests if is_to(request)]
    assert len(asked) == 2
    assert asked[0].body == asked[1].body, "the same once more"
