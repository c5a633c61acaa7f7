"""feed.atom: an entry for each incident, by RFC 4287."""

from __future__ import annotations

import datetime as dt
import re
from xml.etree import ElementTree as ET

from comms.publishing.statuspage import page_id
from comms.selectors.status_page import IncidentLine, StatusPage

NAMESPACE = "http://www.w3.org/2005/Atom"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def feed(page: StatusPage) -> bytes:
    """The newest incidents with all that was said about each."""
    ET.register_namespace("", NAMESPACE)
    root = ET.Element(f"{{{NAMESPACE}}}feed")
    _add(root, "id", f"urn:firebreak:status:{page_id(page)}")
    _add(root, "title", page.title)
    _add(root, "updated", _time(page.updated_at))
    _add(root, "link", rel="self", href=f"{page.url}feed.atom", type="application/atom+xml")
    _add(root, "link", rel="alternate", href=page.url, type="text/html")
    _add(_add(root, "author"), "name", page.title)
    for line in page.recent:
        _entry(root, page, line)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _entry(root: ET.Element, page: StatusPage, line: IncidentLine) -> None:
    entry = _add(root, "entry")
    _add(entry, "id", f"urn:firebreak:status:{page_id(page)}:{line.public_id}")
    _add(entry, "title", f"{line.status_label}: {line.title}")
    _add(entry, "published", _time(line.created_at))
    _add(entry, "updated", _time(line.updated_at))
    _add(entry, "link", rel="alternate", href=f"{page.url}#{line.public_id}", type="text/html")
    said = "\n\n".join(
        f"{update.at:%Y-%m-%d %H:%M} UTC, {update.status_label}\n{update.body.strip()}"
        for update in line.updates
    )
    _add(entry, "content", said, type="text")


def _add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, f"{{{NAMESPACE}}}{name}", attributes)
    element.text = _NOT_XML.sub("\ufffd", text) or None
    return element


def _time(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
