"""Panels rendered once for many: for whom, how new, and what a stream tells who comes late."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection, connections
from django.test import Client

from core import live, live_batches, live_panels, live_stream, logs
from core.actors import Actor
from core.live import Position
from core.live_batches import PanelDoor
from core.live_panels import Asked, Rendering, SharedPanels, answer
from core.models import User
from core.operation import requests
from incidents.models import Incident, RoleGrant, Service
from incidents.services.incidents import declare_incident, edit_incident
from incidents.services.people import assign_role
from incidents.views import pages
from tests.signing_in import sign_in

SHARED = "header,next,checklists,people,timeline,checks,alerts,facts"


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    live_panels.shared_panels.forget()
    yield
    live_panels.shared_panels.forget()


def browser_of(user: User) -> Client:
    browser = Client()
    sign_in(browser, user)
    return browser


def asked(query: str = "panels=a", path: str = "/") -> Asked:
    found = Asked.read(path, query)
    assert found is not None
    return found


def panels(browser: Client, address: str, keys: str = SHARED, **more: str) -> dict[str, dict[str, str]]:
    answer = browser.get(address, {"panels": keys, **more})
    assert answer.status_code == 200
    found: dict[str, dict[str, str]] = answer.json()["panels"]
    return found


# --- what a reading has seen -----------------------------------------------------------------------


def test_a_position_knows_what_it_saw() -> None:
    position = Position.parse("10:20:12,15")
    assert position is not None
    assert [position.sees(change) for change in (9, 10, 12, 15, 19, 20)] == [
        True, True, False, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "1", "1:2", "a:b:", "1:2:3,", "1:2:3,,4", "1:2:" + "9" * 30, "١:٢:"])
def test_what_is_no_position_is_none(text: str) -> None:
    assert Position.parse(text) is None


@pytest.mark.django_db(transaction=True)
def test_a_notification_names_its_transaction_and_a_position_sees_it_only_afterwards() -> None:
    with connection.cursor() as cursor:
        before = Position.parse(live.position())
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        change = cursor.fetchone()[0]
        after = Position.parse(live.position())
    assert before is not None
    assert after is not None
    assert (before.sees(change), after.sees(change)) == (False, True)


# --- the stream --------------------------------------------------------------------------------------


def hub_that_listens(now_at: str = "100:100:") -> live_stream.Hub:
    hub = live_stream.Hub()
    hub._listener = asyncio.create_task(asyncio.sleep(3600))
    hub._begin(Position.parse(now_at))
    return hub


def told(events: Sequence[str]) -> list[Any]:
    return [json.loads(event.split("data: ")[1])["topics"] for event in events]


async def first_events(hub: live_stream.Hub, since: str = "", last: str = "") -> list[str]:
    """What a reader is told at once."""
    found: list[str] = []
    stream = hub.read(Position.parse(since), last)
    while True:
        try:
            found.append(await asyncio.wait_for(anext(stream), 0.05))
        except TimeoutError:
            return found


def say(hub: live_stream.Hub, change: int, *topics: str) -> None:
    hub._hear(json.dumps({"change": change, "topics": topics}))


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("102:102:", []),  # the page saw everything: it is asked for nothing
        ("101:101:", [["b"]]),
        ("100:102:100", [["a"]]),  # the transaction that was still running is the one it misses
        ("100:100:", [["a"], ["b"]]),
        ("99:102:99", [["resync"]]),  # before anybody listened
        ("", [["resync"]]),
        ("nonsense", [["resync"]]),
    ],
)
def test_who_connects_is_told_what_the_page_has_not_seen(since: str, expected: list[list[str]]) -> None:
    async def story() -> None:
        hub = hub_that_listens()
        say(hub, 100, "a")
        say(hub, 101, "b")
        assert told(await first_events(hub, since)) == expected

    asyncio.run(story())


def test_who_comes_back_is_told_what_came_after_the_last_event() -> None:
    async def story() -> None:
        hub = hub_that_listens()
        say(hub, 100, "a")
        (event,) = await first_events(hub, "100:100:")
        last = event.split("\n")[0].removeprefix("id: ")
        say(hub, 101, "b")
        assert told(await first_events(hub, "100:100:", last)) == [["b"]]
        assert told(await first_events(hub, "", "other-1")) == [["resync"]], "another process"

    asyncio.run(story())


def test_what_is_forgotten_is_not_taken_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "MEMORY_LENGTH", 2)

    async def story() -> None:
        hub = hub_that_listens()
        for change in (100, 101, 102):
            say(hub, change, f"t{change}")
        assert told(await first_events(hub, "100:100:")) == [["resync"]]
        assert told(await first_events(hub, "100:100:", f"{hub.name}-0")) == [["resync"]]
        assert told(await first_events(hub, "101:101:")) == [["t101"], ["t102"]]

    asyncio.run(story())


def test_after_a_break_everybody_fetches_everything() -> None:
    async def story() -> None:
        hub = hub_that_listens()
        stream = hub.read(Position.parse("100:100:"))
        waiting: asyncio.Future[str] = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        hub._begin(Position.parse("200:200:"))
        assert told([await waiting]) == [["resync"]]

    asyncio.run(story())


# --- kept renderings ---------------------------------------------------------------------------------


def rendering(text: str, position: str = "10:10:") -> Rendering:
    return Rendering(text, text, position, time.monotonic())


def test_many_who_ask_at_once_wait_for_one_rendering() -> None:
    shared, made = SharedPanels(), []
    everybody = [asked("panels=a&seen=9") for _ in range(20)]

    def make(keys: Sequence[str]) -> dict[str, Rendering]:
        made.append(keys)
        time.sleep(0.1)
        return {key: rendering("x") for key in keys}

    threads = [threading.Thread(target=shared.obtain, args=("all", one, make)) for one in everybody]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [("a",)]


def test_a_rendering_serves_nobody_who_must_see_more() -> None:
    shared = SharedPanels()
    shared.obtain("all", asked(), lambda keys: {"a": rendering("old")})
    assert shared.find("all", asked("panels=a&seen=9")) is not None
    assert shared.find("all", asked("panels=a&seen=9,10")) is None, "it has not seen change 10"
    assert shared.find("all", asked("panels=a")) is None, "it began before the question"
    assert shared.find("all", asked("panels=a,b&seen=9")) is None
    assert shared.find("others", asked("panels=a&seen=9")) is None
    assert shared.find("all", asked("panels=a&seen=9", "/x/")) is None
    assert shared.find("all", asked("panels=a&seen=9&state=open")) is None, "another page by its filter"


def test_a_rendering_that_failed_keeps_nobody_waiting() -> None:
    shared = SharedPanels()

    def fail(keys: Sequence[str]) -> dict[str, Rendering]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        shared.obtain("all", asked(), fail)
    assert shared.obtain("all", asked(), lambda keys: {"a": rendering("x")})["a"].html == "x"


@pytest.mark.parametrize(
    "query", ["", "panels=", "panels=..%2Fx", "panels=a b", "panels=a&seen=x", "panels=a&seen=" + "9" * 40,
              "panels=" + ",".join(f"a{n}" for n in range(40)), "&".join(f"a{n}=1" for n in range(200))],
)  # fmt: skip
def test_what_is_no_question_is_none(query: str) -> None:
    assert Asked.read("/", query) is None


# --- who sees the same -------------------------------------------------------------------------------


@pytest.fixture
def people(make_user: Callable[..., User]) -> dict[str, User]:
    return {
        "vic": make_user("vic", "viewer"),
        "val": make_user("val", "viewer"),
        "rob": make_user("rob", "responder"),
        "ria": make_user("ria", "responder", "technical_lead"),
        "cid": make_user("cid", "commander"),
    }


def test_two_who_see_the_same_cost_one_rendering(
    people: dict[str, User], incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Sequence[str]] = []
    render_all = live_panels.render_all

    def counting(keys: Sequence[str], *how: Any) -> dict[str, Rendering]:
        made.append(keys)
        return render_all(keys, *how)

    monkeypatch.setattr("core.views.reading.render_all", counting)
    address = f"/incidents/{incident.ref}/"
    first = panels(browser_of(people["vic"]), address, "header", seen="3")
    assert panels(browser_of(people["val"]), address, "header", seen="3") == first
    assert len(made) == 1
    again = panels(browser_of(people["val"]), address, "header", seen="3", have=first["header"]["digest"])
    assert "html" not in again["header"], "what the reader has is not sent again"
    panels(browser_of(people["rob"]), address, "header", seen="3")
    assert len(made) == 2, "who may do more sees more"
    panels(browser_of(people["val"]), address, "header")
    assert len(made) == 3, "without a change that it must show, it is rendered anew"


def test_nobody_gets_another_ones_buttons_names_or_tokens(
    people: dict[str, User], incident: Incident, commander: Actor, now: dt.datetime
) -> None:
    address = f"/incidents/{incident.ref}/"
    found = {name: panels(browser_of(user), address, seen="3") for name, user in people.items()}
    texts = {name: "".join(one["html"] for one in shown.values()) for name, shown in found.items()}
    for name, text in texts.items():
        assert "csrfmiddlewaretoken" not in text, "a token belongs to one session"
        assert not re.search(rf"\b{name}\b", text)
    assert texts["vic"] == texts["val"] != texts["rob"]
    take = f"/incidents/{incident.ref}/roles/technical_lead/take/"
    assert [name for name, text in texts.items() if take in text] == ["ria"]
    assert [name for name, text in texts.items() if "/assign/" in text] == ["cid"]
    assert f"{address}acknowledge/" not in texts["vic"]
    assert f"{address}acknowledge/" in texts["rob"]
    # Who took a role is the only one who may give it back, and no longer among those who may not.
    RoleGrant.objects.create(user=people["rob"], role="technical_lead")
    ria = Actor(kind=commander.kind, label="ria", level=commander.level, user_id=people["ria"].pk)
    assign_role(incident_id=incident.pk, role="technical_lead", username="ria", actor=ria, now=now)
    release = f"/incidents/{incident.ref}/roles/technical_lead/release/"
    shown = {
        name: panels(browser_of(people[name]), address, "people", seen="3")["people"]["html"]
        for name in ("ria", "rob")
    }
    assert [name for name, text in shown.items() if release in text] == ["ria"]


@pytest.mark.parametrize("level", ["viewer", "responder", "commander"])
def test_who_has_one_audience_is_really_shown_the_same(
    make_user: Callable[..., User], incident: Incident, shop: Service, level: str
) -> None:
    """Of every panel on every shared page; what is somebody's own belongs in the audience, or on another page."""
    pair = [browser_of(make_user(name, level, "technical_lead")) for name in ("anna", "otto")]
    for address in ("/", "/incidents/", f"/incidents/{incident.ref}/", "/services/", "/services/shop/"):
        keys = ",".join(re.findall(r'id="panel-(\w+)"', pair[0].get(address).content.decode()))
        assert "," in keys
        shown = []
        for browser in pair:
            live_panels.shared_panels.forget()
            shown.append({key: one["html"] for key, one in panels(browser, address, keys).items()})
        for key, html in shown[0].items():
            assert html == shown[1][key], (address, key)


