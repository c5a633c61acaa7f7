"""E-mail to those who subscribed to the status page, one each, with a way out in every one."""

from __future__ import annotations

import html
import smtplib
from typing import ClassVar, Literal

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from pydantic import Field

from comms.facts import Channel, NotSent, Outgoing, Sent


class UserEmailChannel(Channel):
    """One e-mail to each confirmed subscriber of the status page, by EMAIL_URL."""

    kind: Literal["user_email"] = Field(description="E-mail to the subscribers of the status page.")
    outside: ClassVar[bool] = True


def send(message: Outgoing, channel: UserEmailChannel, connection: None) -> Sent:
    """One message to one subscriber; a refused address is not tried again, everything else is."""
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
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        code = next((reply[0] for reply in error.recipients.values()), 550)
        raise NotSent(f"recipient refused ({code})", retry=code < 500) from error
    except smtplib.SMTPResponseException as error:
        raise NotSent(f"SMTP {error.smtp_code}", retry=error.smtp_code < 500) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{type(error).__name__}: the mail server did not take it") from error
    return Sent(receipt=f"<{message.key}@firebreak>")
