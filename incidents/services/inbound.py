"""Deliveries of other systems: stored before they are answered, looked into afterwards, never lost.

A batch is one transaction. When it fails, each of its deliveries is tried by itself: one that cannot be
handled is tried again with back-off, then parked with an alarm, and keeps nobody waiting.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from core import events, hints
from core.access import require
from core.actors import SYSTEM, Actor, actor_for_token
from core.errors import Conflict, FirebreakError, NotAllowed
from core.models import ApiToken
from core.operation import vitals
from core.strict_json import parse
from incidents import policy
from incidents.facts import Seen
from incidents.ingest import alertmanager, pagerduty
from incidents.models import Alert, InboundDelivery, Service
from incidents.rules import alerts as rules
from incidents.services.alerts import Observation, be_alone, take_in
from incidents.services.services import record_release
from incidents.states import AlertSource, AlertStatus, InboundKind
from incidents.timeline import record_on_service

logger = logging.getLogger(__name__)

BATCH = 200
BATCH_BYTES = 5_000_000
MOST_WAITING_BYTES = 2_000_000_000
MAX_ATTEMPTS = 8
RUN_SECONDS = 10.0
SIGNALS = 200
ROWS_OF_A_KEY = 3
LOOKED_EVERY_SECONDS = 1.0
WAKE_EVERY_SECONDS = 0.5
MOST_AT_ONCE = 500


class Overloaded(FirebreakError):
    """So much waits already that more is refused for a moment; senders try again by themselves."""

    code = "overloaded"
    status = 503
    retry_after = 15


class NothingParked(Conflict):
    """No such delivery is parked (any more)."""

    code = "nothing_parked"


# --- taking a delivery ------------------------------------------------------------------------------


@dataclass
class _Watch:
    """What this process last saw waiting, so that a storm does not ask with every request."""

    looked_at: float = float("-inf")
    full: bool = False
    woken_at: float = float("-inf")


_WAITING = """
SELECT count(*), coalesce(sum(size), 0) FROM incidents_inbounddelivery
 WHERE processed_at IS NULL AND parked_at IS NULL
"""
_watch = _Watch()
_watching = threading.Lock()


def accept_delivery(
    *,
    kind: str,
    token: ApiToken,
    body: str,
    now: dt.datetime,
    key: str = "",
    action: str = "",
    occurred_at: dt.datetime | None = None,
) -> InboundDelivery:
    """Store a delivery of the right shape; one INSERT, committed when this returns outside a transaction.

    Raises Overloaded when INGEST_MOST_WAITING deliveries wait already.
    """
    if _is_full():
        raise Overloaded("Too many deliveries wait to be looked into. Send it again.")
    delivery = InboundDelivery.objects.create(
        kind=kind,
        sender_id=token.user_id,
        token=token.pk,
        label=actor_for_token(token).label[:200],
        key=key,
        action=action,
        occurred_at=occurred_at,
        body=body,
        size=len(body),
        received_at=now,
        due_at=now,
    )
    _wake()
    return delivery


def _is_full() -> bool:
    with _watching:
        if time.monotonic() - _watch.looked_at < LOOKED_EVERY_SECONDS:
            return _watch.full
        _watch.looked_at = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        count, size = cursor.fetchone()
    _watch.full = count >= settings.INGEST_MOST_WAITING or size >= MOST_WAITING_BYTES
    return _watch.full


def _wake() -> None:
    """A hint now and then: the sweep is never further away than a second."""
    with _watching:
        if time.monotonic() - _watch.woken_at < WAKE_EVERY_SECONDS:
            return
        _watch.woken_at = time.monotonic()
    hints.wake("incidents.sweep_alerts")


# --- looking into it --------------------------------------------------------------------------------

# The tried-before ones last and each by itself; in between, every sender in turn: one sender's storm
# does not keep another's alert waiting.
_DUE = """
SELECT id, kind, size, attempts FROM (
    SELECT id, kind, size, attempts, row_number() OVER (PARTITION BY sender_id ORDER BY id) AS turn
      FROM incidents_inbounddelivery
     WHERE processed_at IS NULL AND parked_at IS NULL AND due_at <= %s) waiting
 ORDER BY attempts > 0, turn, id LIMIT %s
"""


def process_due(*, now: dt.datetime) -> int:
    """Look into what was delivered, for ten seconds at most; returns how many deliveries.

    Any number of processes may call this; one at a time does the work.
    """
    handled, until = 0, time.monotonic() + RUN_SECONDS
    while done := _process_batch(now):
        handled += done
        vitals.progress()
        if time.monotonic() > until:
            break
    return handled


def _process_batch(now: dt.datetime) -> int:
    ids: list[int] = []
    try:
        with transaction.atomic():
            if not be_alone():
                return 0
            ids = _next_batch(now)
            if ids:
                _handle(ids, now)
    except Exception as error:
        if not ids:
            raise  # the database is away: the next sweep tries again
        if len(ids) == 1:
            _put_back(ids[0], error, now)
            return 1
        logger.warning("a batch of %s deliveries failed (%s): each is tried by itself", len(ids), error)
        for delivery_id in ids:
            _process_one(delivery_id, now)
    return len(ids)


def _process_one(delivery_id: int, now: dt.datetime) -> None:
    try:
        with transaction.atomic():
            be_alone(wait=True)
            _handle([delivery_id], now)
    except Exception as error:  # noqa: BLE001 - whatever it is, the next delivery must not wait for it
        _put_back(delivery_id, error, now)


def _next_batch(now: dt.datetime) -> list[int]:
    """The next deliveries: alerts together, up to 5 MB; a change, or one that failed before, alone."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [now, BATCH])
        due = cursor.fetchall()
    chosen: list[int] = []
    size = 0
    for delivery_id, kind, length, attempts in due:
        alone = attempts > 0 or kind == InboundKind.CHANGE
        if chosen and (alone or size + length > BATCH_BYTES):
            break
        chosen.append(delivery_id)
        size += length
        if alone:
            break
    return chosen


def _handle(ids: Sequence[int], now: dt.datetime) -> None:
    rows = InboundDelivery.objects.filter(pk__in=ids, processed_at__isnull=True, parked_at__isnull=True)
    deliveries = list(rows.select_for_update(of=("self",), no_key=True).order_by("pk"))
    changes = [one for one in deliveries if one.kind == InboundKind.CHANGE]
    for change in changes:
        outcome = _take_change(change, now)[:300]
        InboundDelivery.objects.filter(pk=change.pk).update(outcome=outcome)
    important = rules.important_labels(policy.alerts())
    observed = [
        *_webhooks([one for one in deliveries if one.kind == InboundKind.ALERTMANAGER], important),
        *_events([one for one in deliveries if one.kind == InboundKind.EVENT], important),
    ]
    if observed:
        take_in(observed, now=now)
    InboundDelivery.objects.filter(pk__in=[one.pk for one in deliveries]).update(processed_at=now)


def _webhooks(deliveries: Iterable[InboundDelivery], important: tuple[str, ...]) -> list[Observation]:
    return [
        Observation(one.sender_id, AlertSource.ALERTMANAGER, seen, one.received_at)
        for one in deliveries
        for seen in alertmanager.read(parse(one.body), received_at=one.received_at, important=important)
    ]


Key = tuple[int, str]  # account, dedup_key


def _events(deliveries: Sequence[InboundDelivery], important: tuple[str, ...]) -> list[Observation]:
    """How each key stands after all of its events, those that are not looked into yet included."""
    if not deliveries:
        return []
    texts: dict[Key, Seen] = {}
    triggers: dict[Key, int] = defaultdict(int)
    latest: dict[Key, dt.datetime] = {}
    for one in deliveries:
        key = (one.sender_id, one.key)
        latest[key] = max(one.received_at, latest.get(key, one.received_at))
        if one.action == rules.TRIGGER:
            texts[key] = pagerduty.read(parse(one.body), received_at=one.received_at, important=important)
            triggers[key] += 1
    signals, stored = _signals(latest), _stored(latest)
    standing = {key: _standing(signals.get(key, []), stored.get(key, [])) for key in latest}
    begun = [key for key, found in standing.items() if key not in texts and any(r is None for _e, r in found)]
    earlier = _earlier_texts(begun, important)
    observed: list[Observation] = []
    for key, received_at in latest.items():
        for episode, row in standing[key]:
            last = episode is standing[key][-1][0]
            if (
                not last
                and row is not None
                and (row.starts_at, row.ends_at)
                == (
                    episode.starts_at,
                    episode.ends_at,
                )
            ):
                continue  # over, and known to be
            text = texts.get(key) or (earlier.get(key) if row is None else None)
            observed.append(
                Observation(
                    sender_id=key[0],
                    source=AlertSource.PAGERDUTY,
                    seen=_as_seen(key[1], episode, text),
                    received_at=received_at,
                    repeats=triggers[key] if last else 0,
                    row=None if row is None else row.pk,
                    described=text is not None and (last or row is None),
                )
            )
    return observed


