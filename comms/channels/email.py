"""E-mail through Django's backend: SMTP when EMAIL_URL is set, else files under VAR_DIR."""

from __future__ import annotations

from typing import ClassVar, Literal

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from pydantic import Field

from comms.facts import Channel, Outgoing, Sent
from comms.smtp import hand_over
from comms.states import Means


class EmailChannel(Channel):
    """One e-mail per contact, by EMAIL_URL; into files under VAR_DIR until that is set."""

    kind: Literal["email"] = Field(description="E-mail.")
    means: ClassVar[Means | None] = Means.EMAIL


def send(message: Outgoing, channel: EmailChannel, connection: None) -> Sent:
    """One message to one address; raises NotSent."""
    text = f"{message.body}\n{message.link_label}: {message.link}\n" if message.link else message.body
    mail = EmailMultiAlternatives(
        subject=" ".join(message.subject.split()),
        body=text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[message.recipient],
        headers={"Message-ID": f"<{message.key}@firebreak>", "Auto-Submitted": "auto-generated"},
    )
    if message.html:
        mail.attach_alternative(message.html, "text/html")
    return hand_over(mail)
