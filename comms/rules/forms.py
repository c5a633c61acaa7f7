"""One message in the forms that channels take: HTML mail, Slack blocks, and an SMS. Pure.

A message is written once, as text: a title line, `Field: value` lines, and sections that begin with a
heading on a line of its own. The other forms are made from it, so that no two of them ever differ.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SMS_LENGTH = 160
BLOCK_LENGTH = 3000  # of Slack's text objects
BLOCKS = 45  # Slack takes 50 in a message

_FIELD = re.compile(r"^([A-Z][A-Za-z ]{1,40}): (.+)$")
_HEADING = re.compile(r"^([A-Z][A-Za-z ]{1,40}):$")
_ITEM = re.compile(r"^- (.*)$")
_LINK = re.compile(r"https?://[^\s<>|\"']+[^\s<>|\"'.,;:!?)]")

# GSM 03.38: what an SMS of 160 may hold; those of the second table count twice.
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€")
_PLAIN = str.maketrans(
    {"–": "-", "—": "-", "…": "...", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "·": "-", "→": "->",
     "\u00a0": " ", "\t": " ", "`": "'"}
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A piece of a message: `kind` is title, field, heading, item, text or gap."""

    kind: str
    text: str
    name: str = ""


def parts(text: str) -> Iterator[Part]:
    """The pieces of a message's text, line by line."""
    for number, line in enumerate(text.strip().split("\n")):
        if not line.strip():
            yield Part("gap", "")
        elif number == 0:
            yield Part("title", line)
        elif found := _FIELD.match(line):
            yield Part("field", found[2], found[1])
        elif found := _HEADING.match(line):
            yield Part("heading", found[1])
        elif found := _ITEM.match(line):
            yield Part("item", found[1])
        else:
            yield Part("text", line)


def as_html(text: str, *, action: tuple[str, str] | None = None) -> str:
    """A mail's HTML part: every text escaped, links that can be followed, nothing loaded from outside.

    `action` is a button: (label, address).
    """
    body: list[str] = []
    in_list = False
    for part in parts(text):
        if in_list and part.kind != "item":
            body.append("</ul>")
            in_list = False
        if part.kind == "item" and not in_list:
            body.append('<ul style="margin:4px 0 12px;padding-left:20px">')
            in_list = True
        body.append(_HTML[part.kind].format(_linked(part.text), html.escape(part.name)))
    if in_list:
        body.append("</ul>")
    if action is not None:
        label, address = action
        link = f'<a href="{html.escape(address)}" style="{_BUTTON}">{html.escape(label)}</a>'
        body.append(f'<p style="margin:20px 0">{link}</p>')
    inner = "\n".join(line for line in body if line)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"></head>\n'
        f'<body style="{_BODY}">\n{inner}\n</body></html>\n'
    )


_BODY = (
    "margin:0;padding:16px;max-width:640px;font:16px/1.5 system-ui,sans-serif;color:#1c1c1e;background:#fff"
)
_BUTTON = (
    "display:inline-block;padding:12px 20px;border-radius:6px;background:#1d4ed8;color:#fff;"
    "text-decoration:none;font-weight:600"
)
_HTML = {
    "title": '<h1 style="margin:0 0 12px;font-size:20px">{0}</h1>',
    "field": '<p style="margin:0 0 4px"><strong>{1}:</strong> {0}</p>',
    "heading": '<h2 style="margin:16px 0 4px;font-size:16px">{0}</h2>',
    "item": "<li>{0}</li>",
    "text": '<p style="margin:0 0 8px">{0}</p>',
    "gap": "",
}


def _linked(text: str) -> str:
    """Escaped, with its web addresses as links."""
    made, end = [], 0
    for found in _LINK.finditer(text):
        address = html.escape(found[0])
        made.append(html.escape(text[end : found.start()]))
        made.append(f'<a href="{address}" rel="noopener noreferrer">{address}</a>')
        end = found.end()
    return "".join([*made, html.escape(text[end:])])


def as_blocks(text: str, *, action: tuple[str, str] | None = None) -> list[dict[str, Any]]:
    """Slack's blocks: plain texts, so that nothing in a title is a mention or a link of somebody else's."""
    title, fields, rest = "", [], []
    for part in parts(text):
        if part.kind == "title":
            title = part.text
        elif part.kind == "field" and not any(rest):
            fields.append(f"{part.name}: {part.text}")
        else:
            rest.append(_LINES[part.kind].format(part.text, part.name))
    blocks = [_header(title)]
    for start in range(0, len(fields), 10):
        chosen = [_plain(field, 2000) for field in fields[start : start + 10]]
        blocks.append({"type": "section", "fields": chosen})
    paragraphs = [p.strip("\n") for p in re.split(r"\n{2,}", "\n".join(rest)) if p.strip()]
    blocks += [{"type": "section", "text": _plain(paragraph, BLOCK_LENGTH)} for paragraph in paragraphs]
    blocks = blocks[: BLOCKS - 1]
    if action is not None:
        label, address = action
        button = {"type": "button", "text": _plain(label, 75), "url": address[:3000], "style": "primary"}
        blocks.append({"type": "actions", "elements": [button]})
    return blocks


_LINES = {"field": "{1}: {0}", "heading": "{0}:", "item": "• {0}", "text": "{0}", "gap": ""}


def _header(title: str) -> dict[str, Any]:
    return {"type": "header", "text": _plain(title or "Firebreak", 150)}


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": cut(text, most), "emoji": False}


def slack_escaped(text: str) -> str:
    """For the fallback text, which Slack reads as its markup. Source: Slack, Formatting text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_sms(text: str, *, link: str = "", most: int = SMS_LENGTH) -> str:
    """One line of the GSM alphabet of `most` septets at the most, the link whole at its end.

    A link that would leave less than a third of the room for words is left out.
    """
    tail = f" {link}" if link and septets(link) + 1 <= most * 2 // 3 else ""
    room = most - septets(tail)
    line = " ".join(gsm(text).split())
    if septets(line) > room:
        while line and septets(line) > room - 3:
            line = line[:-1]
        line = f"{line.rstrip()}..."
    return line + tail


def gsm(text: str) -> str:
    """The same in letters that an SMS of 160 has: accents that it lacks are dropped, the rest is `?`."""
    made = []
    for letter in unicodedata.normalize("NFC", text.translate(_PLAIN)):
        if letter in _GSM or letter in _GSM_TWICE:
            made.append(letter)
            continue
        plain = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
        if plain and all(c in _GSM or c in _GSM_TWICE for c in plain):
            made.append(plain)
        elif not (unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Cc")):
            made.append("?")
    return "".join(made)


def septets(text: str) -> int:
    """How much room a text of the GSM alphabet takes."""
    return len(text) + sum(letter in _GSM_TWICE for letter in text)


def cut(text: str, most: int) -> str:
    """At most `most` characters, with a sign that there was more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def bundled(shorts: Sequence[str]) -> str:
    """What one SMS says instead of several, the newest first."""
    return f"{len(shorts)} messages. " + " / ".join(shorts)