def _standing(
    signals: Iterable[rules.Signal], rows: Sequence[Alert]
) -> list[tuple[rules.Episode, Alert | None]]:
    """A key's episodes, each with the stored alert that it is, if there is one."""
    found = rules.episodes([*signals, *(signal for row in rows for signal in _signals_of(row))])
    places = rules.place(found, [(row.starts_at, row.ends_at) for row in rows])
    return [
        (episode, None if index is None else rows[index])
        for episode, index in zip(found, places, strict=True)
    ]


def _as_seen(key: str, episode: rules.Episode, text: Seen | None) -> Seen:
    status = (
        AlertStatus.RESOLVED
        if episode.ends_at is not None
        else AlertStatus.ACKNOWLEDGED
        if episode.acknowledged
        else AlertStatus.FIRING
    )
    return Seen(
        fingerprint=key,
        starts_at=episode.starts_at,
        ends_at=episode.ends_at,
        status=status,
        title=text.title if text else "",
        labels=text.labels if text else {},
        annotations=text.annotations if text else {},
        url=text.url if text else "",
        notes=text.notes if text else (),
    )


_SIGNALS = """
SELECT wanted.sender, wanted.key, log.action, log.received_at, log.occurred_at
  FROM unnest(%s::bigint[], %s::text[]) AS wanted(sender, key)
 CROSS JOIN LATERAL (SELECT action, received_at, occurred_at FROM incidents_inbounddelivery
                      WHERE sender_id = wanted.sender AND key = wanted.key AND key <> ''
                      ORDER BY id DESC LIMIT %s) log
"""
_TRIGGERS = """
SELECT wanted.sender, wanted.key, log.body, log.received_at
  FROM unnest(%s::bigint[], %s::text[]) AS wanted(sender, key)
 CROSS JOIN LATERAL (SELECT body, received_at FROM incidents_inbounddelivery
                      WHERE sender_id = wanted.sender AND key = wanted.key AND key <> ''
                        AND action = %s AND processed_at IS NOT NULL
                      ORDER BY id DESC LIMIT 1) log
"""
_STORED = """
SELECT row.id FROM unnest(%s::bigint[], %s::text[]) AS wanted(sender, key)
 CROSS JOIN LATERAL (SELECT id FROM incidents_alert
                      WHERE sender_id = wanted.sender AND source = %s AND fingerprint = wanted.key
                      ORDER BY starts_at DESC LIMIT %s) row
"""


def _signals(keys: Iterable[Key]) -> dict[Key, list[rules.Signal]]:
    """The newest events of each key (one query)."""
    found: dict[Key, list[rules.Signal]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_SIGNALS, [*_columns(keys), SIGNALS])
        for sender, key, action, received_at, said_at in cursor.fetchall():
            found[sender, key].append(rules.Signal(action, received_at, said_at))
    return found


def _earlier_texts(keys: Sequence[Key], important: tuple[str, ...]) -> dict[Key, Seen]:
    """What the newest trigger looked into before said, for an alert that only a late resolve shows to be new.

    One query, for those that need it only.
    """
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_TRIGGERS, [*_columns(keys), rules.TRIGGER])
        return {
            (sender, key): pagerduty.read(parse(body), received_at=received_at, important=important)
            for sender, key, body, received_at in cursor.fetchall()
        }


def _stored(keys: Iterable[Key]) -> dict[Key, list[Alert]]:
    """The newest alerts of each key (two queries)."""
    with connection.cursor() as cursor:
        cursor.execute(_STORED, [*_columns(keys), AlertSource.PAGERDUTY, ROWS_OF_A_KEY])
        ids = [row[0] for row in cursor.fetchall()]
    found: dict[Key, list[Alert]] = defaultdict(list)
    for alert in Alert.objects.filter(pk__in=ids).order_by("starts_at"):
        found[alert.sender_id, alert.fingerprint].append(alert)
    return found


def _columns(keys: Iterable[Key]) -> list[list[Any]]:
    pairs = list(keys)
    return [[sender for sender, _key in pairs], [key for _sender, key in pairs]]


