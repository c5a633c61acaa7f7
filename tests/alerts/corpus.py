"""What broken senders send, and what becomes of it: one table, tested, and shown in docs/hostile-input.md."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.alerts.conftest import alert, webhook

JSON = "application/json"


@dataclass(frozen=True)
class Case:
    """`note` stands among the notes of the alert; `kept` are columns of it."""

    what: str
    body: str | bytes
    status: int = 202
    alerts: int = 1
    note: str = ""
    kept: dict[str, Any] = field(default_factory=dict)
    content_type: str = JSON
    said: str = ""

    @property
    def answer(self) -> str:
        if self.status >= 400:
            return f"{self.status}" + (f", says “{self.said}”" if self.said else "")
        became = "nothing to keep" if not self.alerts else f"noted: {self.note}" if self.note else "kept"
        return f"{self.status}: {became}"


def syntax(what: str, body: str | bytes, status: int = 400, **more: Any) -> Case:
    return Case(what, body, status, 0, **more)


def content(what: str, note: str = "", *, kept: dict[str, Any] | None = None, **changed: Any) -> Case:
    """One alert with something changed; what is None is left out."""
    made = {name: value for name, value in (alert() | changed).items() if value != "left out"}
    return Case(what, json.dumps(webhook(made)), note=note, kept=kept or {})


def whole(what: str, note: str = "", status: int = 202, said: str = "", **changed: Any) -> Case:
    made = {name: value for name, value in (webhook(alert()) | changed).items() if value != "left out"}
    return Case(what, json.dumps(made), status, 1 if status == 202 else 0, note=note, said=said)


def labels(**more: Any) -> dict[str, Any]:
    return {**alert()["labels"], **more}


GOOD = json.dumps(webhook(alert()))
NO_TIME = "it had no usable startsAt: it counts from when it came"
CASES = (
    syntax("no body", b""),
    *(syntax(f"`{text}`", text) for text in ("null", "[]", '"x"', "1")),
    syntax("truncated JSON", GOOD[:-5]),
    syntax("a trailing comma", GOOD[:-1] + ",}"),
    syntax("two documents", GOOD + GOOD),
    syntax("UTF-16", GOOD.encode("utf-16")),
    syntax("Latin-1", GOOD.replace("HighErrorRate", "Störung").encode("latin-1")),
    Case("a byte order mark", b"\xef\xbb\xbf" + GOOD.encode()),
    *(syntax(f"`{text}` as a number", GOOD[:-1] + f', "x": {text}}}') for text in ("NaN", "Infinity", "1e400")),
    syntax("an integer of 5,000 digits", GOOD[:-1] + ', "x": ' + "9" * 5_000 + "}"),
    syntax("33 levels", GOOD[:-1] + ', "x": ' + "[" * 33 + "]" * 33 + "}"),
    syntax("100,000 levels", "[" * 100_000),
    syntax("a name twice in an object", GOOD[:-1] + ', "status": "resolved"}'),
    syntax("100,000 names beside `alerts`", json.dumps(webhook(alert()) | {f"k{n}": 1 for n in range(100_000)})),
    syntax("over 5 MiB", GOOD + " " * 5_242_880, 413),
    syntax("a form", GOOD, 415, content_type="application/x-www-form-urlencoded"),
    syntax("`text/plain`", GOOD, 415, content_type="text/plain"),
    syntax("XML with an entity", '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', 415, content_type="application/xml"),
    syntax("JSON in `charset=utf-7`", GOOD, 415, content_type="application/json; charset=utf-7"),
    whole("no `alerts`", status=400, alerts="left out"),
    whole("`alerts` is null", status=400, alerts=None),
    whole("`alerts` is an object", status=400, alerts={}),
    Case("an empty list of alerts", json.dumps(webhook()), alerts=0),
    Case("2,000 alerts", json.dumps(webhook(*(alert(f"A{n}") for n in range(2_000)))), alerts=2_000),
    syntax("2,001 alerts", json.dumps(webhook(*({} for _ in range(2_001)))), 413),
    syntax("an alert that is no object", json.dumps(webhook(1))),
    syntax("a chat message (Slack)", '{"text": "down", "channel": "#a"}', said="choose a webhook receiver"),
    syntax("a PagerDuty event", '{"routing_key": "x", "event_action": "trigger"}', said="send it to /v2/enqueue"),
    syntax("another system's body", '{"Type": "Notification", "Message": "{}"}', said="of Alertmanager (version 4) and of Grafana"),
    whole("no version", "its version is not 4", version="left out"),
    whole("version 5", "its version is not 4", version="5"),
    whole("version 1 (Grafana), with its further fields", version="1", orgId=1, state="alerting", message="m"),
    whole("a groupKey of 50 KB", groupKey="x" * 50_000),
    whole("`truncatedAlerts: 500`", "500 alerts were cut by the sender", truncatedAlerts=500),
    content("NUL in a label", "a label held characters that cannot be stored", labels=labels(a="x\0y"), kept={"labels": labels(a="x\ufffdy")}),
    content("a lone surrogate in a label", "a label held characters that cannot be stored", labels=labels(a="\ud800"), kept={"labels": labels(a="\ufffd")}),
    content("NUL in the name of a label", "the name of a label held characters that cannot be stored", labels=labels(**{"a\0": "b"})),
    content("no labels", "it had no labels of its own", labels="left out"),
    content("labels that are a list", "the labels were no object", labels=[1]),
    content("a label that is a number, null, a list", "a label was no text", labels=labels(n=1, o=None, p=[1]), kept={"labels": labels(n="1", o="", p="[1]")}),
    content("5,000 labels", "4,936 of the labels were left out", labels={f"l{n:04}": "x" for n in range(4_997)} | labels(), kept={"severity": "P1"}),
    content("the name of a label of 10 KB", "the name of a label was cut to 256 characters", labels=labels(**{"x" * 10_000: "y"})),
    content("a label of 1 MB", "a label was cut to 4,096 characters", labels=labels(a="x" * 1_000_000)),
    content("right to left, joiners, emoji", labels=labels(a="תקלה بحث 👩‍🚒"), kept={"labels": labels(a="תקלה بحث 👩‍🚒")}),
    content("a summary of 1 MB", "the title was cut to 1,024 characters", annotations={"summary": "x" * 1_000_000}),
    content("a summary of zero-width characters", annotations={"summary": "\u200b\u3164"}, kept={"title": "HighErrorRate"}),
    content("escape sequences, a bell, line breaks in a summary", annotations={"summary": "a\x1b[31mb\x07\r\nc\u2028d"}, kept={"title": "ab c d"}),
    content("no fingerprint", "its fingerprint was made of its labels", fingerprint="left out"),
    content("a fingerprint of 10 KB", "its fingerprint was made of its labels", fingerprint="f" * 10_000),
    content("no status of its own", "it had no status of its own", status="left out"),
    content("a status that is none", "it had no status of its own", status="broken", kept={"status": "firing"}),
    *(
        content(f"`startsAt`: {what}", NO_TIME, startsAt=text)
        for what, text in (
            ("the year 2099", "2099-01-01T00:00:00Z"), ("the year 0000", "0000-01-01T00:00:00Z"),
            ("the year 10000", "10000-01-01T00:00:00Z"), ("30 February", "2024-02-30T00:00:00Z"),
            ("23:59:60", "2024-02-20T23:59:60Z"), ("24:00", "2024-02-20T24:00:00Z"),
            ("no zone", "2024-02-20T10:00:00"), ("+24:00", "2024-02-20T10:00:00+24:00"), ("a number", 5),
            ("left out", "left out"),
        )
    ),
    content("it ended before it began", "it ended before it began", status="resolved", endsAt="2026-11-20T09:00:00Z"),
    *(
        content(f"`generatorURL`: {what}", "generatorURL was no web address", generatorURL=text, kept={"url": ""})
        for what, text in (
            ("`javascript:`", "javascript:alert(1)"), ("`data:`", "data:text/html,x"), ("`//evil`", "//evil.test/"),
            ("10 KB", "http://a.test/" + "x" * 10_000), ("spaces", "http://a.test/ b"), ("`http://[::1`", "http://[::1"),
            ("with a password", "http://a:b@c.test/"),
        )
    ),
)  # fmt: skip


def table() -> str:
    """The table as the document has it."""
    lines = ["| A sender of alerts sends | Answer |", "|---|---|"]
    lines += [f"| {case.what} | {case.answer} |" for case in CASES]
    return "\n".join(lines)
