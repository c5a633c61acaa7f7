"""Commands on outgoing webhooks: endpoints, their secrets, and what they are told again."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from comms.models import WebhookDelivery, WebhookEndpoint
from comms.rules.webhooks import TEST_KIND, is_wanted, secret_text, what_is_wrong_with_kind
from comms.states import DUE_STATES, DeliveryState
from core import encryption, events, hints, live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.http import what_is_wrong_with_address
from core.models import Event

EDITABLE = ("url", "description", "kinds", "sees_restricted", "enabled")
MOST_ENDPOINTS = 50
MOST_KINDS = 100
MOST_REPLAYED = 10_000  # events, and how far back they are looked for:
LOOKED_THROUGH = 100_000
OLD_SECRET_VALID = dt.timedelta(hours=24)
TOPIC = "webhooks"
SWEEP = "comms.sweep_webhooks"


class NoSecretsKept(Conflict):
    """ENCRYPTION_KEYS is not set, so that no secret can be kept."""

    code = "no_encryption_key"


@transaction.atomic
def create_webhook(
    *,
    url: str,
    actor: Actor,
    now: dt.datetime,
    description: str = "",
    kinds: Sequence[str] = (),
    sees_restricted: bool = False,
) -> tuple[WebhookEndpoint, str]:
    """Tell an address of events; returns it with its secret, which cannot be had again.

    Raises Invalid naming the field, Conflict when there are as many as may be.
    """
    require(actor, "administer")
    _check({"url": url, "kinds": kinds, "sees_restricted": sees_restricted}, actor)
    if WebhookEndpoint.objects.count() >= MOST_ENDPOINTS:
        raise Conflict(f"There are {MOST_ENDPOINTS} webhooks, as many as may be.")
    secret = _new_secret()
    endpoint = WebhookEndpoint.objects.create(
        url=url,
        description=description,
        kinds=_tidy(kinds),
        sees_restricted=sees_restricted,
        secret=_sealed(secret),
        not_before=now,
        created_at=now,
        created_by=actor.label[:200],
    )
    _record(endpoint, "webhook.created", "is told of events", actor, now)
    return endpoint, secret


@transaction.atomic
def edit_webhook(
    *, webhook_id: int, changes: Mapping[str, Any], actor: Actor, now: dt.datetime
) -> WebhookEndpoint:
    """Change any of EDITABLE; raises Invalid naming the field. What changes nothing is no new version.

    Whoever enables it again begins anew: what it missed is sent by `replay_events` alone.
    """
    endpoint = _lock(webhook_id, actor)
    given = {name: changes[name] for name in EDITABLE if name in changes}
    if "kinds" in given:
        given["kinds"] = _tidy(given["kinds"])
    different = {name: value for name, value in given.items() if value != getattr(endpoint, name)}
    if not different:
        return endpoint
    _check(different, actor)
    for name, value in different.items():
        setattr(endpoint, name, value)
    if "enabled" in different or "url" in different:
        endpoint.failures, endpoint.failing_since, endpoint.not_before = 0, None, now
    if different.get("enabled"):
        endpoint.disabled_at, endpoint.disabled_why = None, ""
    endpoint.version += 1
    endpoint.save()
    if different.get("enabled") is False:
        _give_up_waiting(endpoint, f"disabled by {actor.label}", now)
    else:
        said = ", ".join(name.replace("_", " ") for name in different)
        _record(endpoint, "webhook.edited", f"was changed: {said}", actor, now)
    hints.wake(SWEEP)
    return endpoint


@transaction.atomic
def remove_webhook(*, webhook_id: int, actor: Actor, now: dt.datetime) -> None:
    """Tell it nothing more; its log goes with it."""
    endpoint = _lock(webhook_id, actor)
    # In the database itself: there may be a million, and none of them is looked at.
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM comms_webhookattempt USING comms_webhookdelivery d"
            " WHERE delivery_id = d.id AND d.endpoint_id = %s",
            [endpoint.pk],
        )
        cursor.execute("DELETE FROM comms_webhookdelivery WHERE endpoint_id = %s", [endpoint.pk])
    _record(endpoint, "webhook.removed", "is told of nothing more", actor, now)
    endpoint.delete()


@transaction.atomic
def rotate_webhook_secret(*, webhook_id: int, actor: Actor, now: dt.datetime) -> tuple[WebhookEndpoint, str]:
    """A new secret; for 24 hours the old one signs as well, so that the receiver can change in peace."""
    endpoint = _lock(webhook_id, actor)
    secret = _new_secret()
    endpoint.old_secret, endpoint.old_secret_until = endpoint.secret, now + OLD_SECRET_VALID
    endpoint.secret = _sealed(secret)
    endpoint.version += 1
    endpoint.save(update_fields=["old_secret", "old_secret_until", "secret", "version"])
    _record(endpoint, "webhook.secret_rotated", "has a new secret", actor, now)
    return endpoint, secret


@transaction.atomic
def send_test(*, webhook_id: int, actor: Actor, now: dt.datetime) -> WebhookDelivery:
    """Send it an event that is none, by the same way as every other; raises Conflict when it is disabled."""
    endpoint = _lock_enabled(webhook_id, actor)
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(not_before=now)
    delivery = WebhookDelivery.objects.create(endpoint=endpoint, kind=TEST_KIND, created_at=now, due_at=now)
    hints.wake(SWEEP)
    live.poke(TOPIC)
    return delivery


@transaction.atomic
def replay_delivery(*, webhook_id: int, delivery_id: int, actor: Actor, now: dt.datetime) -> WebhookDelivery:
    """Send one delivery again, whatever became of it; raises Conflict while it is being sent.

    It has the id that it had before: a receiver that knows it may leave it be.
    """
    endpoint = _lock_enabled(webhook_id, actor)
    delivery = WebhookDelivery.objects.select_for_update().filter(pk=delivery_id, endpoint=endpoint).first()
    if delivery is None:
        raise NotFound(f"There is no delivery {delivery_id} of this webhook.")
    if delivery.state == DeliveryState.SENDING and delivery.due_at > now:
        raise Conflict("It is being sent at this moment.", state=delivery.state)
    delivery.state, delivery.attempts = DeliveryState.PENDING, 0
    delivery.due_at, delivery.finished_at = now, None
    delivery.save(update_fields=["state", "attempts", "due_at", "finished_at"])
    hints.wake(SWEEP)
    live.poke(TOPIC)
    return delivery


@transaction.atomic
def replay_events(*, webhook_id: int, since: dt.datetime, actor: Actor, now: dt.datetime) -> int:
    """Send every event since then that it asks for, in their order, also what it got already.

    Returns how many. Raises Invalid for more than 10,000 of them, or when they lie further back than the
    last 100,000 events of this installation.
    """
    endpoint = _lock_enabled(webhook_id, actor)
    if since > now:
        raise Invalid({"since": "Must lie in the past."})
    newest = Event.objects.aggregate(newest=Max("pk"))["newest"] or 0
    recent = Event.objects.filter(pk__gt=newest - LOOKED_THROUGH)
    if newest > LOOKED_THROUGH and not recent.filter(recorded_at__lt=since).exists():
        raise Invalid({"since": f"Lies before the last {LOOKED_THROUGH:,} events; choose a later time."})
    found = recent.filter(recorded_at__gte=since).order_by("pk").values_list("pk", "kind")
    wanted = [(pk, kind) for pk, kind in found if is_wanted(kind, endpoint.kinds)]
    if len(wanted) > MOST_REPLAYED:
        raise Invalid(
            {"since": f"These are {len(wanted):,} events, {MOST_REPLAYED:,} at most; choose a later time."}
        )
    _queue_again(endpoint, wanted, now)
    _record(endpoint, "webhook.replayed", f"is sent {len(wanted)} events again", actor, now)
    hints.wake(SWEEP)
    return len(wanted)


@transaction.atomic
def queue_webhooks(*, event: Event, now: dt.datetime) -> int:
    """One delivery for each enabled endpoint that asks for such events; once for each event."""
    asking = WebhookEndpoint.objects.filter(enabled=True).values_list("pk", "kinds")
    made = [
        WebhookDelivery(endpoint_id=pk, event=event, kind=event.kind, created_at=now, due_at=now)
        for pk, kinds in asking
        if is_wanted(event.kind, kinds)
    ]
    if made:
        WebhookDelivery.objects.bulk_create(made, ignore_conflicts=True)
        hints.wake(SWEEP)
    return len(made)


@transaction.atomic
def disable_webhook(*, webhook_id: int, why: str, now: dt.datetime) -> None:
    """It does not want to be told, or has not answered for days: the technical team hears of it."""
    rows = WebhookEndpoint.objects.select_for_update(no_key=True)
    endpoint = rows.filter(pk=webhook_id, enabled=True).first()
    if endpoint is None:
        return
    endpoint.enabled = False
    endpoint.version += 1
    endpoint.save(update_fields=["enabled", "version"])
    _give_up_waiting(endpoint, why, now)


@transaction.atomic
def webhooks() -> int:
    """Seal every secret anew with the first key; returns how many endpoints. All of them or none."""
    done = 0
    for row in WebhookEndpoint.objects.select_for_update():
        row.secret = encryption.reencrypt(row.secret)
        row.old_secret = encryption.reencrypt(row.old_secret) if row.old_secret else ""
        row.save(update_fields=["secret", "old_secret"])
        done += 1
    return done


# --- the parts ----------------------------------------------------------------------------------------


def _check(changes: Mapping[str, Any], actor: Actor) -> None:
    """Raises Invalid naming each wrong field, NotAllowed for a token that asks for what is restricted."""
    wrong: dict[str, str] = {}
    if "url" in changes and (said := what_is_wrong_with_address(changes["url"])):
        wrong["url"] = said
    if "kinds" in changes:
        said_of = [said for kind in changes["kinds"] if (said := what_is_wrong_with_kind(kind))]
        if len(changes["kinds"]) > MOST_KINDS:
            said_of = [f"At most {MOST_KINDS}."]
        if said_of:
            wrong["kinds"] = said_of[0]
    if wrong:
        raise Invalid(wrong)
    if changes.get("sees_restricted") and not (actor.is_person or actor.is_machine):
        raise NotAllowed("Only a person lets a webhook see restricted incidents, never a token.")


def _tidy(kinds: Sequence[str]) -> list[str]:
    """Each once, without those that another one covers."""
    whole = {kind for kind in kinds if kind.endswith(".")}
    return sorted(whole | {kind for kind in kinds if not kind.startswith(tuple(whole))})


def _new_secret() -> str:
    return secret_text(secrets.token_bytes(32))


def _sealed(secret: str) -> str:
    try:
        return encryption.encrypt(secret)
    except encryption.NoEncryptionKey as error:
        raise NoSecretsKept("Secrets are kept sealed, and ENCRYPTION_KEYS is not set.") from error


def _lock(webhook_id: int, actor: Actor) -> WebhookEndpoint:
    endpoint = WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=webhook_id).first()
    if endpoint is None:
        raise NotFound(f"There is no webhook {webhook_id}.")
    require(actor, "administer")
    return endpoint


def _lock_enabled(webhook_id: int, actor: Actor) -> WebhookEndpoint:
    endpoint = _lock(webhook_id, actor)
    if not endpoint.enabled:
        raise Conflict("It is disabled: enable it first.", state="disabled")
    return endpoint


def _give_up_waiting(endpoint: WebhookEndpoint, why: str, now: dt.datetime) -> None:
    """It is disabled now: what waits for it is given up, and can be replayed."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(disabled_at=now, disabled_why=why[:300])
    endpoint.refresh_from_db()
    endpoint.deliveries.filter(state__in=DUE_STATES).update(
        state=DeliveryState.DEAD, finished_at=now, last_error="the webhook was disabled"
    )
    _record(endpoint, "webhook.disabled", f"is disabled: {why}", SYSTEM, now)


def _queue_again(endpoint: WebhookEndpoint, wanted: Sequence[tuple[int, str]], now: dt.datetime) -> None:
    """New deliveries, and those of before once more; none is touched that is just being sent."""
    WebhookDelivery.objects.filter(endpoint=endpoint, event_id__in=[pk for pk, _kind in wanted]).exclude(
        state=DeliveryState.SENDING
    ).update(state=DeliveryState.PENDING, attempts=0, due_at=now, finished_at=None)
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(endpoint=endpoint, event_id=pk, kind=kind, created_at=now, due_at=now)
            for pk, kind in wanted
        ],
        ignore_conflicts=True,
        batch_size=1_000,
    )


def _record(endpoint: WebhookEndpoint, kind: str, what: str, actor: Actor, now: dt.datetime) -> None:
    """On the stream of Firebreak itself. Its address may hold a secret, so the event has only its name."""
    name = endpoint.description or f"{endpoint.pk}"
    events.record(
        events.system_stream().pk,
        kind=kind,
        actor=actor,
        now=now,
        summary=f"Webhook {name} {what}",
        data={"webhook": endpoint.pk},
        topics=(TOPIC,),
    )
