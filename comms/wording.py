"""What a message says: its templates, filled with frozen facts. Source: seed, Communication Protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.template import TemplateDoesNotExist
from django.template.loader import get_template

from comms import overrides
from comms.facts import PublicFacts
from comms.rules.forms import as_blocks
from comms.selectors.content import MessageFacts
from comms.states import Template
from core.playbook import get_playbook

DRILL = "*** DRILL - this is an exercise ***"
SHORT_LENGTH = 400  # cut for its channel when it is sent, with the link


@dataclass(frozen=True)
class Wording:
    """`forms` holds what differs by channel: `short` for SMS, `html` and `blocks` by the playbook."""

    subject: str
    body: str
    forms: dict[str, Any] = field(default_factory=dict)


def render(template: Template, facts: MessageFacts) -> Wording:
    """The wording of a message, by the playbook's own templates where it has any.

    Every message of a drill says so first, whatever its template.
    """
    subject = _line(template, "subject.txt", facts)
    body = _text(template, "txt", facts).strip() + "\n"
    short = _line(template, "short.txt", facts) or subject
    html, slack = _text(template, "html", facts), _text(template, "slack.txt", facts).strip()
    if facts.drill:
        subject, body, short = f"DRILL · {subject}", f"{DRILL}\n\n{body}", f"DRILL: {short}"
        html = f"<p><strong>{DRILL}</strong></p>\n{html}" if html else ""
        slack = f"{DRILL}\n\n{slack}" if slack else ""
    forms: dict[str, Any] = {"short": short[:SHORT_LENGTH]}
    if html:
        forms["html"] = html
    if slack:
        forms["blocks"] = as_blocks(slack)
    return Wording(subject[:300], body, forms)


def render_public(template: Template, facts: PublicFacts) -> Wording:
    """The wording of an external message: its template is given public facts and nothing else."""
    subject = _line(template, "subject.txt", facts)
    body = _text(template, "txt", facts).strip() + "\n"
    short = _line(template, "short.txt", facts) or subject
    return Wording(subject[:300], body, {"short": short[:SHORT_LENGTH]})


def render_veiled(template: Template, name: str, *, url: str, drill: bool) -> Wording:
    """A message of a restricted incident to those who may not see it: its code name and a link, whatever
    it says to others. No template of the playbook has a say in it.
    """
    said = f"{'DRILL · ' if drill else ''}{name}: {template.label}"
    body = f"{said}\n\nIt is about a restricted incident. Who may see it reads it there:\n{url}\n"
    return Wording(said, body, {"short": said})


def _line(template: Template, part: str, facts: MessageFacts | PublicFacts) -> str:
    """A part of one line."""
    return " ".join(_text(template, part, facts).split())


def _text(template: Template, part: str, facts: MessageFacts | PublicFacts) -> str:
    """A part of the template; empty where there is none."""
    name = f"{template}.{part}"
    own = get_playbook().templates.get(name)
    if own is not None:
        return overrides.render(name, own, facts)
    try:
        return get_template(f"comms/messages/{name}").render({"facts": facts})
    except TemplateDoesNotExist:
        return ""
