"""A report as Markdown: the template's structure, whatever people and machines say in it."""

from __future__ import annotations

import dataclasses
import datetime as dt

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from incidents.rules.markdown import block, plain, report_markdown
from incidents.rules.report import ActionRow, ReportFacts, RollbackPart, TimelineRow

AT = dt.datetime(2026, 11, 20, 10, 15, tzinfo=dt.UTC)
MARKDOWN = MarkdownIt("commonmark").enable("table")
# Source: seed, Post-Incident Report Template: its headings, list labels and tables, in their order.
STRUCTURE = [
    "h1 Post-Incident Report",
    "h2 Incident Summary", "- Incident ID", "- Date/Time", "- Duration", "- Severity", "- Impact",
    "h2 Timeline", "| Time Event Action Taken Owner",
    "h2 Root Cause Analysis", "h3 Primary Cause", "h3 Contributing Factors",
    "h2 Resolution", "h3 Actions Taken",
    "h3 Rollback Details", "- Rollback Initiated", "- Rollback Completed", "- Target Version", "- Rollback Method",
    "h2 Impact Assessment",
    "h3 User Impact", "- Users Affected", "- Duration of Impact", "- Functionality Affected",
    "h3 Business Impact", "- Revenue Impact", "- SLA Breach", "- Customer Complaints",
    "h2 Lessons Learned", "h3 What Went Well", "h3 What Could Be Improved",
    "h2 Action Items", "| Action Owner Due Date Status",
    "h2 Prevention Measures", "h3 Immediate Actions", "h3 Long-term Improvements",
]  # fmt: skip
LABELS = {line[2:] for line in STRUCTURE if line.startswith("- ")}


def report(text: str = "Said", line: str = "Done") -> ReportFacts:
    return ReportFacts(
        ref="INC-2026-11-20-0001", title=line, severity="P1", severity_name="High", drill=False, restricted=False,
        state="draft", started_at=AT, ended_at=AT + dt.timedelta(hours=2, minutes=5), impact=line,
        timeline=(TimelineRow(AT, line, line, line),),
        primary_cause=text, contributing_factors=(line, line), actions_taken=(line,),
        rollbacks=(RollbackPart("RB-2026-11-20-0001", line, AT, AT, "1.5.0", "1.4.2", "automated", line),),
        users_affected=line, impact_duration=line, functionality_affected=line, revenue_impact=line,
        sla_breach=line, customer_complaints=line, went_well=(line,), could_be_improved=(line,),
        action_items=(ActionRow(line, line, AT.date(), "open"),),
        immediate_actions=(line,), long_term_improvements=(line,), no_prevention="",
    )  # fmt: skip


def structure(markdown: str) -> list[str]:
    """Headings, labelled entries and heads of tables, as a parser sees them."""
    found: list[str] = []
    tokens = MARKDOWN.parse(markdown)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            found.append(f"{token.tag} {tokens[number + 1].content}")
        elif token.type == "thead_open":
            cells = [t.content for t in tokens[number : number + 16] if t.type == "inline"]
            found.append("| " + " ".join(cells[:4]))
        elif token.type == "inline" and token.children and token.level == 3:
            said = [child.content for child in token.children if child.type == "text"]
            if token.content.startswith("**") and said[0] in LABELS | {""}:
                found += [f"- {said[0] or said[1]}"] if (said[0] or said[1]) in LABELS else []
    return found


def test_it_has_the_structure_of_the_policy() -> None:
    assert structure(report_markdown(report())) == STRUCTURE


HOSTILE = st.text(st.sampled_from("#=-`~<>[]()|*_!&\\\n\t 1.)+ab:\"'/"), max_size=40)
LINE = HOSTILE.map(lambda text: " ".join(text.split()))


@given(HOSTILE, LINE)
@example("```\n## Timeline", "# x")
@example("#", "##")
@example("> #", ">#")
@example("- a\n  ```\n# heading", "```")
@example("> # quoted\n> ===", "1. x")
@example("<!-- swallowed", "<!-- swallowed")
@example("[a]: b", "| x | y |")
@example("text\n---", "---")
@example("\\\\<b>", "\\\\|")
def test_what_people_say_changes_no_structure(text: str, line: str) -> None:
    markdown = report_markdown(report(text, line))
    found = structure(markdown)
    tables = [one for one in found if one.startswith("| ")]
    ours = [one for one in tables if one in STRUCTURE]  # a table of theirs inside a text is welcome
    assert [one for one in found if not one.startswith("| ") or one in ours] == STRUCTURE
    assert not [t for t in MARKDOWN.parse(markdown) if t.type == "html_block"]
    inline = [child for t in MARKDOWN.parse(markdown) for child in t.children or ()]
    assert not [child for child in inline if child.type == "html_inline"]


@given(LINE)
def test_a_machines_text_is_shown_as_it_is(line: str) -> None:
    [_open, inline, _close] = MARKDOWN.parse(f"x {plain(line)} x")
    shown = "".join(
        child.content for child in inline.children or () if child.type in ("text", "text_special")
    )
    assert " ".join(shown.split()) == " ".join(f"x {line} x".split())


def test_code_stays_as_it_was_typed() -> None:
    code = "It was this:\n\n```sh\n# a comment\nif [ $a < 3 ]; then\n```\n\nand `a<b`."
    assert block(code) == code


def test_a_fence_that_was_not_closed_is_closed() -> None:
    assert block("```\n# a") == "```\n# a\n```"


def test_two_rollbacks_are_told_apart() -> None:
    facts = report()
    second = dataclasses.replace(facts.rollbacks[0], ref="RB-2026-11-20-0002", completed_at=None)
    said = report_markdown(dataclasses.replace(facts, rollbacks=(*facts.rollbacks, second)))
    assert "**RB-2026-11-20-0001** (Done)" in said
    assert "**RB-2026-11-20-0002** (Done)" in said
    assert "- **Rollback Completed**: Not known yet" in said


def test_a_drill_says_so() -> None:
    assert "DRILL" in report_markdown(dataclasses.replace(report(), drill=True)).split("##")[0]
