"""Markdown as a tree of plain values, for what prints it: no text of it is ever anybody's markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

Node = dict[str, Any]
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_CONTAINERS = {
    "heading", "paragraph", "bullet_list", "ordered_list", "list_item", "blockquote", "table", "thead",
    "tbody", "tr", "th", "td", "strong", "em", "link",
}  # fmt: skip
_LONG = re.compile(r"\S{25,}")
_PIECE = 12  # letters of a word after which it may be broken: nothing runs out of the page


def tree(markdown: str) -> list[Node]:
    """Nodes `{"kind", …}`: with "nodes" inside, or "text"; a heading has a "level", a link an "href"."""
    return _nest(iter(_MARKDOWN.parse(markdown)))


def _nest(tokens: Iterator[Token]) -> list[Node]:
    found: list[Node] = []
    for token in tokens:
        kind = token.type.removesuffix("_open").removesuffix("_close")
        if token.nesting < 0:
            break
        if token.type == "inline":
            found += _nest(iter(token.children or ()))
        elif token.nesting > 0:
            inside = _nest(tokens)
            found += inside if token.hidden else [_container(kind, token, inside)]
        else:
            found += _leaf(token)
    return found


def _container(kind: str, token: Token, inside: Sequence[Node]) -> Node:
    assert kind in _CONTAINERS, kind
    node: Node = {"kind": kind, "nodes": list(inside)}
    if kind == "heading":
        node["level"] = int(token.tag[1])
    elif kind == "link":
        node["href"] = str(token.attrs.get("href", ""))
    elif kind == "ordered_list":
        node["start"] = int(token.attrs.get("start", 1))
    return node


def _leaf(token: Token) -> list[Node]:
    match token.type:
        case "text" | "text_special":
            return [{"kind": "text", "text": breakable(token.content)}] if token.content else []
        case "code_inline":
            return [{"kind": "code", "text": breakable(token.content)}]
        case "fence" | "code_block":
            return [{"kind": "pre", "text": token.content.rstrip("\n")}]
        case "softbreak":
            return [{"kind": "text", "text": " "}]
        case "hardbreak" | "hr":
            return [{"kind": token.type}]
        case "image":  # never drawn: its words are
            return [{"kind": "text", "text": breakable(token.content)}]
    return [{"kind": "text", "text": breakable(token.content)}] if token.content else []


def breakable(text: str) -> str:
    """The text with places to break in words that are longer than a column is wide."""
    return _LONG.sub(lambda m: "\u200b".join(re.findall(f".{{1,{_PIECE}}}", m[0])), text)
