"""A post-incident report as Markdown, in the structure of the policy's own template. Pure.

Source: seed, Post-Incident Report Template. What people wrote is Markdown of theirs inside a section: it can
neither open another section nor swallow the next one. What machines and titles say is text.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from incidents.rules.report import ReportFacts, RollbackPart
from incidents.values import duration_text

UNKNOWN = "Not known yet"
NONE = "None"
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~]")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_CODE = re.compile(r"(`+[^`\n]*`+)")
_LESS = re.compile(r"(?<!\\)((?:\\\\)*)<")
_MARKDOWN = MarkdownIt("commonmark").enable("table")


def report_markdown(facts: ReportFacts) -> str:
    """The whole report, ending in a line break."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: ReportFacts) -> Iterator[str]:
    severity = f"{facts.severity} {facts.severity_name}".strip()
    yield "# Post-Incident Report"
    yield ""
    if facts.drill:
        yield from ("**DRILL: this was an exercise.**", "")
    yield "## Incident Summary"
    yield f"- **Incident ID**: {facts.ref}"
    yield f"- **Date/Time**: {moment(facts.started_at)} - {moment(facts.ended_at)}"
    yield f"- **Duration**: {_duration(facts)}"
    yield f"- **Severity**: {plain(severity)}"
    yield f"- **Impact**: {_inline(facts.impact)}"
    yield ""
    yield "## Timeline"
    yield "| Time | Event | Action Taken | Owner |"
    yield "|------|-------|--------------|-------|"
    for row in facts.timeline:
        yield _row(moment(row.at), plain(row.event), plain(row.action), plain(row.owner))
    yield ""
    yield "## Root Cause Analysis"
    yield "### Primary Cause"
    yield block(facts.primary_cause)
    yield ""
    yield "### Contributing Factors"
    yield from _entries(facts.contributing_factors)
    yield ""
    yield "## Resolution"
    yield "### Actions Taken"
    yield from _entries(facts.actions_taken)
    yield ""
    yield "### Rollback Details"
    yield from _rollbacks(facts.rollbacks)
    yield ""
    yield "## Impact Assessment"
    yield "### User Impact"
    yield f"- **Users Affected**: {_inline(facts.users_affected)}"
    yield f"- **Duration of Impact**: {_inline(facts.impact_duration)}"
    yield f"- **Functionality Affected**: {_inline(facts.functionality_affected)}"
    yield ""
    yield "### Business Impact"
    yield f"- **Revenue Impact**: {_inline(facts.revenue_impact)}"
    yield f"- **SLA Breach**: {_inline(facts.sla_breach)}"
    yield f"- **Customer Complaints**: {_inline(facts.customer_complaints)}"
    yield ""
    yield "## Lessons Learned"
    yield "### What Went Well"
    yield from _entries(facts.went_well)
    yield ""
    yield "### What Could Be Improved"
    yield from _entries(facts.could_be_improved)
    yield ""
    yield "## Action Items"
    yield "| Action | Owner | Due Date | Status |"
    yield "|--------|-------|----------|--------|"
    for item in facts.action_items:
        due = item.due_on.isoformat() if item.due_on else ""
        yield _row(plain(item.action), plain(item.owner), due, plain(item.status))
    yield ""
    yield "## Prevention Measures"
    yield "### Immediate Actions"
    yield from _measures(facts, facts.immediate_actions, why=facts.no_prevention)
    yield ""
    yield "### Long-term Improvements"
    yield from _measures(facts, facts.long_term_improvements)


def _measures(facts: ReportFacts, texts: Sequence[str], *, why: str = "") -> list[str]:
    """A list of prevention measures; an empty one says why where there is none at all, and "Not known yet"
    only while nobody has said anything of prevention.
    """
    if texts:
        return _entries(texts)
    if facts.immediate_actions or facts.long_term_improvements:
        return [f"- {NONE}"]
    if not facts.no_prevention.strip():
        return [f"- {UNKNOWN}"]
    return [f"- {NONE}: {_inline(why)}" if why else f"- {NONE}"]


