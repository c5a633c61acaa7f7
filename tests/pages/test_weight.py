"""What a page weighs on the way to a browser, with everything it loads, and what is compressed on the way."""

from __future__ import annotations

import datetime as dt
import gzip
import re
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from core.middleware import CompressMiddleware
from tests.access.scene import Scene
from tests.pages.conftest import SignIn
from tests.pages.test_many_services import make_many
from tests.pages.test_query_counts import PAGES, grow

MOST = 150 * 1024  # bytes
LOADED = re.compile(r'(?:src|href)="(/static/[^"?]+)"')
GZIP = {"accept-encoding": "gzip, deflate, br"}


def sent(answer: Any) -> bytes:
    """The body as it goes over the wire."""
    return b"".join(answer)


def weight(client: Client, answer: HttpResponse, known: dict[str, int]) -> int:
    """Bytes of an answer and of every file that its page loads.

    An installation's files are stored compressed (`collectstatic`); here they come from the sources.
    """
    body = sent(answer)
    page = gzip.decompress(body) if answer.get("Content-Encoding") == "gzip" else body
    files = set(LOADED.findall(page.decode()))
    for address in files - set(known):
        known[address] = len(
            gzip.compress(sent(client.get(address, headers={"accept-encoding": "identity"})))
        )
    return len(body) + sum(known[address] for address in files)


def test_no_page_weighs_more_than_a_slow_line_carries(db: None, now: dt.datetime) -> None:
    scene = Scene("administrator", now)
    for number in range(3):
        grow(scene, number)
    client, known = scene.client(staff=True), dict[str, int]()
    weights = {
        case.path: weight(client, scene.send(case, "own", client=client, **GZIP), known)
        for case in PAGES
        if not case.path.startswith("/status/")  # a page of its own, with a style of its own
        and not case.path.endswith((".pdf", ".md", ".json"))  # files, saved and not shown
    }
    assert len(known) > 3, "files were found"
    assert {path: size for path, size in weights.items() if size > MOST} == {}


def test_a_full_page_is_sent_small(sign_in: SignIn, now: dt.datetime) -> None:
    make_many(now, 60, level="critical")
    answer = sign_in("vic", "viewer").get("/", headers=GZIP)
    assert answer["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer["Vary"]
    assert b"Service 011" in gzip.decompress(answer.content)
    assert len(answer.content) < 20 * 1024


def test_the_length_of_a_compressed_page_says_nothing_of_what_is_in_it() -> None:
    def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("a" * 1000)

    request, middleware = RequestFactory().get("/", headers=GZIP), CompressMiddleware(answer)
    lengths = {len(sent(middleware.process_response(request, answer(request)))) for _again in range(20)}
    assert len(lengths) > 1


def test_nothing_is_compressed_for_who_did_not_ask(sign_in: SignIn) -> None:
    answer = sign_in("vic", "viewer").get("/")
    assert not answer.has_header("Content-Encoding")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"ETag": '"v1"'}, 200),  # a weak tag would fail If-Match
        ({"Content-Encoding": "br"}, 200),
        ({"Content-Type": "image/png"}, 200),
        ({"Content-Type": "text/event-stream"}, 200),
        ({}, 206),
    ],
)
def test_what_must_arrive_as_it_is_does(headers: dict[str, str], status: int) -> None:
    def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("a" * 1000, status=status, headers={"Content-Type": "text/html", **headers})

    request = RequestFactory().get("/", headers=GZIP)
    middleware = CompressMiddleware(answer)
    assert sent(middleware.process_response(request, answer(request))) == b"a" * 1000
    plain = middleware.process_response(request, HttpResponse("a" * 1000))
    assert plain.headers["Content-Encoding"] == "gzip"