def test_a_restricted_incident_comes_out_of_nobody_elses_rendering(
    people: dict[str, User], commander: Actor, now: dt.datetime, shop: Service
) -> None:
    secret = declare_incident(
        actor=commander, now=now, title="Stolen keys", severity="P1", services=["shop"], restricted=True
    )
    RoleGrant.objects.create(user=people["cid"], role="security_lead")
    cid, vic = browser_of(people["cid"]), browser_of(people["vic"])
    address = f"/incidents/{secret.ref}/"
    for at, keys in (("/", "incidents"), ("/incidents/", "list"), ("/services/shop/", "incidents")):
        assert "Stolen keys" in panels(cid, at, keys, seen="3")[keys]["html"], at
        assert "Stolen keys" not in panels(vic, at, keys, seen="3")[keys]["html"], at
    assert panels(cid, address, "header", seen="3")
    assert vic.get(address, {"panels": "header", "seen": "3"}).status_code == 404
    # What a viewer's equal rendered before it was restricted is nothing for a viewer afterwards.
    open_one = declare_incident(actor=commander, now=now, title="Leak", severity="P1", services=["shop"])
    address = f"/incidents/{open_one.ref}/"
    assert panels(vic, address, "header", seen="3")
    assert "Leak" in panels(vic, "/", "incidents")["incidents"]["html"]
    Incident.objects.filter(pk=open_one.pk).update(restricted=True)
    assert vic.get(address, {"panels": "header", "seen": "3"}).status_code == 404
    assert "Leak" not in panels(vic, "/", "incidents", seen="3")["incidents"]["html"]


