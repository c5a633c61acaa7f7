"""E-mail through Django's backend: SMTP when EMAIL_URL is set, else files under VAR_DIR."""

from __future__ import annotations

import smtplib
from typing import ClassVar, Literal

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from pydantic import Field

from comms.facts import Channel, NotSent, Outgoing, Sent
from comms.states import Means
from core.sockets import guarded

DEADLINE_SECONDS = 10.0


class EmailChannel(Channel):
    """One e-mail per contact, by EMAIL_URL; into files under VAR_DIR until that is set."""

    kind: Literal["email"] = Field(description="E-mail.")
    means: ClassVar[Means | None] = Means.EMAIL


def send(message: Outgoing, channel: EmailChannel, connection: None) -> Sent:
    """One message to one address; a refused recipient is not tried again, everything else is."""
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
    return deliver(mail)


def deliver(mail: EmailMultiAlternatives) -> Sent:
    """Give one mail to the server of EMAIL_URL, or to a file; raises NotSent."""
    # Whoever runs this process has named the server, so that it may be a private one, and no other.
    hosts = [(settings.EMAIL_HOST, settings.EMAIL_PORT)]
    with guarded(deadline_seconds=DEADLINE_SECONDS, hosts=hosts, trusted=True) as guard:
        try:
            mail.send()
        except smtplib.SMTPRecipientsRefused as error:
            code = next((reply[0] for reply in error.recipients.values()), 550)
            raise NotSent(f"recipient refused ({code})", retry=code < 500) from error
        except smtplib.SMTPAuthenticationError as error:  # what it quotes is left out everywhere
            raise NotSent(f"the mail server refuses our name or password ({error.smtp_code})") from None
        except smtplib.SMTPResponseException as error:
            raise NotSent(f"SMTP {error.smtp_code}", retry=error.smtp_code < 500) from error
        except (OSError, smtplib.SMTPException) as error:
            raise NotSent(guard.why(error)) from error
    return Sent(receipt=mail.extra_headers["Message-ID"])
