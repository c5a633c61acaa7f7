"""The pure rules of telling people: forms, retries, limits, quiet hours, reach, routing."""

from __future__ import annotations

import datetime as dt
import html
import re
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.playbook import Route
from comms.rules.forms import SMS_LENGTH, as_blocks, as_html, as_sms, bundled, gsm, septets
from comms.rules.limits import LIMITS, allowed_at
from comms.rules.quiet_hours import quiet_until
from comms.rules.reach import Person, Recipient, Way, next_way, ways_of
from comms.rules.retries import GIVE_UP_SECONDS, MOST_RETRY_AFTER, WAITS, next_wait
from comms.rules.routing import Group, plan, recipients
from comms.states import Means

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
ALERT = """INCIDENT ALERT - P1 High

Incident ID: INC-2026-11-20-0001
Severity: P1

Description:
<b>Login</b> & more
see https://shop.test/x?a=1&b=2.

Actions Taken:
- one
- two

Updates will be provided every 1 h
"""


class Read(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(made: str) -> Read:
    parser = Read()
    parser.feed(made)
    return parser


class TestForms:
    def test_html_has_the_structure_and_only_real_links(self) -> None:
        found = read(as_html(ALERT, action=("Acknowledge", "https://fb.test/a/1?x=<")))
        assert "b" not in found.tags
        assert found.links == ["https://shop.test/x?a=1&b=2", "https://fb.test/a/1?x=<"]
        assert "<b>Login</b> & more" in found.text
        assert found.tags.count("li") == 2
        assert "Actions Taken" in found.text

    @given(st.text(max_size=300))
    def test_no_text_becomes_markup(self, text: str) -> None:
        found = read(as_html(f"Title\n\n{text}"))
        assert set(found.tags) <= {"html", "head", "meta", "body", "h1", "h2", "p", "strong", "ul", "li", "a"}
        assert all(link.startswith(("http://", "https://")) for link in found.links)

    @given(st.text(max_size=200))
    def test_every_letter_of_a_line_is_in_the_html(self, text: str) -> None:
        line = " ".join(text.split())
        inner = re.sub(r"<[^>]*>", "", as_html(f"Title\n\nx{line}"))
        assert f"x{line}" in html.unescape(inner)

    def test_blocks_are_plain_texts_within_slacks_limits(self) -> None:
        blocks = as_blocks(
            ALERT + "\n" + "x" * 9000 + "\n\n" + "p\n\n" * 80, action=("Open", "https://fb.test/")
        )
        assert blocks[0]["text"]["text"] == "INCIDENT ALERT - P1 High"
        assert [one["text"] for one in blocks[1]["fields"]] == [
            "Incident ID: INC-2026-11-20-0001",
            "Severity: P1",
        ]
        assert len(blocks) <= 50
        assert blocks[-1]["elements"][0]["url"] == "https://fb.test/"
        texts = [block["text"] for block in blocks if "text" in block]
        assert all(text["type"] == "plain_text" and len(text["text"]) <= 3000 for text in texts)
        assert any("Description:\n<b>Login</b> & more" in text["text"] for text in texts)

    @given(st.text(max_size=300))
    def test_an_sms_is_one_line_of_160(self, text: str) -> None:
        made = as_sms(text, link="https://fb.test/a/0123456789")
        assert septets(made) <= SMS_LENGTH
        assert made.endswith("https://fb.test/a/0123456789")
        assert gsm(made) == made
        assert "\n" not in made

    def test_what_an_sms_lacks_becomes_something_that_can_be_read(self) -> None:
        assert as_sms("Müller – “déjà vu” … ő 火\u202e\u0301") == 'Müller - "déjà vu" ... o ?'
        assert as_sms("€" * 100) == "€" * 78 + "..."
        assert as_sms("short", link="x" * 120) == "short"

    def test_a_bundle_says_how_many_and_the_newest(self) -> None:
        assert as_sms(bundled(["P0 down", "P1 slow"])) == "2 messages. P0 down / P1 slow"


class TestRetries:
    @given(
        st.integers(1, 200),
        st.floats(0, GIVE_UP_SECONDS - 1),
        st.floats(0, 1),
        st.none() | st.floats(0, 1e6),
    )
    def test_waits_stay_within_a_fifth_and_honour_what_was_asked(
        self, attempts: int, age: float, chance: float, after: float | None
    ) -> None:
        wait = next_wait(attempts, age_seconds=age, chance=chance, retry_after=after)
        assert wait is not None
        usual = WAITS[min(attempts, len(WAITS)) - 1]
        asked = min(after or 0, MOST_RETRY_AFTER)
        assert max(usual * 0.8, asked) <= wait + 1e-9
        assert wait <= max(usual * 1.2, asked) + 1e-9

    def test_after_six_hours_it_is_given_up(self) -> None:
        assert next_wait(3, age_seconds=GIVE_UP_SECONDS, chance=0.5, retry_after=None) is None

    def test_the_second_attempt_falls_within_the_first_minute(self) -> None:
        """Two failures, 10 s each at the most, and the person's next way is on: within 60 s."""
        assert 10 + WAITS[0] * 1.2 + 10 < 60


class TestLimits:
    @given(
        st.lists(st.integers(0, 20_000), min_size=1, max_size=60), st.sampled_from([Means.SMS, Means.VOICE])
    )
    def test_no_window_ever_holds_more_than_its_limit(self, asked: list[int], means: Means) -> None:
        sent: list[dt.datetime] = []
        now = NOON
        for seconds in sorted(asked):
            now = max(now, NOON + dt.timedelta(seconds=seconds))
            now = allowed_at(sent, limits=LIMITS[means], now=now)
            sent.append(now)
        for span, most in LIMITS[means]:
            for moment in sent:
                within = [at for at in sent if moment <= at < moment + dt.timedelta(seconds=span)]
                assert len(within) <= most

    def test_who_was_left_alone_is_rung_at_once(self) -> None:
        assert allowed_at([NOON - dt.timedelta(seconds=60)], limits=LIMITS[Means.SMS], now=NOON) == NOON
        late = allowed_at([NOON - dt.timedelta(seconds=59)], limits=LIMITS[Means.SMS], now=NOON)
        assert late == NOON + dt.timedelta(seconds=1)


class TestQuietHours:
    @pytest.mark.parametrize(
        ("clock", "until"),
        [("21:59", None), ("22:00", "07:00+1"), ("00:30", "07:00"), ("06:59", "07:00"), ("07:00", None)],
    )
    def test_over_midnight_in_berlin(self, clock: str, until: str | None) -> None:
        zone = ZoneInfo("Europe/Berlin")
        now = dt.datetime.combine(dt.date(2026, 11, 20), dt.time.fromisoformat(clock), zone)
        found = quiet_until(now, zone="Europe/Berlin", begin=dt.time(22), end=dt.time(7))
        if until is None:
            assert found is None
        else:
            day = dt.date(2026, 11, 21 if until.endswith("+1") else 20)
            assert found == dt.datetime.combine(day, dt.time(7), zone)

    def test_by_day_and_not_at_all(self) -> None:
        assert quiet_until(NOON, zone="UTC", begin=dt.time(11), end=dt.time(13)) == NOON.replace(hour=13)
        assert quiet_until(NOON, zone="UTC", begin=None, end=None) is None
        assert quiet_until(NOON, zone="UTC", begin=dt.time(12), end=dt.time(12)) is None

    @given(
        st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2035, 1, 1)),  # noqa: DTZ001 - made aware below
        st.sampled_from(
            ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
        ),
        st.times(),
        st.times(),
    )
    def test_they_end_within_a_day_and_then_are_over(
        self, naive: dt.datetime, zone: str, begin: dt.time, end: dt.time
    ) -> None:
        now = naive.replace(tzinfo=dt.UTC)
        over = quiet_until(now, zone=zone, begin=begin, end=end)
        if over is not None:
            assert now < over <= now + dt.timedelta(hours=26)


