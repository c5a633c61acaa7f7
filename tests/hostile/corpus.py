"""The hostile inputs and their answers: one table, which the tests run and docs/hostile-input.md shows."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rest_framework.test import APIClient

from tests.hostile.doors import FORM, INCIDENT, Doors

MEBIBYTE = 1_048_576
ZERO_WIDTH = "\u200b\u200d\ufeff\u3164 "


@dataclass(frozen=True)
class Case:
    """`where` is one of API, page, admin; `field` is what the refusal names."""

    what: str
    where: str
    status: int
    ask: Callable[[Doors], Any]
    field: str = ""
    code: str = ""
    note: str = ""

    @property
    def answer(self) -> str:
        said = f"{self.status}" + (f" `{self.code}`" if self.code else "")
        said += f", names `{self.field}`" if self.field else ""
        return said + (f": {self.note}" if self.note else "")


def body(what: str, text: str | bytes, status: int = 400, **more: Any) -> Case:
    return Case(what, "API", status, lambda doors: doors.raw(text), **more)


def field(what: str, status: int = 400, *, note: str = "", code: str = "", **change: Any) -> Case:
    name = "" if status < 400 else f"/{next(iter(change))}"
    return Case(what, "API", status, lambda doors: doors.declare(**change), name, code, note)


def query(what: str, text: str, status: int = 400, note: str = "", path: str = "incidents/") -> Case:
    return Case(what, "API", status, lambda doors: doors.api.get(f"/api/v1/{path}?{text}"), note=note)


def note(what: str, status: int = 422, *, says: str = "", **change: Any) -> Case:
    name = "" if status < 400 else next(iter(change))
    return Case(what, "page", status, lambda doors: doors.note(**change), name, note=says)


def page(what: str, path: str, status: int, says: str = "") -> Case:
    return Case(what, "page", status, lambda doors: doors.page.get(path), note=says)


def contact(what: str, status: int = 200, *, says: str = "", **change: Any) -> Case:
    name = "" if status == 302 else next(iter(change))
    return Case(what, "admin", status, lambda doors: doors.contact(**change), name, note=says)


def monitor(what: str, **change: Any) -> Case:
    return Case(what, "admin", 200, lambda doors: doors.monitor(**change), next(iter(change)))


def admin(what: str, path: str, status: int, says: str = "") -> Case:
    return Case(what, "admin", status, lambda doors: doors.admin.get(path), note=says)


def headers(what: str, status: int, note: str = "", path: str = "/api/v1/incidents/", **sent: str) -> Case:
    """Asked by a client of its own: an answer to a wrong session would sign the next request out."""
    return Case(what, "API", status, lambda _doors: APIClient().get(path, headers=sent), note=note)


def cursor(text: bytes) -> str:
    return b64encode(text).decode()


BODIES = (
    body("no body", b"", code="invalid"),
    body("truncated JSON", b'{"title": "x"', code="parse_error"),
    body("two documents", b"{}{}", code="parse_error"),
    body("`null`", b"null", code="invalid"),
    body("a list instead of an object", b"[]", code="invalid"),
    body("bytes that are no UTF-8", b'{"title": "\xff"}', code="parse_error"),
    body("UTF-16", json.dumps(INCIDENT).encode("utf-16"), code="parse_error"),
    body("a byte order mark", b"\xef\xbb\xbf{}", code="parse_error"),
    body("`NaN`, `Infinity`", b'{"title": NaN}', code="parse_error"),
    body("`1e400`", b'{"security_level": 1e400}', code="parse_error"),
    body("an integer of 5,000 digits", b'{"security_level": ' + b"9" * 5000 + b"}", code="parse_error"),
    body("a name twice in an object", b'{"title": "a", "title": "b"}', code="parse_error"),
    body("5,000 levels of brackets", b"[" * 5000, code="parse_error"),
    body("5,000 levels of objects, closed", b'{"a":' * 5000 + b"1" + b"}" * 5000, code="parse_error"),
    body("21 levels in a field", json.dumps(INCIDENT | {"services": json.loads("[" * 21 + "]" * 21)}), code="parse_error"),
    body("100,000 keys", json.dumps({f"k{number}": 1 for number in range(50_000)}), code="invalid"),
    body("10 MB", b'{"title": "' + b"x" * (10 * MEBIBYTE) + b'"}', 413, code="too_large"),
    Case("JSON sent as `text/plain`", "API", 415, lambda doors: doors.raw("{}", "text/plain")),
    Case("XML with an entity", "API", 415, lambda doors: doors.raw('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>', "application/xml")),
    Case("a form", "API", 415, lambda doors: doors.raw("title=x&severity=P1", FORM)),
    Case("no content type", "API", 415, lambda doors: doors.api.generic("POST", "/api/v1/incidents/", json.dumps(INCIDENT), content_type="")),
    Case("JSON in `charset=utf-7`", "API", 415, lambda doors: doors.raw("{}", "application/json; charset=utf-7")),
    Case("`Content-Encoding: gzip`", "API", 415, lambda doors: doors.raw(b"\x1f\x8b", HTTP_CONTENT_ENCODING="gzip")),
)  # fmt: skip

FIELDS = (
    field("an unknown field", colour="red"),
    field("NUL in a text", title="a\0b"),
    field("a lone surrogate", title="\ud800"),
    field("another control character (ESC, BEL, DEL, C1)", title="\x1b[31mred"),
    field("a line break in a title", 201, note="it becomes a space", title="one\r\ntwo\u2028three"),
    field("control characters in a long text", description="a\x07b"),
    field("line breaks and tabs in a long text", 201, note="kept, as `\\n`", description="a\r\n\tb"),
    field("a title of spaces", title="   "),
    field("a title of zero-width characters", title=ZERO_WIDTH),
    field("Hebrew, Arabic, emoji with joiners, combining marks", 201, note="kept as sent", title="תקלה بحث 👩‍🚒 é̂"),
    field("a direction override in a title", title="invoice\u202efdp.exe"),
    field("the string \"NaN\" for a number", security_level="NaN"),
    field("a number as text", security_level="1"),
    field("`true` for a number", security_level=True),
    field("a fraction for a whole number", security_level=1.5),
    field("2^63", security_level=2**63),
    field("a negative number", security_level=-1),
    field("the year 1", started_at="0001-01-01T00:00:00Z"),
    field("the year 189, an odd offset", started_at="0189-09-26T13:08:09-19:00"),
    field("the year 99999", started_at="99999-01-01T00:00:00Z"),
    field("the last moment of 9999 in another zone", started_at="9999-12-31T23:59:59-23:59"),
    field("30 February", started_at="2026-02-30T00:00:00Z"),
    field("a time without its offset", started_at="2026-11-23T10:00:00"),
    field("text over its length", title="x" * 201),
    field("`null` where a text is needed", title=None),
    field("a list for a text", title=["x"]),
    field("SQL, shell and template syntax", 201, note="kept as sent", title="'; DROP TABLE x; -- $(id) {{ 7*7 }} %s {0} ${jndi:x}"),
)  # fmt: skip

ADDRESSES = (
    query("`%00` in the query", "search=%00"),
    Case("`%00` in the path", "API", 400, lambda doors: doors.api.get("/api/v1/incidents/INC%00/")),
    query("an unknown parameter", "colour=red"),
    query("an unknown parameter of one thing", "colour=red", path="automation/"),
    query("a parameter twice", "severity=P1&severity=P2"),
    query("`page_size` twice", "page_size=1&page_size=2"),
    query("`page_size=0`, `201`, a word", "page_size=0"),
    query("a cursor that is none", "cursor=x"),
    query("a forged cursor", f"cursor={cursor(b'r=x&p=1')}"),
    query("a cursor of the year 99999", f"cursor={cursor(b'p=99999-01-01')}"),
    query("a time of the year 189", "declared_after=0189-09-26T13:08:09-19:00"),
    query("`after_seq` over 2^53", "after_seq=99999999999999999999", path="incidents/INC-1/timeline/", status=404),
    query("text over its length", "search=" + "x" * 300),
    Case("a path id of 3,000 characters", "API", 404, lambda doors: doors.api.get(f"/api/v1/incidents/{'x' * 3000}/")),
    Case("a path id over 2^63", "API", 404, lambda doors: doors.api.get("/api/v1/monitors/99999999999999999999/")),
    Case("a path id that is a word, `-1`, `1.0`", "API", 404, lambda doors: doors.api.get("/api/v1/monitors/-1/")),
    Case("bytes in the path that are no UTF-8", "API", 404, lambda doors: doors.api.get("/api/v1/incidents/%F0%28/")),
    Case("`..` in a path", "API", 404, lambda doors: doors.api.get("/api/v1/services/%2e%2e/")),
    headers("NUL in a cookie", 400, cookie='sessionid="aaaaaaaa\\000"'),
    headers("a session id that is none, 8 KB", 401, note="as signed out", cookie="sessionid=" + "x" * 8000),
    headers("a token of 10 KB", 401, authorization="Bearer " + "x" * 10_000),
    headers("a token with NUL or beyond ASCII", 401, authorization="Bearer fb_\0\xe9"),
    headers("a host that is not ours", 400, host="evil.test"),
    Case("an Accept that nobody can give", "API", 406, lambda doors: doors.api.get("/api/v1/incidents/", headers={"accept": "image/png"})),
    Case("an Idempotency-Key of 10 KB", "API", 400, lambda doors: doors.raw(json.dumps(INCIDENT), HTTP_IDEMPOTENCY_KEY="k" * 10_000)),
    Case("1,001 fields in a form", "API", 400, lambda doors: doors.raw("&".join("a=1" for _ in range(1001)), FORM), note="before its type is looked at"),
)  # fmt: skip

PAGES = (
    note("NUL in a value", summary="a\0b"),
    Case("NUL in a name (`csrfmiddlewaretoken%00`)", "page", 400, lambda doors: doors.form("csrfmiddlewaretoken%00=x")),
    note("zero-width characters alone", summary=ZERO_WIDTH),
    note("a control character", summary="\x1b]8;;http://evil.test\x07link"),
    note("a direction override", summary="a\u202eb"),
    note("a line break in one line", 302, says="it becomes a space", summary="a\r\nb"),
    note("over its length", summary="x" * 501),
    note("the year 1", occurred_at="0001-01-01T00:00"),
    note("the year 99999", occurred_at="99999-01-01T00:00"),
    note("a choice that is none", kind="weather"),
    Case("bytes that are no UTF-8", "page", 302, lambda doors: doors.form("title=a%ffb&severity=P1"), note="they become �"),
    Case("1,001 fields", "page", 400, lambda doors: doors.form("&".join("a=1" for _ in range(1001)))),
    Case("10 MB", "page", 413, lambda doors: doors.form("title=" + "x" * (10 * MEBIBYTE)), code="too_large"),
    Case("JSON instead of a form", "page", 422, lambda doors: doors.page.post("/incidents/declare/", "{}", content_type="application/json")),
    page("an unknown parameter, or one twice", "/incidents/?colour=red&state=open&state=closed", 200, "ignored: old links go on working"),
    page("a filter or cursor that is none", "/incidents/?severity=P9&before=%F0%28&state=x", 200, "as without it"),
    page("`before` over 2^63", "/incidents/INC-1/?before=99999999999999999999", 404),
    page("`%00` in the query", "/incidents/?state=%00", 400),
    page("a panel that is none", "/?panel=../../etc/passwd", 404),
    page("a step over 2^63", "/rollbacks/RB-1/steps/99999999999999999999/abort/", 404),
)  # fmt: skip

ADMIN = (
    contact("NUL in a value", name="a\0b"),
    contact("zero-width characters alone", name=ZERO_WIDTH),
    contact("a control character", name="a\x1bb"),
    contact("an address with a line break", email="a@example.test\nBcc: b@example.test"),
    contact("`javascript:` as an address", support_url="javascript:alert(1)"),
    monitor("NUL inside JSON", source='{"type": "http_json", "url": "http://a/", "path": "a\\u0000"}'),
    monitor("a lone surrogate inside JSON", source='{"type": "http_json", "url": "http://a/", "path": "\\ud800"}'),
    monitor("`NaN` inside JSON", thresholds='{"critical": NaN}'),
    monitor("`1e400` inside JSON", thresholds='{"critical": 1e400}'),
    monitor("5,000 levels of JSON", source="[" * 5000),
    monitor("an integer of 5,000 digits inside JSON", thresholds='{"critical": ' + "9" * 5000 + "}"),
    monitor("a number over 2^63", interval_seconds="99999999999999999999"),
    admin("`%00` in a path", "/admin/comms/contact/%00/change/", 400),
    admin("an id over 2^63", "/admin/comms/contact/99999999999999999999/change/", 302, "to the index, which says so"),
    admin("an id that is a word", "/admin/comms/contact/x'1/change/", 302, "to the index, which says so"),
    admin("a filter that is none", "/admin/comms/contact/?id__exact=x", 302, "to the list, which says so"),
    admin("a lookup into another table", "/admin/comms/contact/?user__password__startswith=a", 400),
    admin("an order that is none", "/admin/comms/contact/?o=99.-99.x", 200, "as without it"),
    admin("a page that is none", "/admin/comms/contact/?p=x", 200, "as without it"),
    Case("NUL in a chosen id of an action", "admin", 400, lambda doors: doors.admin.post("/admin/core/apitoken/", {"action": "revoke", "_selected_action": "\0"})),
)  # fmt: skip

CASES = (*BODIES, *FIELDS, *ADDRESSES, *PAGES, *ADMIN)


def table() -> str:
    """The table as the document has it."""
    lines = ["| Input | Where | Answer |", "|---|---|---|"]
    lines += [f"| {case.what} | {case.where} | {case.answer} |" for case in CASES]
    return "\n".join(lines)
