"""The PDF of a report, opened: its words in order, its pages looked at, and nothing of it evaluated."""

from __future__ import annotations

import itertools
import re
import subprocess
from typing import Any

import pypdfium2
import pytest

from incidents.documents import pdf
from incidents.documents.pdf import Head, NotMade, as_pdf

HEAD = Head(
    title="Checkout fails",
    ref="INC-2026-11-20-0001",
    severity="P1",
    severity_label="P1 High",
    standing="Draft",
    marks="RESTRICTED",
    footer="Post-incident report · Draft",
    author="Firebreak",
)
ROW = "| 2026-11-20 10:15:00 UTC | {} | {} | ida |"
TABLE = "| Time | Event | Action Taken | Owner |\n|------|-------|--------------|-------|\n"


_CHINESE = re.compile("[\u4e00-\u9fff]")


def opened(markdown: str, head: Head = HEAD) -> pypdfium2.PdfDocument:
    return pypdfium2.PdfDocument(
        as_pdf(head, f"# Post-Incident Report\n\n{markdown}", timestamp=1_700_000_000)
    )


def words(document: pypdfium2.PdfDocument) -> str:
    """All text of it, in reading order, without the places where words may break."""
    pages = [page.get_textpage().get_text_range() for page in document]
    return "\n".join(pages).replace("\u200b", "").replace("\r\n", "\n").replace("\ufffe", "")


def one_line(document: pypdfium2.PdfDocument) -> str:
    return "".join(words(document).split())


def has_ink(page: pypdfium2.PdfPage) -> bool:
    """Something is drawn on it: not every pixel is that of the corner."""
    picture = page.render(scale=0.3, grayscale=True)
    return len(set(bytes(picture.buffer))) > 1


def test_its_words_stand_in_order_on_pages_that_are_not_blank() -> None:
    text = "## Incident Summary\n- **Impact**: Nobody could pay\n\n## Timeline\n" + TABLE
    text += ROW.format("It broke", "We looked") + "\n\n## Lessons Learned\n### What Went Well\n- The alarm\n"
    document = opened(text)
    found = words(document)
    expected = [
        "INC-2026-11-20-0001 · P1 High", "RESTRICTED", "Post-Incident Report", "Checkout fails", "Incident Summary",
        "Impact: Nobody could pay", "Timeline", "Time", "Event", "Action Taken", "Owner", "It broke", "We looked",
        "Lessons Learned", "What Went Well", "The alarm", "Post-incident report · Draft", "1 / 1",
    ]  # fmt: skip
    places = [found.find(each) for each in expected]
    assert -1 not in places, dict(zip(expected, places, strict=True))
    # The head of a page is drawn before its text, or after: of the text itself the order counts.
    body = places[2:-2]
    assert body == sorted(body)
    assert len(document) == 1
    assert all(has_ink(page) for page in document)
    assert document.get_metadata_value("Title") == "Checkout fails"


def test_the_same_report_is_the_same_file() -> None:
    assert as_pdf(HEAD, "# R\n\nText", timestamp=1) == as_pdf(HEAD, "# R\n\nText", timestamp=1)


HOSTILE = (
    '#read("/etc/passwd")',
    '#eval("1+1") #import "@preview/x:1": * #include "/etc/passwd"',
    "$ integral x $ and @label and <label> and // no comment /* none */",
    "W" * 4_000,
    "https://example.test/" + "a/" * 800,
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd and \u0645\u0631\u062d\u0628\u0627",
    "\u202eright to left override",
    "🔥🧯 and 事故 and ไฟ",
    "a\u0000b",  # cannot be stored; harmless all the same
    "<script>alert(1)</script> & &amp; &#x3c;",
)


