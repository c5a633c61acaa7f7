"""Searching texts: what is found by what, how soon after it was written, and for whom."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given
from hypothesis import strategies as st

from core.actors import Actor
from core.search import Period, search
from incidents.models import Incident, ReportText, SearchDocument, SearchMark, Service
from incidents.rules.words import folded, read_search
from incidents.selectors.full_text import TextFilters, search_texts
from incidents.services import searching
from incidents.services.incidents import declare_incident, resolve_incident
from incidents.services.notes import add_note
from incidents.services.people import add_responder
from incidents.services.searching import keep_documents
from tests.reporting import publish_report_of

pytestmark = pytest.mark.django_db

TEXTS = (
    "'; DROP TABLE incidents_incident; --", "%s %(x)s %%", "\\", "<script>alert(1)</script>", "a & ! | b <-> c :*",
    '"', "-", "--x", "x" * 5_000, "\u202e\u200b", "''\"\"((", "{{ 7 * 7 }}", "or or or",
)  # fmt: skip


@pytest.fixture
def viewer(make_actor: Callable[..., Actor]) -> Actor:
    return make_actor("vic", "viewer")


def declare(actor: Actor, now: dt.datetime, title: str = "Something", **more: Any) -> Incident:
    return declare_incident(actor=actor, now=now, **{"title": title, "severity": "P2", **more})


def refs(actor: Actor, text: str, **filters: Any) -> list[str]:
    return [hit.ref for hit in search_texts(actor, text, TextFilters(**filters)).hits]


def test_every_text_of_an_incident_is_found_and_shown_where_it_stands(
    commander: Actor, viewer: Actor, shop: Service, now: dt.datetime
) -> None:
    one = declare(
        commander, now, "Checkout fails", description="The certificate expired.", impact="Baskets vanish",
        services=["shop"],
    )  # fmt: skip
    add_note(
        incident_id=one.pk, summary="Restarted the pgbouncer pool", kind="note", actor=commander, now=now
    )
    resolve_incident(
        incident_id=one.pk, resolution="Renewed by hand", root_cause="A cron job had died",
        actor=commander, now=now,
    )  # fmt: skip
    publish_report_of(one, now=now)
    ReportText.objects.filter(report__incident=one).update(text="Lessons about quinces")
    other = declare(commander, now, "Login is slow")
    assert keep_documents(now=now) == 2
    for text, excerpt in (
        ("checkout", None), ("certificate expired", "certificate"), ("baskets", "Baskets"), ("pgbouncer", "pgbouncer"),
        ("renewed", "Renewed"), ("cron", "cron"), ("quince", "quinces"), ("shop", None), ("expire failing", "expired"),
    ):  # fmt: skip
        page = search_texts(viewer, text, TextFilters())
        assert [hit.ref for hit in page.hits] == [one.ref], text
        marked = [piece for piece, found in page.hits[0].excerpt if found]
        assert excerpt is None or excerpt in marked, (text, page.hits[0].excerpt)
    assert refs(viewer, "slow") == [other.ref]
    (hit,) = [hit for hit in search(viewer, "pgbouncer").hits if hit.kind == "text"]
    assert (hit.key, hit.label) == (one.ref, "Checkout fails")


def test_words_phrases_and_what_must_not_be_there(commander: Actor, viewer: Actor, now: dt.datetime) -> None:
    first = declare(commander, now, "Timeouts at the gateway db-01.example.com", description="release 1.4.2")
    second = declare(
        commander, now, "Gateway timeout again", description="Königsberg cluster, release 1.4.20"
    )
    keep_documents(now=now)
    both = [second.ref, first.ref]
    for text, found in {
        "gateway timeout": both, "TIMEOUT gateway": both, '"gateway timeout"': [second.ref],
        "timeout -again": [first.ref], "timeouts -AGAIN": [first.ref], "again or example": both,
        "1.4.2": [first.ref], "db-01": [first.ref], "db": [first.ref], "konigsberg": [second.ref],
        "KÖNIGSBERG": [second.ref], "-again": [], "the": [first.ref], "gate": [], "": [], '"': [], "!&|": [],
        "timeout or": both,
    }.items():  # fmt: skip
        assert refs(viewer, text) == found, text


def test_filters_and_pages(commander: Actor, viewer: Actor, shop: Service, now: dt.datetime) -> None:
    many = [declare(commander, now + dt.timedelta(days=n), f"Quince {n}") for n in range(25)]
    odd = declare(commander, now, "Quince odd", severity="P0", kind="performance", services=["shop"])
    drill = declare(commander, now, "Quince drill", drill=True)
    keep_documents(now=now)
    page = search_texts(viewer, "quince", TextFilters())
    rest = search_texts(viewer, "quince", TextFilters(), before=page.before)
    found = [hit.ref for hit in (*page.hits, *rest.hits)]
    assert found == [odd.ref, *(incident.ref for incident in reversed(many))]
    assert (len(page.hits), rest.before) == (20, "")
    for filters in ({"severity": "P0"}, {"kind": "performance"}, {"service": "shop"}):
        assert refs(viewer, "quince", **filters) == [odd.ref], filters
    since, until = now + dt.timedelta(days=3), now + dt.timedelta(days=5)
    within = [many[4].ref, many[3].ref]
    assert refs(viewer, "quince", since=since, until=until) == within
    assert [hit.key for hit in search(viewer, "quince", period=Period(since, until)).hits] == within
    assert drill.ref in refs(viewer, "quince", drill=True)


def test_who_need_not_know_finds_no_word_of_a_restricted_incident(
    commander: Actor, viewer: Actor, now: dt.datetime
) -> None:
    secret = declare(commander, now, "Leak", description="of the quinces", restricted=True)
    add_note(incident_id=secret.pk, summary="the medlar too", kind="note", actor=commander, now=now)
    keep_documents(now=now)
    for text in ("leak", "quince", "medlar", f'"{secret.title}"'):
        assert refs(viewer, text) == []
        assert search(viewer, text).hits == ()
        assert refs(commander, text) == [secret.ref]
    add_responder(incident_id=secret.pk, username="vic", actor=commander, now=now)
    assert refs(viewer, "medlar") == [secret.ref]


def test_a_document_is_made_anew_after_an_event_and_only_then(
    commander: Actor, viewer: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "IN_TURN", 0)  # by its events alone
    monkeypatch.setattr(searching, "LOOK_AGAIN", 0)
    declare(commander, now)
    assert keep_documents(now=now) == 0, "what was there before is found in turn"
    one = declare(commander, now)
    assert keep_documents(now=now) >= 1
    assert keep_documents(now=now) == 0
    add_note(incident_id=one.pk, summary="medlar", kind="note", actor=commander, now=now)
    assert refs(viewer, "medlar") == []
    assert keep_documents(now=now) == 1
    assert refs(viewer, "medlar") == [one.ref]


def test_incidents_from_before_are_filled_in_turn_and_what_was_missed_is_found(
    commander: Actor, viewer: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "IN_TURN", 3)
    monkeypatch.setattr(searching, "LOOK_AGAIN", 0)
    for number in range(8):
        declare(commander, now, f"Quince {number}")
    assert keep_documents(now=now) == 8
    lost = SearchDocument.objects.first()
    assert lost is not None
    SearchDocument.objects.filter(pk=lost.pk).update(seq=0)
    assert sum(keep_documents(now=now) for _again in range(4)) == 1
    assert SearchMark.objects.get().event > 0


def test_one_that_cannot_be_made_keeps_no_other_from_being_found(
    commander: Actor, viewer: Actor, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = declare(commander, now, "Poison"), declare(commander, now, "Quince")
    failing = searching._MAKE.replace(
        "SELECT c.id, c.head_seq,", f"SELECT c.id, c.head_seq / (c.id - {bad.pk}) * (c.id - {bad.pk}),"
    )
    monkeypatch.setattr(searching, "_MAKE", failing)
    assert keep_documents(now=now) == 1
    assert refs(viewer, "quince") == [good.ref]


def test_texts_of_any_length_and_kind_make_a_document(
    commander: Actor, viewer: Actor, now: dt.datetime
) -> None:
    longest = "\ufdfa" * 10_000  # each becomes eighteen letters
    declare(commander, now, "Quince one", description=longest, impact=" ".join(f"w{n}" for n in range(3_000)))
    declare(commander, now, "Quince two", description="\U00020000" * 20_000)
    for text in TEXTS:
        declare(commander, now, "Quince three", description=text.replace("\0", "")[:20_000])
    assert keep_documents(now=now) == 2 + len(TEXTS)
    for text in TEXTS:
        search_texts(viewer, text, TextFilters())


def test_the_price_does_not_depend_on_how_much_is_found(
    commander: Actor, viewer: Actor, now: dt.datetime
) -> None:
    def price() -> int:
        keep_documents(now=now)
        with CaptureQueriesContext(connection) as captured:
            search_texts(viewer, "quince", TextFilters(kind="operational"))
        return len(captured)

    declare(commander, now, "Quince")
    few = price()
    for _more in range(30):
        declare(commander, now, "Quince")
    assert price() <= few <= 4


def test_an_index_finds_it(viewer: Actor) -> None:
    with CaptureQueriesContext(connection) as captured:
        search_texts(viewer, "quince -medlar", TextFilters())
    asked = next(q["sql"] for q in captured if "searchdocument" in q["sql"])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        cursor.execute(f"EXPLAIN {asked.replace('%', '%%')}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "search_by_words" in plan


@given(st.text(max_size=60))
@example('"')
@example('- "-x')
@example("or or")
def test_whatever_is_typed_is_words_and_quotes(text: str) -> None:
    asked = read_search(text)
    for made in (asked.words, asked.without) if asked else ():
        outside, inside = made.split('"')[::2], made.split('"')[1::2]
        assert {part.strip() for part in outside} <= {"", "or"}
        assert all(phrase and folded(phrase) == phrase.split(" ") for phrase in inside)


@pytest.mark.parametrize("text", ["Größe", "ﬁne", "Ærø", "ΑΣ", "x_y", "İstanbul", "١٢", "a\u0301b"])
def test_the_database_folds_as_the_rule_does(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT incidents_folded(%s)", [text])
        (said,) = cursor.fetchone()
    assert said.split() == folded(text)
