"""What a message says: its templates, filled with frozen facts. Source: seed, Communication Protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.template import TemplateDoesNotExist
from django.template.loader import get_template, render_to_string

from comms.facts import PublicFacts
from comms.selectors.content import MessageFacts
from comms.states import Template

DRILL = "*** DRILL - this is an exercise ***"
SHORT_LENGTH = 400  # cut for its channel when it is sent, with the link


@dataclass(frozen=True)
class Wording:
    """`forms` holds what differs by channel: `short` for SMS."""

    subject: str
    body: str
    forms: dict[str, Any] = field(default_factory=dict)


def render(template: Template, facts: MessageFacts) -> Wording:
    """The wording of a message, on which nothing that somebody typed has an effect but its own words.

    Every message of a drill says so first, whatever its template.
    """
    subject = _line(template, "subject", facts)
    body = render_to_string(f"comms/messages/{template}.txt", {"facts": facts}).strip() + "\n"
    short = _line(template, "short", facts) or subject
    if facts.drill:
        subject, body, short = f"DRILL · {subject}", f"{DRILL}\n\n{body}", f"DRILL: {short}"
    return Wording(subject[:300], body, {"short": short[:SHORT_LENGTH]})


def render_public(template: Template, facts: PublicFacts) -> Wording:
    """The wording of an external message: its template is given public facts and nothing else."""
    subject = _line(template, "subject", facts)
    body = render_to_string(f"comms/messages/{template}.txt", {"facts": facts}).strip() + "\n"
    short = _line(template, "short", facts) or subject
    return Wording(subject[:300], body, {"short": short[:SHORT_LENGTH]})


def _line(template: Template, part: str, facts: MessageFacts | PublicFacts) -> str:
    """A part of one line; empty where the template has none."""
    try:
        rendered = get_template(f"comms/messages/{template}.{part}.txt").render({"facts": facts})
    except TemplateDoesNotExist:
        return ""
    return " ".join(rendered.split())
