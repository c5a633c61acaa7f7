"""The personal links of messages: signed, so that nobody makes one, and nothing about them is stored.

A token is `incident.contact.until.signature`; the signature covers the text before it, so that every link
has one form alone. 96 bits of it: short enough for an SMS, and guessing is limited by sender.
"""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.core.signing import b62_decode, b62_encode
from django.utils.crypto import constant_time_compare, salted_hmac

_SALT = "comms.links.acknowledge"
_MOST = 80  # characters that a token may have
_SIGNATURE_BYTES = 12


class BadLink(ValueError):
    """Nobody was sent this link."""


@dataclass(frozen=True)
class Link:
    """For whom, about which incident, and until when."""

    incident: int
    contact: int
    until: dt.datetime


def token_for(link: Link) -> str:
    """The token of a link; the same for the same link, to the second."""
    parts = (link.incident, link.contact, int(link.until.timestamp()))
    text = ".".join(b62_encode(part) for part in parts)
    return f"{text}.{_signature(text)}"


def address_of(link: Link) -> str:
    """The whole address, as a message has it."""
    return f"{settings.PUBLIC_URL}/a/{token_for(link)}/"


def read_token(token: str) -> Link:
    """The link of a token, which may have run out; raises BadLink."""
    text, _, signature = token.rpartition(".")
    if len(token) > _MOST or not constant_time_compare(signature, _signature(text)):
        raise BadLink
    incident, contact, until = (b62_decode(part) for part in text.split("."))
    return Link(incident, contact, dt.datetime.fromtimestamp(until, dt.UTC))


def _signature(text: str) -> str:
    digest = salted_hmac(_SALT, text, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode("ascii")
