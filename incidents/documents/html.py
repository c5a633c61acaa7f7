"""A report's Markdown as HTML that a page may hold."""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# No images: they would tell another host who reads. No attribute but an address, so no style and no handler.
_TAGS = {
    "h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td",
    "strong", "em", "code", "pre", "blockquote", "a", "hr", "br",
}  # fmt: skip


def as_html(markdown: str) -> str:
    """Clean HTML: a link opens without telling where it came from, and everything else is text."""
    return nh3.clean(
        _MARKDOWN.render(markdown),
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )
