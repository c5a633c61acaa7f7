"""SMS and voice calls by Twilio's REST interface."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import httpx2
from django.conf import settings
from pydantic import Field, SecretStr, StringConstraints, field_validator

from comms.facts import Channel, Connection, NotSent, Outgoing, Sent
from comms.rules.forms import as_sms, cut, spoken
from comms.rules.numbers import e164
from comms.states import Means
from core.http import Answer, Blocked, asked_to_wait, fetch
from core.playbook.schema import Key

DEADLINE_SECONDS = 10.0
CONNECT_SECONDS = 3.0
SPOKEN_LENGTH = 400

# In the words of somebody who can do something about it. What is not here is said by its number.
REASONS = {
    20003: "Twilio does not accept the account and its token: set the connection up anew",
    20404: "Twilio does not know the account: set the connection up anew",
    20005: "the Twilio account is suspended",
    21210: "the sender number may not make calls: it is not one of the account",
    21211: "Twilio says that this is no telephone number",
    21212: "the sender number is not one of the account",
    21214: "Twilio cannot reach this number",
    21215: "the account may not call this country: allow it in Twilio's geographic permissions",
    21216: "the account may not call this number",
    21217: "Twilio says that this is no telephone number",
    21219: "a trial account calls verified numbers only",
    21408: "the account may not send to this country: allow it in Twilio's geographic permissions",
    21603: "the connection has no sender number",
    21606: "the sender number cannot send SMS",
    21608: "a trial account sends to verified numbers only",
    21610: "the person has unsubscribed from this sender by answering STOP",
    21612: "Twilio cannot send from this sender to this number",
    21614: "this number cannot receive SMS",
    21617: "the message is too long",
    21659: "the sender number is not one of the account",
}
PASSING = {20429, 20500, 20503, 14107, 30001, 63038}


class TwilioConnection(Connection):
    """A Twilio account with a number of its own, for SMS and calls."""

    account: Annotated[str, StringConstraints(pattern=r"^AC[0-9a-f]{32}$")] = Field(
        title="Account SID", description="Begins with AC."
    )
    token: Annotated[SecretStr, Field(title="Auth token", min_length=16, max_length=128)]
    sender: Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")] = Field(
        title="Sender number", description="One of the account's, such as +15551234567."
    )

    @field_validator("token")
    @classmethod
    def _is_a_token(cls, token: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[A-Za-z0-9]+", token.get_secret_value()):
            raise ValueError("an auth token has letters and digits alone")
        return token


class _TwilioChannel(Channel):
    connection: Key = Field(default="twilio", description="The name of the connection that has the account.")
    daily_limit: int = Field(
        default=500,
        ge=1,
        le=100_000,
        description="So many leave in a day (UTC) at the most; an alarm comes at 80 % and when it is reached."
        " Then people are reached in their other ways.",
    )


class SmsChannel(_TwilioChannel):
    """One SMS to each contact who has a telephone number, by Twilio."""

    kind: Literal["sms"] = Field(description="SMS.")
    means: ClassVar[Means | None] = Means.SMS


class VoiceChannel(_TwilioChannel):
    """A call to each contact who has a telephone number, by Twilio: it says the message twice."""

    kind: Literal["voice"] = Field(description="Voice calls.")
    means: ClassVar[Means | None] = Means.VOICE


def send_sms(message: Outgoing, channel: SmsChannel, connection: TwilioConnection) -> Sent:
    """One SMS of 160 letters at the most, with the link where it has room."""
    return _post("Messages", message, connection, {"Body": as_sms(message.short, link=message.link)})


def send_call(message: Outgoing, channel: VoiceChannel, connection: TwilioConnection) -> Sent:
    """One call."""
    return _post("Calls", message, connection, {"Twiml": twiml(message.short)})


def twiml(text: str) -> str:
    """What the voice says: the text twice, and nothing that somebody wrote is an instruction."""
    said = f'<Say language="en-US">{escape(cut(spoken(text), SPOKEN_LENGTH))}</Say>'
    return f'<Response>{said}<Pause length="1"/>{said}</Response>'


def _post(what: str, message: Outgoing, connection: TwilioConnection, form: Mapping[str, str]) -> Sent:
    number = e164(message.recipient)
    if number is None:
        raise NotSent(
            "the contact's number is not complete: write it with + and the country's code", retry=False
        )
    base = settings.TWILIO_API_URL.rstrip("/")
    pair = f"{connection.account}:{connection.token.get_secret_value()}".encode()
    try:
        answer = fetch(
            "POST",
            f"{base}/2010-04-01/Accounts/{connection.account}/{what}.json",
            deadline_seconds=DEADLINE_SECONDS,
            connect_seconds=CONNECT_SECONDS,
            max_bytes=65_536,
            headers={
                "Authorization": f"Basic {base64.b64encode(pair).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            content=urlencode({"To": number, "From": connection.sender, **form}).encode(),
        )
    except Blocked as error:
        raise NotSent(str(error)) from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise NotSent(f"no answer of Twilio: {type(error).__name__}") from None
    return _outcome(answer)


def _outcome(answer: Answer) -> Sent:
    said = _said(answer.body)
    if 200 <= answer.status < 300:
        sid = str(said.get("sid", ""))
        return Sent(receipt=sid if re.fullmatch(r"[A-Z]{2}[0-9a-f]{32}", sid) else f"HTTP {answer.status}")
    code = said.get("code")
    number = code if isinstance(code, int) and not isinstance(code, bool) else None
    retry = answer.status >= 500 or answer.status in (408, 425, 429) or number in PASSING
    reason = REASONS.get(number or 0) or (
        f"Twilio refused it with error {number} (twilio.com/docs/api/errors/{number})"
        if number
        else f"Twilio answered {answer.status}"
    )
    raise NotSent(reason, retry=retry, retry_after=asked_to_wait(answer.headers.get("retry-after", "")))


def _said(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