WAYS = (
    Way("email", Means.EMAIL, True),
    Way("sms", Means.SMS, True),
    Way("voice", Means.VOICE, False),
)
USUAL = (Means.SMS, Means.VOICE, Means.CHAT, Means.EMAIL)


def person(number: int = 1, **changed: object) -> Person:
    addresses = {Means.EMAIL: f"{number}@x.test", Means.SMS: f"+{number}", Means.VOICE: f"+{number}"}
    return Person(**{"contact": number, "name": str(number), "addresses": addresses} | changed)  # type: ignore[arg-type]


class TestReach:
    def test_own_order_first_and_what_is_not_set_up_last(self) -> None:
        own = person(order=(Means.VOICE, Means.EMAIL))
        assert [one.channel for one in ways_of(own, WAYS, USUAL)] == ["email", "sms", "voice"]
        assert [one.channel for one in ways_of(person(), WAYS, USUAL)] == ["sms", "email", "voice"]

    def test_who_has_no_address_is_not_reached_that_way(self) -> None:
        assert ways_of(person(addresses={Means.CHAT: "U1"}), WAYS, USUAL) == []

    def test_the_next_way_is_another_one_that_is_set_up(self) -> None:
        assert next_way(person(), WAYS, USUAL, tried={"sms"}) == Recipient("email", "1@x.test", 1)
        assert next_way(person(), WAYS, USUAL, tried={"sms", "email"}) is None


def route(**changed: object) -> Route:
    made = {
        "event": "incident.declared",
        "template": "incident_alert",
        "audiences": ["severity"],
        "channels": ["email"],
    }
    return Route.model_validate(made | changed)


class TestRouting:
    def test_routes_of_one_template_are_one_message(self) -> None:
        routes = [
            route(),
            route(when={"kind": "security"}, audiences=["security_team"], channels=["email", "room"]),
            route(when={"severity": ["P2", "P3"]}, template="incident_update"),
        ]
        (one,) = plan(
            routes,
            kind="incident.declared",
            facts={"kind": "security", "severity": "P0"},
            severity_audiences=["technical_team"],
        )
        assert (one.audiences, one.channels) == (("technical_team", "security_team"), ("email", "room"))

    @pytest.mark.parametrize("level", [1, 2, 3])
    def test_a_list_is_one_of_several(self, level: int) -> None:
        found = plan([route(when={"security_level": [1, 2]})], kind="incident.declared",
                     facts={"security_level": level}, severity_audiences=["management"])  # fmt: skip
        assert bool(found) == (level < 3)

    def test_a_place_is_told_once_and_each_person_once_a_channel(self) -> None:
        groups = [
            Group(("a",), ("room", "email"), page=True),
            Group(("b",), ("room", "email"), page=False),
        ]
        found = recipients(
            groups,
            places=["room"],
            people={"a": [person(1)], "b": [person(1), person(2)]},
            ways=WAYS,
            usual=USUAL,
        )
        assert found == {
            Recipient("room", "room"): True,
            Recipient("sms", "+1", 1): True,
            Recipient("email", "1@x.test", 1): False,
            Recipient("email", "2@x.test", 2): False,
        }
