"""What somebody needs to see before choosing a severity."""

from __future__ import annotations

from dataclasses import dataclass

from incidents import policy
from incidents.playbook import Authority
from incidents.states import SECURITY_LEVELS, Severity, audience_label
from incidents.values import duration_text


@dataclass(frozen=True)
class SeverityCard:
    """A severity as the playbook defines it, in words."""

    key: str
    name: str
    definition: str
    response_text: str
    told_text: str
    authority_text: str


@dataclass(frozen=True)
class SecurityLevelCard:
    """A security level as the playbook defines it, in words; `actions` are what the policy asks for."""

    level: int
    name: str
    examples_text: str
    response_text: str
    authority_text: str
    actions: tuple[str, ...]


def security_level_card(level: int | None) -> SecurityLevelCard | None:
    """One of 1 to 3 of the playbook; None where no level is set."""
    found = policy.security_level(level)
    if level is None or found is None:
        return None
    return SecurityLevelCard(
        level=level,
        name=found.name,
        examples_text=", ".join(found.examples),
        response_text=duration_text(found.response_time),
        authority_text=_authority_text(found.rollback_authority),
        actions=found.actions,
    )


def security_level_cards() -> tuple[SecurityLevelCard, ...]:
    """All of them, the most urgent first."""
    cards = (security_level_card(level) for level in SECURITY_LEVELS)
    return tuple(card for card in cards if card is not None)


def severity_cards() -> tuple[SeverityCard, ...]:
    """P0 to P3 of the playbook."""
    return tuple(_card(severity) for severity in Severity)


def told_audiences(severity: str) -> tuple[str, ...]:
    """The audiences that the playbook tells about incidents of the severity."""
    return tuple(policy.severity_level(severity).audiences)


def told_text(severity: str) -> str:
    """Who is told: `technical team, management`."""
    return ", ".join(map(audience_label, told_audiences(severity)))


def _card(severity: Severity) -> SeverityCard:
    level = policy.severity_level(severity)
    return SeverityCard(
        key=severity.value,
        name=level.name,
        definition=level.definition,
        response_text=duration_text(level.response_time),
        told_text=told_text(severity),
        authority_text=_authority_text(level.rollback_authority),
    )


def _authority_text(authority: Authority) -> str:
    who = " or ".join(str(role.label) for role in authority.roles)
    return f"{who}, with approval" if authority.approval else who