def test_what_a_rendering_has_seen_is_asked_before_anything_is_read(
    people: dict[str, User], incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed in between would count as shown, and nobody would ask again."""
    order: list[str] = []
    for where, name in ((live, "position"), (pages, "get_incident")):
        real = getattr(where, name)

        def noting(*args: Any, real: Any = real, name: str = name) -> Any:
            order.append(name)
            return real(*args)

        monkeypatch.setattr(where, name, noting)
    panels(browser_of(people["rob"]), f"/incidents/{incident.ref}/", "header")
    assert order == ["position", "get_incident"]


def test_only_what_is_asked_for_is_read(
    people: dict[str, User], incident: Incident, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    rob = browser_of(people["rob"])
    prices = {"checks": 14, "timeline": 14, "header": 16, "facts": 14, "people": 15, "tasks": 15}
    for key, price in prices.items():
        with django_assert_max_num_queries(price):
            panels(rob, f"/incidents/{incident.ref}/", key)
    with django_assert_max_num_queries(17):
        panels(rob, "/", "incidents")
    with django_assert_max_num_queries(12):
        panels(rob, "/", "banners")


# --- requests that come together ---------------------------------------------------------------------


class Site:
    """Django behind the door, as an ASGI server would ask both."""

    def __init__(self) -> None:
        self.passed_on = 0
        self.headers: dict[bytes, bytes] = {}
        self.door = PanelDoor(self._django)

    async def _django(self, scope: Any, receive: Any, send: Any) -> None:
        self.passed_on += 1
        await asyncio.to_thread(self._ask, scope)
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _ask(self, scope: Any) -> None:
        try:
            browser = Client()
            browser.cookies["sessionid"] = scope["headers"][0][1].decode().partition("=")[2]
            browser.get(f"{scope['path']}?{scope['query_string'].decode()}")
        finally:
            connections.close_all()

    async def get(self, session: str, path: str, query: str) -> tuple[int, bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": path, "query_string": query.encode(),
            "headers": [(b"cookie", f"sessionid={session}".encode()), (b"x-request-id", b"request-17")],
        }  # fmt: skip
        await self.door(scope, None, send)  # type: ignore[arg-type]
        self.headers = dict(sent[0]["headers"])
        return sent[0]["status"], sent[1]["body"]


@pytest.mark.django_db(transaction=True)
def test_fifty_who_come_together_cost_one_rendering_and_each_is_looked_at(
    people: dict[str, User], commander: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = declare_incident(actor=commander, now=now, title="Slow", severity="P2")
    path = f"/incidents/{incident.ref}/"
    sessions = {name: browser_of(user).cookies["sessionid"].value for name, user in people.items()}
    looks: list[int] = []
    look = live_batches._look

    def counting(asked: Sequence[tuple[str, str]]) -> list[Any]:
        looks.append(len(asked))
        try:
            return look(asked)
        finally:
            connections.close_all()

    monkeypatch.setattr(live_batches, "_look", counting)

    async def story() -> None:
        site = Site()
        names = ["vic", "val"] * 25
        answers = await asyncio.gather(
            *(site.get(sessions[name], path, "panels=header&seen=3") for name in names)
        )
        assert site.passed_on == 1
        assert [status for status, _body in answers].count(200) == 49
        assert len({body for status, body in answers if status == 200}) == 1
        assert len(looks) <= 3
        edit_incident(incident_id=incident.pk, title="Slower", actor=commander, now=now)
        status, body = await site.get(sessions["val"], path, "panels=header")
        assert (status, site.passed_on) == (299, 2), (
            "what is kept is too old for who asks for everything until now"
        )
        status, body = await site.get(sessions["val"], path, "panels=header&seen=4")
        assert (status, b"Slower" in body) == (200, True)
        await asyncio.to_thread(end_session, sessions["val"])
        assert (await site.get(sessions["val"], path, "panels=header&seen=4"))[0] == 299, "Django refuses it"
        await site.get(sessions["rob"], path, "panels=header&seen=4")
        assert site.passed_on == 4

    def end_session(key: str) -> None:
        Session.objects.filter(session_key=key).delete()
        connections.close_all()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        asyncio.run(story())


@pytest.mark.parametrize("reads", [False, True])
def test_what_the_door_answers_has_headers_a_line_and_a_count_as_what_django_answers(
    monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: pytest.LogCaptureFixture, reads: bool
) -> None:
    path, kept = "/incidents/INC-2026-11-29-0001/", {"header": rendering("x")}
    monkeypatch.setattr(
        live_batches, "_look", lambda asked: [live_batches._Asker("all", 7) for _one in asked]
    )
    question = "panels=header&seen=9&token=hunter2"
    one = asked(question, path)
    live_panels.shared_panels.obtain("all", one, lambda _keys: kept)
    monkeypatch.setenv("LOG_FORMAT", "json")
    caplog.set_level(logging.INFO)
    settings.DJANGO_STRUCTLOG_STATUS_DEFAULT_LOG_LEVEL = logging.INFO if reads else logging.DEBUG
    counted = (
        "firebreak_http_requests_total",
        {"route": "incidents/<slug:ref>/", "method": "GET", "status": "2xx"},
    )
    before = requests.registry.get_sample_value(*counted) or 0
    site = Site()
    assert asyncio.run(site.get("s", path, question)) == (200, answer(one, kept))
    assert requests.registry.get_sample_value(*counted) == before + 1
    assert site.headers[b"x-request-id"] == b"request-17"
    assert (site.headers[b"cache-control"], site.headers[b"x-content-type-options"]) == (
        b"no-store",
        b"nosniff",
    )
    lines = [json.loads(logs.formatter().format(record)) for record in caplog.records]
    assert len(lines) == reads, "people are told only of what was refused or failed"
    for line in lines:
        assert (line["code"], line["user_id"], line["request_id"]) == (200, 7, "request-17")
        assert (line["incident"], line["seconds"] < 5) == ("INC-2026-11-29-0001", True)
        assert line["request"].startswith(f"GET {path}?panels=header")
        assert "hunter2" not in line["request"]


def test_who_comes_one_after_the_other_is_looked_at_together_and_few_render_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    under_way = [0]

    def look(asked: Sequence[tuple[str, str]]) -> list[Any]:
        looks.append(len(asked))
        return [live_batches._Asker(session, 7) for session, _path in asked]  # nobody sees the same

    async def django(scope: Any, receive: Any, send: Any) -> None:
        under_way.append(under_way[-1] + 1)
        await asyncio.sleep(0.01 if b"stuck" not in scope["query_string"] else 3600)
        under_way.append(under_way[-1] - 1)

    async def story() -> None:
        site = Site()
        site.door = PanelDoor(django)

        def come(number: int, query: str = "panels=header&seen=9") -> asyncio.Task[Any]:
            scope = {
                "type": "http", "method": "GET", "path": "/", "query_string": query.encode(),
                "headers": [(b"cookie", b"sessionid=%d" % number)],
            }  # fmt: skip
            return asyncio.create_task(site.door(scope, None, None))  # type: ignore[arg-type]

        tasks = []
        for number in range(40):
            tasks.append(come(number))
            await asyncio.sleep(0.005)
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert len(looks) < 20
        assert max(under_way) == live_batches.RENDERINGS_AT_ONCE
        monkeypatch.setattr(live_batches, "TURN_SECONDS", 0.05)
        stuck = [come(number, "panels=stuck&seen=9") for number in range(4)]
        await asyncio.wait_for(come(99), 5)
        for task in stuck:
            task.cancel()

    monkeypatch.setattr(live_batches, "_look", look)
    asyncio.run(story())
