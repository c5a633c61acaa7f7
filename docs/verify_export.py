#!/usr/bin/env python3
"""Verify an incident's export without Firebreak: python3 verify_export.py FILE [--head HASH]

Needs Python 3.8 and nothing else. Exit code 0: nothing was changed; 1: what is wrong, a line each.
What this proves and what not: export.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from typing import Any

FORMAT = "firebreak-incident-export/1"
GENESIS = "0" * 64
SHOWN = ("seq", "kind", "occurred_at", "recorded_at", "actor_kind", "actor", "source", "summary", "data")


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that stands twice could say one thing to a person and another to a program."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def verify(content: bytes, head: str | None = None) -> list[str]:
    """What is wrong with the file's bytes, a text each; nothing where all is well."""
    wrong: list[str] = []
    try:
        text = content.decode("ascii")
        export = json.loads(text, object_pairs_hook=no_twins)
        if not isinstance(export, dict) or export.get("format") != FORMAT:
            return ["this is no " + FORMAT]
        if written(export) + "\n" != text:
            return ["the file is not written as the format says"]
        for finding in _findings(export, head):
            wrong.append(finding)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        wrong.append(f"the file cannot be read: {error!r}")
    return wrong


def _findings(export: dict[str, Any], head: str | None) -> Iterator[str]:
    digest = export.pop("digest")
    if hashlib.sha256(written(export).encode()).hexdigest() != digest:
        yield "the digest of the whole is another: something was changed"
    timeline, incident = export["timeline"], export["incident"]
    previous = GENESIS
    attached: dict[Any, str] = {}
    published: dict[Any, str] = {}
    for number, event in enumerate(timeline["events"], 1):
        what = f"event {event['seq']}"
        if event["seq"] != number:
            yield f"{what} stands where event {number} belongs"
        if hashlib.sha256(event["canonical"].encode()).hexdigest() != event["hash"]:
            yield what + ": its hash is not that of its bytes"
        vouched = json.loads(event["canonical"], object_pairs_hook=no_twins)
        if vouched["previous_hash"] != previous:
            yield what + " does not follow the one before it"
        for name in SHOWN:
            if event[name] != vouched[name]:
                yield f"{what}: {name} is not what its hash vouches for"
        if event["data"].get("incident") != incident["ref"]:
            yield what + " is of another incident"
        if event["kind"] == "evidence.attached":
            attached[event["data"]["evidence"]] = event["data"]["sha256"]
        if event["kind"] == "report.published":
            published[event["data"]["revision"]] = event["data"]["sha256"]
        previous = event["hash"]
    if timeline["head_seq"] != len(timeline["events"]) or timeline["head_hash"] != previous:
        yield "the timeline does not end where its head says"
    if timeline["name"] != incident["ref"]:
        yield "the timeline is of another incident"
    if head is not None and previous != head:
        yield "the timeline does not end in the hash that you know"
    for item in export["evidence"]:
        if attached.pop(item["id"], None) != item["sha256"]:
            yield f"evidence {item['id']}: no event vouches for this SHA-256"
    for missing in attached:
        yield f"evidence {missing} is vouched for and is not listed"
    for row in (export["report"] or {"published": []})["published"]:
        what = f"revision {row['revision']} of the report"
        if row["sha256"] != hashlib.sha256(row["markdown"].encode()).hexdigest():
            yield what + ": its SHA-256 is not that of its Markdown"
        if published.pop(row["revision"], None) != row["sha256"]:
            yield what + ": no event vouches for this SHA-256"
    for missing in published:
        yield f"revision {missing} of the report is vouched for and is not listed"


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify an incident's export.")
    parser.add_argument("file", help="the export, as it was downloaded")
    parser.add_argument("--head", help="the hash of the last event, if you know it from elsewhere")
    given = parser.parse_args()
    with open(given.file, "rb") as file:
        content = file.read()
    wrong = verify(content, given.head)
    if wrong:
        said = wrong
    else:
        timeline = json.loads(content)["timeline"]
        said = [
            f"{timeline['name']}: {timeline['head_seq']} events, all as they were written.",
            f"The hash of the last one: {timeline['head_hash']}",
        ]
    sys.stdout.write("".join(f"{line}\n" for line in said))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
