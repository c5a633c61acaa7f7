"""The public status page: a place. Its entry is written with the approval; see comms.services.external."""

from __future__ import annotations

from typing import Literal

from django.conf import settings
from pydantic import Field

from comms.facts import Channel, Outgoing, Sent
from core.playbook.schema import Text


class StatusPageChannel(Channel):
    """The public status page of this installation."""

    kind: Literal["status_page"] = Field(description="The public status page.")
    title: Text = Field(default="Service status", description="The page's name, which the public reads.")

    @property
    def outside(self) -> bool:
        return True


def send(message: Outgoing, channel: StatusPageChannel, connection: None) -> Sent:
    """Nothing is left to send: what was approved stands on the page already."""
    return Sent(receipt=f"on {settings.STATUS_PAGE_URL}")