def _rollbacks(parts: Sequence[RollbackPart]) -> Iterator[str]:
    """The seed's four lines of each; which one, where there was more than one."""
    if not parts:
        yield f"- {NONE}"
    for number, part in enumerate(parts):
        if len(parts) > 1:
            yield from ([""] if number else [])
            yield f"**{part.ref}** ({plain(part.service)})"
            yield ""
        yield f"- **Rollback Initiated**: {moment(part.initiated_at)}"
        yield f"- **Rollback Completed**: {moment(part.completed_at)}"
        yield f"- **Target Version**: {plain(part.target_version)}"
        yield f"- **Rollback Method**: {part.method.upper()}"


def moment(at: dt.datetime | None) -> str:
    """`2026-11-20 10:15:00 UTC`."""
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC" if at else UNKNOWN


def _duration(facts: ReportFacts) -> str:
    if facts.ended_at is None:
        return UNKNOWN
    return duration_text((facts.ended_at - facts.started_at).total_seconds())


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _entries(texts: Iterable[str]) -> list[str]:
    return [f"- {_inline(text)}" for text in texts if text.strip()] or [f"- {UNKNOWN}"]


def listed(texts: Iterable[str]) -> str:
    """Entries as a list, as the report prints them."""
    return "\n".join(_entries(texts))


def plain(text: str) -> str:
    """A text of one line that Markdown changes nothing in."""
    return _ENTITY.sub("&amp;", _SPECIAL.sub(r"\\\g<0>", " ".join(text.split())))


def _inline(text: str) -> str:
    """What a person wrote, in one line: its emphasis, links and code stay, nothing begins a block."""
    line = _without_html(" ".join(text.split()))
    if not line:
        return UNKNOWN
    line = _escape_number(line)
    seen = _MARKDOWN.parse(line)
    # A heading, a quotation, a rule; or nothing at all, as of a definition of a link.
    return line if seen and seen[0].type == "paragraph_open" else f"\\{line}"


def _escape_number(line: str) -> str:
    """`1. x` begins no list."""
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)


def block(text: str) -> str:
    """What a person wrote, of several lines: no heading, no HTML, and every fence is closed."""
    lines = text.strip().split("\n")
    if not any(line.strip() for line in lines):
        return UNKNOWN
    lines = _without_headings(_without_references(lines))
    code = _lines_of(_MARKDOWN.parse("\n".join(lines)), "fence", "code_block")
    lines = [line if number in code else _without_html(line) for number, line in enumerate(lines)]
    open_fence = _open_fence(lines)
    return "\n".join([*lines, open_fence] if open_fence else lines)


def _without_headings(lines: list[str]) -> list[str]:
    """One backslash before what makes a line a heading, until the parser itself sees none."""
    while headings := [t for t in _MARKDOWN.parse("\n".join(lines)) if t.type == "heading_open"]:
        for token in headings:
            assert token.map is not None
            # `# x` is made by its first line, an underlined one by its last.
            number = token.map[0] if token.markup.startswith("#") else token.map[1] - 1
            lines[number] = re.sub(r"[#=-](?=[#=\s-]*$|#*\s)", r"\\\g<0>", lines[number], count=1)
    return lines


def _without_references(lines: list[str]) -> list[str]:
    """`[name]: address` would be seen nowhere, and change links elsewhere."""
    return [re.sub(r"^([\s>]*)\[(?=[^\]]+\]:)", r"\1\\[", line) for line in lines]


def _open_fence(lines: list[str]) -> str:
    """What closes the fence that is still open at the end; empty where none is."""
    tokens = _MARKDOWN.parse("\n".join([*lines, "", "end"]))
    last = tokens[-1]
    is_open = last.type == "fence" and last.content.rstrip("\n").endswith("end")
    return last.markup if is_open else ""


def _lines_of(tokens: Iterable[Token], *kinds: str) -> set[int]:
    return {n for token in tokens if token.type in kinds and token.map for n in range(*token.map)}


def _without_html(line: str) -> str:
    """No tag and no comment begins, outside of code."""
    pieces = _CODE.split(line)
    return "".join(piece if number % 2 else _LESS.sub(r"\1\\<", piece) for number, piece in enumerate(pieces))
