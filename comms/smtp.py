"""Giving a mail to the server of EMAIL_URL, under the guard; both kinds of mail do it."""

from __future__ import annotations

import smtplib

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from comms.facts import NotSent, Sent
from core.sockets import guarded

DEADLINE_SECONDS = 10.0


def hand_over(mail: EmailMultiAlternatives) -> Sent:
    """To the server, or into a file until there is one; raises NotSent.

    A refused recipient is not tried again, everything else is.
    """
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
