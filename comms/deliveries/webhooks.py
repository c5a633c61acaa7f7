"""Sending outgoing webhooks: one at a time to each endpoint, and those that fail delay no other.

Endpoints that are well and endpoints that fail have lanes of their own. A failure leaves its endpoint
alone for a while, whatever waits for it; then one delivery asks how it is.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
import time
from dataclasses import dataclass
from typing import Any

import httpx2
from django.db import connection, transaction

from comms.deliveries.staff import Staff
from comms.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from comms.rules.webhooks import (
    CATCH_UP_FAILURES,
    DISABLE_SECONDS,
    GONE,
    next_wait,
    rest_after,
    signatures,
)
from comms.selectors.webhooks import message_key, payload
from comms.services.webhooks import TOPIC, disable_webhook
from comms.states import DUE_STATES, DeliveryState
from core import live
from core.clock import utcnow
from core.encryption import NoEncryptionKey, Undecipherable, decrypt
from core.http import NO_ANSWER, Answer, GuardedClient, asked_to_wait
from core.logs import about
from core.texts import made_harmless

logger = logging.getLogger(__name__)

THREADS = 6  # of a lane, in each process
DEADLINE_SECONDS = 15.0
CLAIM_SECONDS = 60  # longer than the deadline: then the sender has died
KEPT_BYTES = 2_048  # of an answer
LANES = ("well", "failing")

# An endpoint whose turn is longest ago comes first; its oldest delivery that is due is taken. Whoever
# takes it moves `not_before` on, so that nobody else sends there meanwhile.
_CLAIM = """
WITH chosen AS (
    SELECT e.id FROM comms_webhookendpoint e
     WHERE e.enabled AND (e.failures > 0) = %(failing)s AND e.not_before <= clock_timestamp()
       AND EXISTS (SELECT 1 FROM comms_webhookdelivery w
                    WHERE w.endpoint_id = e.id AND w.state = ANY(%(due)s) AND w.due_at <= clock_timestamp())
     ORDER BY e.not_before, e.id LIMIT 1 FOR UPDATE SKIP LOCKED),
taken AS (
    UPDATE comms_webhookendpoint e SET not_before = clock_timestamp() + make_interval(secs => %(seconds)s)
      FROM chosen WHERE e.id = chosen.id)
UPDATE comms_webhookdelivery d
   SET state = %(sending)s, claims = d.claims + 1,
       attempts = d.attempts + (d.state = %(sending)s)::int,
       due_at = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE d.state = ANY(%(due)s)
   AND d.id = (SELECT w.id FROM chosen JOIN comms_webhookdelivery w ON w.endpoint_id = chosen.id
                WHERE w.state = ANY(%(due)s) AND w.due_at <= clock_timestamp() ORDER BY w.id LIMIT 1)
RETURNING d.id
"""
_WAITING = """
SELECT count(*) FROM (
    SELECT 1 FROM comms_webhookendpoint e
     WHERE e.enabled AND (e.failures > 0) = %s AND e.not_before <= clock_timestamp()
       AND EXISTS (SELECT 1 FROM comms_webhookdelivery w
                    WHERE w.endpoint_id = e.id AND w.state = ANY(%s) AND w.due_at <= clock_timestamp())
     LIMIT %s) few
