"""A report as PDF: a process of its own makes it, so that no report can take a server's time or memory.

`python -m incidents.documents.pdf` reads the document as JSON and writes the PDF.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typst

from core.errors import FirebreakError
from incidents.documents.blocks import tree

logger = logging.getLogger(__name__)
TEMPLATE = Path(__file__).with_name("report.typ")
SECONDS = 30
MEMORY = 2 * 1024**3
MOST_ROWS = 2_000  # of a table: a document of a hundred pages is read by nobody


class NotMade(FirebreakError):
    """The PDF could not be made, or not in time. Why is in the log: it is nothing that a reader can mend."""

    code = "pdf_not_made"
    status = 503
    retry_after = 60

    def __init__(self) -> None:
        super().__init__("The PDF could not be made now. The Markdown says the same; try again in a minute.")


@dataclass(frozen=True)
class Head:
    """What stands around a report: on its first page, and above and below each. `marks` may be empty."""

    title: str
    ref: str
    severity: str
    severity_label: str
    standing: str
    marks: str
    footer: str
    author: str


def as_pdf(head: Head, markdown: str, *, timestamp: int) -> bytes:
    """The same bytes for the same document; `timestamp` (seconds) is when it was changed last.

    Raises NotMade.
    """
    document = {**vars(head), "nodes": _bounded(tree(markdown))}
    given = json.dumps({"document": document, "timestamp": timestamp}).encode()
    command = [sys.executable, "-m", "incidents.documents.pdf"]
    try:
        made = subprocess.run(command, input=given, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        logger.error("PDF of %s took longer than %s s", head.ref, SECONDS)
        raise NotMade from error
    if made.returncode != 0 or not made.stdout.startswith(b"%PDF-"):
        why = made.stderr.decode(errors="replace")[-500:]
        logger.error("PDF of %s could not be made (status %s): %s", head.ref, made.returncode, why)
        raise NotMade
    return made.stdout


def _bounded(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A table that is too long is cut, and says so."""
    for node in nodes:
        if node["kind"] == "table" and len(node["nodes"]) > 1:
            rows = node["nodes"][1]["nodes"]
            if len(rows) > MOST_ROWS:
                left_out = len(rows) - MOST_ROWS
                del rows[MOST_ROWS:]
                said = f"{left_out} more are in the export."
                cells = [{"kind": "td", "nodes": [{"kind": "text", "text": text}]} for text in ("…", said)]
                blank = [{"kind": "td", "nodes": []}] * (len(rows[0]["nodes"]) - 2)
                rows.append({"kind": "tr", "nodes": [*cells, *blank]})
    return nodes


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    given = json.load(sys.stdin.buffer)
    made = typst.compile(
        TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs={"document": json.dumps(given["document"])},
        timestamp=given["timestamp"],
    )
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main()