def test_no_text_is_evaluated_and_nothing_leaves_the_page() -> None:
    """One document for all: a process is started for each."""
    head = Head(**{**vars(HEAD), "title": '#read("/etc/passwd")', "marks": "$x$", "author": "#(1+1)"})
    plain = [text.replace("|", "") for text in HOSTILE]
    text = "\n\n".join(plain) + "\n\n" + TABLE + "\n".join(ROW.format(each, each) for each in plain)
    document = opened(text, head)
    found = one_line(document)
    for said in ('#read("/etc/passwd")', "#(1+1)"):
        assert said in found or said in (document.get_metadata_value("Author") or "")
    for said in (
        '#eval("1+1")',
        "$integralx$",
        "//nocomment/*none*/",
        "W" * 500,
        "שלום",
        "<script>alert(1)</script>",
    ):
        assert said in found, said
    assert "root:" not in found
    for page in document:
        width, height = page.get_size()
        text_page = page.get_textpage()
        for number in range(text_page.count_chars()):
            left, bottom, right, top = text_page.get_charbox(number)
            assert -1 <= left <= right <= width + 1, text_page.get_text_range(max(number - 20, 0), 40)
            assert -1 <= bottom <= top <= height + 1


def test_what_no_font_has_is_a_box_and_not_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without any font of its own: in the title, in the text and in code."""
    bare = "import functools, typst, incidents.documents.pdf as pdf;"
    bare += "typst.compile = functools.partial(typst.compile, ignore_system_fonts=True); pdf.main()"
    real: Any = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **more: real([command[0], "-c", bare], **more))
    document = opened("\u706b \U0001f525 `\u4e8b\u6545`", Head(**{**vars(HEAD), "title": "\u4e8b\u6545"}))
    text_page = document[0].get_textpage()
    picture = document[0].render(scale=2, grayscale=True)
    pixels, height = bytes(picture.buffer), document[0].get_size()[1]
    unknown = 0
    for number in range(text_page.count_chars()):
        if not _CHINESE.fullmatch(text_page.get_text_range(number, 1)):
            continue
        left, bottom, right, top = (round(2 * at) for at in text_page.get_charbox(number))
        rows = range(round(2 * height) - top, round(2 * height) - bottom)
        box = b"".join(pixels[row * picture.stride + left : row * picture.stride + right] for row in rows)
        assert min(box) < 128, "something is drawn where it stands"
        unknown += 1
    assert unknown >= 3, "in the title, in the text, in code"


def test_two_thousand_rows_are_a_document_and_what_is_more_is_named() -> None:
    rows = "\n".join(ROW.format(f"event {number}", "") for number in range(pdf.MOST_ROWS + 7))
    document = opened(TABLE + rows)
    found = words(document)
    assert f"event {pdf.MOST_ROWS - 1}" in found
    assert f"event {pdf.MOST_ROWS}" not in found
    assert "7 more are in the export." in " ".join(found.split())
    numbers = [f"{number + 1} / {len(document)}" for number in range(len(document))]
    assert [n for n in numbers if n not in found] == []
    assert all(has_ink(page) for page in itertools.islice(document, 3))
    assert has_ink(document[len(document) - 1])


def test_a_document_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "SECONDS", 0.05)
    started: list[Any] = []
    begin: Any = subprocess.Popen.__init__

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        started.append(self)
        begin(self, *args, **kwargs)

    monkeypatch.setattr(subprocess.Popen, "__init__", noted)
    with pytest.raises(NotMade) as refused:
        opened("text")
    assert (refused.value.status, refused.value.retry_after) == (503, 60)
    assert [process.poll() is not None for process in started] == [True]


def test_one_that_needs_too_much_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds stand in the process itself: a smaller one is one that this document does not fit into."""
    small = "import incidents.documents.pdf as pdf; pdf.MEMORY = 50 * 1024**2; pdf.main()"
    real: Any = subprocess.run

    def narrow(command: list[str], **kwargs: Any) -> Any:
        return real([command[0], "-c", small], **kwargs)

    monkeypatch.setattr(subprocess, "run", narrow)
    with pytest.raises(NotMade):
        opened("text")
