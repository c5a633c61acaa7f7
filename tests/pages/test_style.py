"""The stylesheet has no rule left that no page uses."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("core", "incidents", "rollbacks", "comms", "demo")
CLASS = re.compile(r'class="((?:[^"{]|\{%.*?%\}|\{\{.*?\}\})*)"')
WORD = re.compile(r"[\w-]+")


def used() -> set[str]:
    """Every word of a class attribute in a template, and every word of what draws pages by itself."""
    attributes = (
        found for page in (ROOT / "templates").rglob("*.html") for found in CLASS.findall(page.read_text())
    )
    drawing = [path.read_text() for path in (ROOT / "static" / "firebreak").glob("*.js")]
    for app in APPS:
        texts = (path.read_text() for path in (ROOT / app).rglob("*.py"))
        drawing += [text for text in texts if "class=" in text or '"class"' in text]
    return {word for text in (*attributes, *drawing) for word in WORD.findall(text)}


def styled(css: str) -> set[str]:
    """The classes that selectors name: what stands in braces is left out, innermost first."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    return set(re.findall(r"\.([a-zA-Z][\w-]*)", re.sub(r"\{[^{}]*\}", "", css)))


def test_every_class_with_a_style_is_used() -> None:
    classes = styled((ROOT / "static" / "firebreak" / "app.css").read_text())
    assert len(classes) > 100, "selectors were found"
    assert classes - used() == set()


def test_what_nobody_uses_is_found() -> None:
    assert styled("@layer a { .one, .two:has(.three) { margin: 0.5px; } }") == {"one", "two", "three"}
    assert {"incident-card", "clip", "severity", "offers"} <= used()
    assert "nobody-uses-this" not in used()
