"""E-mail to those who subscribed to the status page, one each, with a way out in every one."""

from __future__ import annotations

import html
from typing import Literal

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from pydantic import Field

from comms.facts import Channel, Outgoing, Sent
from comms.smtp import hand_over


class UserEmailChannel(Channel):
    """One e-mail to each confirmed subscriber of the status page, by EMAIL_URL."""

    kind: Literal["user_email"] = Field(description="E-mail to the subscribers of the status page.")

    @property
    def outside(self) -> bool:
        return True


def send(message: Outgoing, channel: UserEmailChannel, connection: None) -> Sent:
    """One message to one subscriber; raises NotSent."""
    headers = {"Message-ID": f"<{message.key}@firebreak>", "Auto-Submitted": "auto-generated"}
    text, page = message.body, message.html
    if message.unsubscribe:
        # RFC 8058: a mail program's own button posts to this address.
        headers["List-Unsubscribe"] = f"<{message.unsubscribe}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        text = f"{text}\n-- \nUnsubscribe: {message.unsubscribe}\n"
        way_out = f'<p><a href="{html.escape(message.unsubscribe)}">Unsubscribe</a></p>\n</body>'
        page = page.replace("</body>", way_out)
    mail = EmailMultiAlternatives(
        subject=" ".join(message.subject.split()),
        body=text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[message.recipient],
        headers=headers,
    )
    if page:
        mail.attach_alternative(page, "text/html")
    return hand_over(mail)
