"""A signed POST by the rules of Standard Webhooks; into a file under VAR_DIR until an address is set."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from typing import Annotated, Literal

import httpx2
from django.conf import settings
from pydantic import Field

from comms.facts import Channel, NotSent, Outgoing, Sent
from core.http import Answer, GuardedClient

DEADLINE_SECONDS = 10.0
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]


class WebhookChannel(Channel):
    """A signed POST (Standard Webhooks). Address and secret come from the environment.

    While the address is not set, deliveries go to a file under VAR_DIR.
    """

    kind: Literal["webhook"] = Field(description="A signed POST to one address.")
    url_variable: EnvironmentName = Field(
        description="The environment variable that holds the address. While it is empty, messages are"
        " lines in `$VAR_DIR/outbox/webhook.jsonl`."
    )
    secret_variable: EnvironmentName = Field(
        description="The environment variable that holds the secret for signing: `whsec_` and base64."
    )


def send(message: Outgoing, channel: WebhookChannel, connection: None) -> Sent:
    """POST the message; 2xx is sent, 410 and other 4xx are final, the rest is tried again."""
    url = os.environ.get(channel.url_variable, "")
    secret = os.environ.get(channel.secret_variable, "")
    body = payload(message)
    if not url:
        return _to_file(message.key, body)
    headers = {
        "content-type": "application/json",
        "user-agent": "Firebreak",
        **signature(message.key, body, secret),
    }
    try:
        answer = asyncio.run(_post(url, body, headers))
    except httpx2.InvalidURL:  # its text quotes the address, which may hold a secret
        raise NotSent(f"{channel.url_variable} is no address", retry=False) from None
    except (httpx2.HTTPError, OSError) as error:
        raise NotSent(f"{type(error).__name__}: {error}") from error
    if 200 <= answer.status < 300:
        return Sent(receipt=f"HTTP {answer.status}")
    retry = answer.status >= 500 or answer.status in (408, 425, 429)
    after = answer.headers.get("retry-after", "")
    raise NotSent(
        f"the receiver answered {answer.status}",
        retry=retry,
        retry_after=float(after) if after.isdigit() and len(after) < 8 else None,
    )


def payload(message: Outgoing) -> bytes:
    """The JSON body: type, timestamp and data, as Standard Webhooks has them."""
    return json.dumps(
        {
            "type": message.event_kind,
            "timestamp": message.occurred_at,
            "data": {
                "incident": message.incident or None,
                "rollback": message.rollback or None,
                "summary": message.summary,
                "subject": message.subject,
                "body": message.body,
            },
        },
        ensure_ascii=False,
    ).encode()


def signature(key: str, body: bytes, secret: str) -> dict[str, str]:
    """The three headers; the secret is `whsec_` and base64. Raises NotSent for an unusable secret."""
    try:
        raw = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise NotSent("the webhook's secret is not whsec_ and base64", retry=False) from error
    if len(raw) < 16:
        raise NotSent("the webhook's secret is missing or too short", retry=False)
    stamp = str(int(time.time()))
    mac = hmac.new(raw, f"{key}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": key,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


async def _post(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    async with GuardedClient() as client:
        return await client.request(
            "POST",
            url,
            deadline_seconds=DEADLINE_SECONDS,
            max_bytes=65_536,
            headers=headers,
            content=body,
        )


def _to_file(key: str, body: bytes) -> Sent:
    folder = settings.VAR_DIR / "outbox"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with (folder / "webhook.jsonl").open("ab") as out:
            out.write(body + b"\n")
    except OSError as error:
        raise NotSent(f"cannot write {folder}: {error.strerror}") from error
    return Sent(receipt=f"file, {key}")
