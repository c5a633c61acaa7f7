"""Templates of the playbook's own: `templates/<message>.<part>` of its folder stands for the shipped one.

They are Django's template language without any library, and receive frozen facts alone: those of
comms.selectors.content, for users PublicFacts. Each is tried with facts of every kind when the playbook is
loaded.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from django.template import Context, Engine, TemplateDoesNotExist, TemplateSyntaxError

from comms.facts import PublicFacts
from comms.selectors.content import MessageFacts, RollbackFacts
from comms.states import EXTERNAL_TEMPLATES, Template
from core.playbook.loader import Location, Playbook

# The subject, the text, SMS and calls; the mail's HTML part and the text for Slack where they shall differ.
PARTS = ("subject.txt", "txt", "short.txt", "html", "slack.txt")
_UNKNOWN = "\ue000"  # around the name of a fact that there is not


def render(name: str, source: str, facts: Any, *, strict: bool = False) -> str:
    """The template `source` filled with `facts`; what is no fact is empty, or marked when `strict`."""
    return _engine(name.endswith(".html"), strict).from_string(source).render(Context({"facts": facts}))


@functools.cache
def _engine(escapes: bool, strict: bool) -> Engine:
    """For mail's HTML with every text escaped, for the rest without."""
    marked = f"{_UNKNOWN}%s{_UNKNOWN}" if strict else ""
    return Engine(autoescape=escapes, libraries={}, debug=strict, string_if_invalid=marked)


def check(playbook: Playbook) -> Iterator[tuple[str, Location, str]]:
    """Every template of the playbook is a message's, can be read, and asks for facts that there are."""
    known = {f"{template}.{part}" for template in Template.values for part in PARTS}
    for name, source in playbook.templates.items():
        file = f"templates/{name}"
        if name not in known:
            yield (
                file,
                (),
                f"there is no such template: it must be <message>.<part>, parts are {', '.join(PARTS)}",
            )
            continue
        try:
            outside = name.split(".", 1)[0] in EXTERNAL_TEMPLATES
            said = render(name, source, sample_public_facts() if outside else sample_facts(), strict=True)
        except (TemplateSyntaxError, TemplateDoesNotExist) as error:
            where: Mapping[str, Any] = getattr(error, "template_debug", {})
            yield file, (int(where.get("line", 1)),), str(error)
            continue
        if _UNKNOWN in said:
            missing = said.split(_UNKNOWN)[1]
            yield file, (_line_of(source, missing),), f"there is no fact {missing}"


def _line_of(source: str, name: str) -> int:
    lines = source.split("\n")
    return next((number for number, line in enumerate(lines, 1) if name in line), 1)


def sample_facts(**changed: Any) -> MessageFacts:
    """Facts with something in every field, to try templates with."""
    at = dt.datetime(2026, 11, 20, 10, 15, tzinfo=dt.UTC)
    given: dict[str, Any] = {
        "event_summary": "Checkout fails for a third of all customers",
        "event_time": at,
        "url": "https://firebreak.example.test/incidents/INC-2026-11-20-0001/",
        "ref": "INC-2026-11-20-0001",
        "title": "Checkout fails",
        "severity": "P1",
        "severity_name": "High",
        "status": "Investigating",
        "declared_at": at,
        "response_due_at": at + dt.timedelta(hours=1),
        "description": "A third of all orders end with an error since 10:12.",
        "impact": "A third of all customers cannot pay.",
        "actions": ("Switched the payment provider off", "RB-2026-11-20-0001: Switch to the version before"),
        "next_steps": ("Look at the logs of the payment provider",),
        "commander": "ida",
        "technical_lead": "tom",
        "text": "The call moved to the second room.",
        "frequency": "1 h",
        "resolution": "Rolled back to 1.4.2",
        "bridge": "https://meet.example.test/INC-2026-11-20-0001-0123456789abcdef0123",
        "root_cause": "A time-out of zero seconds in 1.5.0",
        "rollback": RollbackFacts(
            ref="RB-2026-11-20-0001",
            service="Shop (production)",
            trigger="Automated",
            from_version="1.5.0",
            target_version="1.4.2",
            reason="error rate is critical: 33 %",
            expected_duration="5 min",
            impact="Carts are kept; payments take longer for a minute.",
            state="Needs attention",
            attention="Whether the switch was made is not known.",
            outcome="The health check failed before anything was changed.",
            queue="runner.default",
            url="https://firebreak.example.test/rollbacks/RB-2026-11-20-0001/",
        ),
    }
    return MessageFacts(**{**given, **changed})


def sample_public_facts(**changed: Any) -> PublicFacts:
    """Facts for users with something in every field."""
    at = dt.datetime(2026, 11, 20, 10, 15, tzinfo=dt.UTC)
    given: dict[str, Any] = {
        "title": "Paying fails for some customers",
        "status_label": "Monitoring",
        "impact": "One order in three could not be paid.",
        "update": "We went back to the version before and are watching it.",
        "root_cause": "A setting of the new version.",
        "expected_duration": "30 minutes",
        "components": ("Shop", "Payments"),
        "started_at": at,
        "resolved_at": at + dt.timedelta(minutes=35),
        "status_url": "https://status.example.test/",
    }
    return PublicFacts(**{**given, **changed})
