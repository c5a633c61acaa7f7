"""Slack: a room, or one person, by chat.postMessage; nothing in a title becomes a mention or a link."""

from __future__ import annotations

import logging
import re
from http.client import HTTPException
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from django.conf import settings
from pydantic import Field, SecretStr, StringConstraints, field_validator
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from comms.facts import Channel, Connection, NotSent, Outgoing, Sent
from comms.rules.forms import cut, slack_escaped
from comms.states import Means
from core.http import asked_to_wait, trusted
from core.playbook.schema import Key
from core.sockets import guarded

DEADLINE_SECONDS = 10.0
READ_SECONDS = 8.0
MOST_BYTES = 262_144
FALLBACK_LENGTH = 3000

# In the words of somebody who can do something about it. What is not here is said in Slack's own.
REASONS = {
    "invalid_auth": "Slack does not accept the token: set the connection up anew",
    "not_authed": "Slack does not accept the token: set the connection up anew",
    "account_inactive": "the token's account was deactivated in Slack",
    "token_revoked": "the token was revoked in Slack: set the connection up anew",
    "token_expired": "the token has expired: set the connection up anew",
    "missing_scope": "the token lacks a scope: chat:write",
    "not_allowed_token_type": "this is no token of a bot (xoxb-)",
    "channel_not_found": "Slack knows no such room or person, or the bot cannot see it",
    "not_in_channel": "the bot is not in the room: invite it there",
    "is_archived": "the room is archived",
    "user_not_found": "Slack knows no such person: look at the contact's chat ID",
    "users_not_found": "Slack knows no such person: look at the contact's chat ID",
    "cannot_dm_bot": "the contact's chat ID is that of a bot",
    "messages_tab_disabled": "the app takes no direct messages: switch on its Messages tab in Slack",
    "restricted_action": "a setting of the Slack workspace does not let the bot post there",
    "ekm_access_denied": "the administrators of the workspace do not let the bot post",
    "msg_too_long": "the message is too long for Slack",
    "invalid_blocks": "Slack does not take the message's blocks",
}
PASSING = {
    "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
    "message_limit_exceeded", "team_access_not_granted", "accesslimited",
}  # fmt: skip

_quiet = logging.getLogger("comms.channels.slack.sdk")
_quiet.setLevel(logging.CRITICAL + 1)  # it quotes answers; what matters is the delivery's last error


class SlackConnection(Connection):
    """A Slack app's bot token, with the scope chat:write (and im:write for direct messages)."""

    token: Annotated[
        SecretStr, Field(title="Bot token", description="Begins with xoxb-.", min_length=20, max_length=255)
    ]

    @field_validator("token")
    @classmethod
    def _is_a_token(cls, token: SecretStr) -> SecretStr:
        if not re.fullmatch(r"xox[a-z][A-Za-z0-9.-]+", token.get_secret_value()):
            raise ValueError("a bot's token begins with xoxb- and has letters, digits and hyphens")
        return token


class SlackChannel(Channel):
    """One message to a room of Slack; the bot must be in it."""

    kind: Literal["slack"] = Field(description="A room of Slack.")
    room: Annotated[str, StringConstraints(pattern=r"^(#[a-z0-9_][a-z0-9_-]{0,79}|[CG][A-Z0-9]{7,20})$")] = (
        Field(description="Its name, such as `#incident-response`, or its ID.")
    )
    connection: Key = Field(default="slack", description="The name of the connection that has the token.")


class SlackDirectChannel(Channel):
    """One message to each contact who has a chat ID."""

    kind: Literal["slack_direct"] = Field(description="Direct messages in Slack.")
    connection: Key = Field(default="slack", description="The name of the connection that has the token.")
    means: ClassVar[Means | None] = Means.CHAT


def send_to_room(message: Outgoing, channel: SlackChannel, connection: SlackConnection) -> Sent:
    """One message to the room."""
    return _post(message, channel.room, connection)


def send_to_person(message: Outgoing, channel: SlackDirectChannel, connection: SlackConnection) -> Sent:
    """One message to the person; an ID that is none is not tried again."""
    if not re.fullmatch(r"[UW][A-Z0-9]{6,20}", message.recipient):
        raise NotSent("the contact's chat ID is none of Slack, such as U012AB3CD", retry=False)
    return _post(message, message.recipient, connection)


def _post(message: Outgoing, to: str, connection: SlackConnection) -> Sent:
    address = urlsplit(settings.SLACK_API_URL)
    port = address.port or (443 if address.scheme == "https" else 80)
    client = _Client(
        token=connection.token.get_secret_value(),
        base_url=settings.SLACK_API_URL,
        timeout=READ_SECONDS,  # type: ignore[arg-type]  # seconds, as urllib takes them
        ssl=trusted(settings.OUTBOUND_CA_FILE),
        retry_handlers=[],  # deliveries are tried again by Firebreak, not behind its back
        logger=_quiet,
    )
    hosts = [(address.hostname or "", port)]
    with guarded(deadline_seconds=DEADLINE_SECONDS, hosts=hosts) as guard:
        try:
            answer = client.chat_postMessage(
                channel=to,
                text=slack_escaped(cut(f"{message.subject}\n\n{message.body}", FALLBACK_LENGTH)),
                blocks=[dict(block) for block in message.blocks],
                mrkdwn=False,
                parse="none",
                link_names=False,
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackApiError as error:
            if guard.is_over:
                raise NotSent(guard.why(error)) from None
            raise _refusal(error) from None
        except (OSError, HTTPException, SlackClientError, ValueError) as error:
            raise NotSent(guard.why(error)) from None
    return Sent(receipt=f"ts {str(answer.get('ts') or '')[:40]}")


def _refusal(error: SlackApiError) -> NotSent:
    """What Slack said, as a reason; its own words only where they are one word."""
    status = int(getattr(error.response, "status_code", 0) or 0)
    code = str(error.response.get("error") or "")
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return NotSent("Slack takes no more messages for a while", retry_after=_retry_after(error))
    if status >= 500:
        return NotSent(f"Slack answered {status}")
    if not re.fullmatch(r"[a-z_]{1,60}", code):
        return NotSent(f"Slack's answer makes no sense (status {status})", retry=200 <= status < 300)
    return NotSent(REASONS.get(code, f"Slack said {code}"), retry=code in PASSING)


def _retry_after(error: SlackApiError) -> float | None:
    headers = {str(k).lower(): str(v) for k, v in dict(getattr(error.response, "headers", {}) or {}).items()}
    return asked_to_wait(headers.get("retry-after", ""))


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_details: Any) -> None:
        return None


class _Client(WebClient):
    """Slack's client without the environment's proxies and redirects, and with a limit to what it reads."""

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=self.ssl), _NoRedirect)
        with opener.open(req, timeout=self.timeout) as answer:
            body = answer.read(MOST_BYTES).decode("utf-8", "replace")
            return {"status": answer.status, "headers": answer.headers, "body": body}