def _signals_of(row: Alert) -> list[rules.Signal]:
    """What a stored alert knows of its events, some of which may be forgotten by now."""
    known = [rules.Signal(rules.TRIGGER, row.starts_at, row.starts_at)]
    if row.status == AlertStatus.ACKNOWLEDGED:
        known.append(rules.Signal(rules.ACKNOWLEDGE, row.starts_at, row.starts_at))
    if row.ends_at is not None:
        known.append(rules.Signal(rules.RESOLVE, row.ends_at, row.ends_at))
    return known


# --- changes ----------------------------------------------------------------------------------------


def _take_change(delivery: InboundDelivery, now: dt.datetime) -> str:
    """Record the release that a change event tells of; returns what came of it, in words.

    The token's account must be one that may record releases: what is live decides where a rollback goes.
    """
    document: Mapping[str, Any] = parse(delivery.body)
    said = pagerduty.read_change(document)
    slug = said["service"]
    service = Service.objects.filter(slug=slug).first() if slug else None
    if service is None:
        return f"Kept only: there is no service {slug}." if slug else "Kept only: it names no service."
    token = ApiToken.objects.select_related("user").filter(pk=delivery.token).first()
    if token is None:
        return "Kept only: its token is gone."
    actor = actor_for_token(token)
    if not said["version"]:
        record_on_service(
            service,
            "change.noted",
            f"Change: {said['summary']}",
            actor=actor,
            now=now,
            data={"inbound": delivery.pk},
        )
        return f"Noted on {slug}: it names no version."
    try:
        with transaction.atomic():
            record_release(
                service_id=service.pk,
                version=said["version"],
                commit=said["commit"],
                deployed_at=delivery.occurred_at,
                actor=actor,
                now=now,
            )
    except FirebreakError as refusal:  # it will not be otherwise next time
        return f"Kept only: {refusal.message}"
    return f"{said['version']} of {slug} is live."


# --- what cannot be handled -------------------------------------------------------------------------


def _put_back(delivery_id: int, error: Exception, now: dt.datetime) -> None:
    """Later, with back-off (2 s, 4 s, … 2 min); a lock or a restart of the database counts half."""
    logger.warning("delivery %s failed: %s", delivery_id, error, exc_info=error)
    with transaction.atomic():
        delivery = InboundDelivery.objects.select_for_update(of=("self",), no_key=True).get(pk=delivery_id)
        delivery.attempts += 1
        delivery.last_error = f"{type(error).__name__}: {error}".replace("\0", "\ufffd")[:2000]
        delivery.due_at = now + dt.timedelta(seconds=min(2**delivery.attempts, 120))
        if delivery.attempts >= MAX_ATTEMPTS * (2 if isinstance(error, DatabaseError) else 1):
            delivery.parked_at = now
            events.record(
                events.system_stream().pk,
                kind="ingest.parked",
                actor=SYSTEM,
                now=now,
                summary=f"A delivery of {delivery.label} could not be handled: {delivery.attempts} attempts",
                data={"inbound": delivery.pk, "format": delivery.kind},
                topics=("alerts",),
            )
        delivery.save(update_fields=["attempts", "last_error", "due_at", "parked_at"])


@transaction.atomic
def retry_deliveries(*, actor: Actor, now: dt.datetime, delivery_id: int | None = None) -> int:
    """Look into one parked delivery, or all of them (at most 500), once more; returns how many.

    Raises NotAllowed unless an administrator asks in person, NothingParked when there is none.
    """
    require(actor, "administer")
    if not actor.is_person:
        raise NotAllowed("Only a person retries parked deliveries, never a token.")
    parked = InboundDelivery.objects.filter(parked_at__isnull=False).order_by("pk")
    if delivery_id is not None:
        parked = parked.filter(pk=delivery_id)
    ids = [
        row.pk for row in parked.select_for_update(of=("self",), skip_locked=True, no_key=True)[:MOST_AT_ONCE]
    ]
    if not ids:
        raise NothingParked("It is not parked any more: somebody retried it, or it was handled.")
    InboundDelivery.objects.filter(pk__in=ids).update(parked_at=None, attempts=0, due_at=now)
    number = "1 parked delivery" if len(ids) == 1 else f"{len(ids)} parked deliveries"
    events.record(
        events.system_stream().pk,
        kind="ingest.retried",
        actor=actor,
        summary=f"{number} given another try",
        now=now,
        data={"inbound": ids},
        topics=("alerts",),
    )
    hints.wake("incidents.sweep_alerts")
    return len(ids)


def without_secret(document: Mapping[str, Any]) -> str:
    """The event as it may be stored: its routing key is a token."""
    return json.dumps({name: value for name, value in document.items() if name != "routing_key"})