"""


def send_due_webhooks(*, now: dt.datetime) -> int:
    """Send every due delivery; any number of processes may do this at once."""
    return _STAFF.work(LANES)


def _waiting(lane: str, most: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [lane == "failing", list(DUE_STATES), most])
        return int(cursor.fetchone()[0])


def _claim(lane: str) -> int | None:
    asked: dict[str, Any] = {
        "failing": lane == "failing",
        "due": list(DUE_STATES),
        "sending": DeliveryState.SENDING,
        "seconds": CLAIM_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, asked)
        row = cursor.fetchone()
    return int(row[0]) if row else None


# --- one attempt --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Outcome:
    """What one POST came to: a status, or why there was none."""

    status: int | None
    milliseconds: int = 0
    error: str = ""
    answer: str = ""
    retry_after: float | None = None

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def said(self) -> str:
        return self.error or f"the receiver answered {self.status}"


def attempt(delivery_id: int) -> None:
    """Try the delivery, which this thread has claimed. Never raises for what is wrong with it."""
    rows = WebhookDelivery.objects.select_related("endpoint", "event__stream")
    delivery = rows.filter(pk=delivery_id).first()
    if delivery is None:  # its endpoint was removed meanwhile
        return
    with about(webhook=delivery.endpoint_id, delivery=delivery_id):
        try:
            outcome = _post(delivery)
        except Exception as error:
            logger.exception("webhook delivery %s failed unexpectedly", delivery_id)
            outcome = _Outcome(None, error=f"{type(error).__name__}, see the log")
        _settle(delivery, outcome)


def _post(delivery: WebhookDelivery) -> _Outcome:
    endpoint, now = delivery.endpoint, utcnow()
    if next_wait(delivery.attempts, chance=0) is None:  # a sender that died has tried, too
        return _Outcome(None, error="whoever sends it dies")
    body = payload(delivery, sees_restricted=endpoint.sees_restricted)
    key, stamp = message_key(delivery), int(now.timestamp())
    try:
        signed = signatures(_secrets(endpoint, now), key=key, stamp=stamp, body=body)
    except (NoEncryptionKey, Undecipherable, ValueError):
        return _Outcome(None, error="its secret cannot be opened: see ENCRYPTION_KEYS, or rotate it")
    headers = {
        "content-type": "application/json",
        "webhook-id": key,
        "webhook-timestamp": str(stamp),
        "webhook-signature": signed,
    }
    began = time.monotonic()
    try:
        answer = asyncio.run(_send(endpoint.url, body, headers))
    except httpx2.InvalidURL:  # its text quotes the address, which may hold a secret
        return _Outcome(None, _since(began), "the address is none")
    except NO_ANSWER as error:
        return _Outcome(None, _since(began), f"{type(error).__name__}: {error}"[:500])
    return _Outcome(
        answer.status,
        _since(began),
        answer=made_harmless(answer.body[:KEPT_BYTES].decode("utf-8", "replace")),
        retry_after=asked_to_wait(answer.headers.get("retry-after", "")),
    )


def _secrets(endpoint: WebhookEndpoint, now: dt.datetime) -> list[str]:
    """The secret, and the one before while it is valid."""
    sealed = [endpoint.secret]
    if endpoint.old_secret and endpoint.old_secret_until and now < endpoint.old_secret_until:
        sealed.append(endpoint.old_secret)
    return [decrypt(one) for one in sealed]


async def _send(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    async with GuardedClient() as client:
        return await client.request(
            "POST",
            url,
            deadline_seconds=DEADLINE_SECONDS,
            max_bytes=KEPT_BYTES,
            cut=True,
            headers=headers,
            content=body,
        )


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


# --- what came of it ----------------------------------------------------------------------------------


def _settle(delivery: WebhookDelivery, outcome: _Outcome) -> None:
    """Delivery, endpoint and log in one transaction; another sender that took it over meanwhile wins."""
    now = utcnow()
    with transaction.atomic():
        rows = WebhookEndpoint.objects.select_for_update(no_key=True)
        endpoint = rows.filter(pk=delivery.endpoint_id).first()
        if endpoint is None or not _move(delivery, outcome, now):
            return
        WebhookAttempt.objects.create(
            delivery=delivery,
            at=now,
            status=outcome.status,
            milliseconds=outcome.milliseconds,
            error=outcome.error,
            answer=outcome.answer,
        )
        if outcome.taken:
            _is_well(endpoint, now)
        else:
            _has_failed(endpoint, outcome, now)
        live.poke(TOPIC)


def _move(delivery: WebhookDelivery, outcome: _Outcome, now: dt.datetime) -> bool:
    attempts = delivery.attempts + 1
    changes: dict[str, object] = {"attempts": attempts, "last_status": outcome.status, "last_error": ""}
    if outcome.taken:
        changes |= {"state": DeliveryState.SENT, "finished_at": now}
    else:
        changes["last_error"] = outcome.said[:500]
        wait = next_wait(attempts, chance=_chance(), retry_after=outcome.retry_after)
        if wait is None:
            changes |= {"state": DeliveryState.DEAD, "finished_at": now}
        else:
            changes |= {"state": DeliveryState.RETRYING, "due_at": now + dt.timedelta(seconds=wait)}
    mine = WebhookDelivery.objects.filter(pk=delivery.pk, state=DeliveryState.SENDING, claims=delivery.claims)
    return bool(mine.update(**changes))


def _is_well(endpoint: WebhookEndpoint, now: dt.datetime) -> None:
    was_down = endpoint.failures >= CATCH_UP_FAILURES
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        failures=0, failing_since=None, succeeded_at=now, not_before=now
    )
    if was_down:
        endpoint.deliveries.filter(state=DeliveryState.RETRYING).update(due_at=now)


def _has_failed(endpoint: WebhookEndpoint, outcome: _Outcome, now: dt.datetime) -> None:
    since = endpoint.failing_since or now
    rest = rest_after(endpoint.failures + 1, chance=_chance(), retry_after=outcome.retry_after)
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        failures=endpoint.failures + 1,
        failing_since=since,
        not_before=now + dt.timedelta(seconds=rest),
    )
    if outcome.status == GONE:
        disable_webhook(webhook_id=endpoint.pk, why="the receiver answered 410: it is gone", now=now)
    elif (now - since).total_seconds() >= DISABLE_SECONDS:
        days = DISABLE_SECONDS // 86_400
        disable_webhook(
            webhook_id=endpoint.pk,
            why=f"{days:.0f} days of nothing but failures, at last: {outcome.said}",
            now=now,
        )


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads load, keeps no secret


_STAFF = Staff(threads=THREADS, waiting=_waiting, claim=_claim, attempt=attempt)
