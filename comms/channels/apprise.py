"""Whatever else there is, by the library Apprise: social media, the support portal. One target a channel."""

from __future__ import annotations

import logging
import sys
import threading
from functools import partialmethod
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import requests
from pydantic import Field, SecretStr, field_validator

from comms.facts import Channel, Connection, NotSent, Outgoing, Sent
from comms.rules.forms import cut, defused
from core.http import asked_to_wait
from core.playbook.schema import Key
from core.sockets import CONNECT_SECONDS, guarded

DEADLINE_SECONDS = 10.0
READ_SECONDS = 8.0
MOST_BYTES = 262_144
BODY_LENGTH = 4000

# Services that are reached by HTTP and nothing else: none that runs a program, reads a file, opens a
# window or speaks to this machine. Each was looked at before it was put here.
SCHEMES = frozenset(
    {
        "bluesky", "bsky", "mastodon", "mastodons", "toot", "toots", "reddit", "twitter", "tweet", "x",
        "discord", "gchat", "mmost", "mmosts", "rocket", "rockets", "tgram", "webex", "wxteams",
        "workflow", "workflows", "zulip",
        "gotify", "gotifys", "ntfy", "ntfys", "pover",
        "form", "forms", "json", "jsons",
    }
)  # fmt: skip
for _name in ("apprise", "urllib3"):  # they write addresses, which hold tokens, at the lower levels
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1 if _name == "apprise" else logging.WARNING)


class AppriseConnection(Connection):
    """An address of Apprise, which is account, password and place in one: all of it is secret."""

    url: Annotated[
        SecretStr,
        Field(
            title="Address",
            description="As Apprise writes it, such as mastodons://TOKEN@HOST or jsons://HOST/PATH.",
            min_length=5,
            max_length=2000,
        ),
    ]

    @field_validator("url")
    @classmethod
    def _is_allowed(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if any(letter.isspace() for letter in text) or not text.isprintable():
            raise ValueError("has spaces or control characters")
        if urlsplit(text).scheme.lower() not in SCHEMES:
            raise ValueError(f"its scheme must be one of: {', '.join(sorted(SCHEMES))}")
        if _target(text) is None:
            raise ValueError("Apprise cannot read it: something is missing in it")
        return url


class AppriseChannel(Channel):
    """One message to one target of Apprise."""

    kind: Literal["apprise"] = Field(description="Social media, a support portal and the like, by Apprise.")
    connection: Key = Field(description="The name of the connection that has the address.")
    public: bool = Field(
        default=False, description="Whether the public reads it: then it takes external messages alone."
    )

    @property
    def outside(self) -> bool:
        return self.public


def send(message: Outgoing, channel: AppriseChannel, connection: AppriseConnection) -> Sent:
    """One message to the target; what it answered decides whether it is tried again."""
    target = _target(connection.url.get_secret_value())
    if target is None:
        raise NotSent("Apprise cannot read the connection's address: set it up anew", retry=False)
    text = f"{message.body}\n{message.link_label}: {message.link}\n" if message.link else message.body
    heard = _requests_of(target)
    with guarded(deadline_seconds=DEADLINE_SECONDS) as guard:
        try:
            taken = bool(target.notify(title=defused(message.subject), body=defused(cut(text, BODY_LENGTH))))
            failure: Exception | None = None
        except Exception as error:  # noqa: BLE001 - a plugin's own; its text may hold the address
            taken, failure = False, error
        if taken and not guard.is_over:
            return Sent(receipt=f"taken by {target.service_name}, HTTP {heard.status}"[:300])
        raise _refusal(
            heard, guard.why(failure or heard.failure or OSError()), guard.is_over or guard.refused
        )


def _refusal(heard: _Heard, why: str, stopped: object) -> NotSent:
    if stopped or not heard.status:
        return NotSent(why if stopped or heard.failure else "Apprise could not send it")
    status = heard.status
    retry = status >= 500 or status in (408, 425, 429)
    return NotSent(f"the service answered {status}", retry=retry, retry_after=heard.retry_after)


def _target(url: str) -> Any:
    """The target, or None. Apprise is slow to begin, so that only those who use it wait for it."""
    import apprise  # noqa: PLC0415 - seconds

    asset = apprise.AppriseAsset(app_id="Firebreak", app_desc="Firebreak", app_url="", storage_mode="memory")
    target = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if target is None:
        return None
    target.verify_certificate = True  # whatever the address says
    target.redirects = False
    target.request_rate_per_sec = 0.0
    target.overflow_mode = apprise.OverflowMode.TRUNCATE
    return target


# --- what a plugin says and hears -------------------------------------------------------------------


class _Heard(threading.local):
    """The last answer of this thread: Apprise itself says only yes or no."""

    status: int = 0
    retry_after: float | None = None
    failure: Exception | None = None


class _Direct:
    """The library `requests` as plugins see it: no proxies of the environment, no .netrc, no redirects.

    An answer that asks for patience ends it: plugins would sleep, and deliveries are tried again anyway.
    """

    def __init__(self) -> None:
        self.heard = _Heard()

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def request(self, method: str, url: str, **asked: Any) -> requests.Response:
        heard = self.heard
        asked |= {
            "allow_redirects": False,
            "stream": True,
            "timeout": (CONNECT_SECONDS, READ_SECONDS),
            "verify": True,
        }
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.request(method, url, **asked)
                answer._content = answer.raw.read(MOST_BYTES, decode_content=True)
        except Exception as error:
            heard.status, heard.failure = 0, error
            raise
        heard.status, heard.failure = answer.status_code, None
        heard.retry_after = asked_to_wait(answer.headers.get("retry-after", ""))
        if answer.status_code == 429:
            raise requests.RequestException("told to wait")
        return answer

    get = partialmethod(request, "GET")
    post = partialmethod(request, "POST")
    put = partialmethod(request, "PUT")
    patch = partialmethod(request, "PATCH")
    delete = partialmethod(request, "DELETE")


_direct = _Direct()


def _requests_of(target: Any) -> _Heard:
    """Give the target's plugin our `requests`, and forget what this thread heard before."""
    for cls in type(target).__mro__:
        module = sys.modules.get(cls.__module__)
        if module is not None and cls.__module__.startswith("apprise.") and hasattr(module, "requests"):
            module.requests = _direct  # type: ignore[attr-defined]
    heard = _direct.heard
    heard.status, heard.retry_after, heard.failure = 0, None, None
    return heard
