"""Outgoing webhooks: what is said about an event, and how endpoints stand."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Prefetch, Q, QuerySet

from comms.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from comms.rules.webhooks import GROUPS, TEST_KIND
from comms.states import DUE_STATES, DeliveryState
from core.access import require
from core.actors import Actor
from core.errors import NotFound
from core.events import rfc3339
from core.models import Event
from core.models.events import StreamKind
from core.operation.facts import DueWork
from incidents.models import Incident
from rollbacks.models import Rollback

_REFERENCE = re.compile(r"\b(?:INC|RB)-\d{4}-\d{2}-\d{2}-\d{4,}\b")
LOG_LENGTH = 50


# --- what is said ----------------------------------------------------------------------------------


def payload(delivery: WebhookDelivery, *, sees_restricted: bool) -> bytes:
    """The body as Standard Webhooks has it: type, timestamp and data; the same for every attempt."""
    event = delivery.event
    if event is None:
        said: dict[str, Any] = {
            "webhook": delivery.endpoint_id,
            "summary": "This is a test.",
        }
        at, kind = delivery.created_at, TEST_KIND
    else:
        said, at, kind = _event(event, sees_restricted=sees_restricted), event.occurred_at, event.kind
    return json.dumps({"type": kind, "timestamp": rfc3339(at), "data": said}, ensure_ascii=False).encode()


def message_key(delivery: WebhookDelivery) -> str:
    """`webhook-id`: the same for every attempt and replay of one event to one endpoint."""
    told = delivery.event_id or f"test_{delivery.pk}"
    return f"evt_{told}_{delivery.endpoint_id}"


def _event(event: Event, *, sees_restricted: bool) -> dict[str, Any]:
    concerned = _incidents_of(event)
    restricted = next((incident for incident in concerned if incident.restricted), None)
    own = next((one for one in concerned if one.stream_id == event.stream_id), None)
    incident = own or next(iter(concerned), None)
    said: dict[str, Any] = {
        "id": event.pk,
        "stream": f"{event.stream.kind}:{event.stream.name}",
        "seq": event.seq,
        "kind": event.kind,
        "occurred_at": rfc3339(event.occurred_at),
        "recorded_at": rfc3339(event.recorded_at),
        "actor": {"kind": event.actor_kind, "id": event.actor_user_id},
        "source": event.source,
        "summary": event.summary,
        "data": event.data,
        "incident": incident.ref if incident else None,
        "rollback": event.data.get("rollback"),
        "drill": incident.drill if incident else False,
        "restricted": restricted is not None,
        "hash": event.hash,
    }
    if restricted is None or sees_restricted:
        return said
    name = restricted.code_name
    return said | {
        "stream": f"{event.stream.kind}:{name if event.stream.kind == StreamKind.INCIDENT else '-'}",
        "actor": {"kind": event.actor_kind, "id": None},
        "summary": f"{name}: something happened on a restricted incident",
        "data": {},
        "incident": name,
        "rollback": None,
        "hash": None,
    }


def _incidents_of(event: Event) -> list[Incident]:
    """Every incident that the event is about or names, itself or by a rollback (one query at most)."""
    text = json.dumps([event.stream.name, event.summary, event.data])
    refs = set(_REFERENCE.findall(text))
    if not refs:
        return []
    of_rollbacks = Rollback.objects.filter(ref__in=[ref for ref in refs if ref.startswith("RB-")])
    named = Q(ref__in=refs) | Q(pk__in=of_rollbacks.values("incident_id"))
    return list(Incident.objects.filter(named).order_by("pk"))


# --- how they stand ------------------------------------------------------------------------------------


def webhook_records(actor: Actor) -> QuerySet[WebhookEndpoint]:
    """Every endpoint; raises NotAllowed for whoever does not administer."""
    require(actor, "administer")
    return WebhookEndpoint.objects.all()


def get_webhook(webhook_id: int, actor: Actor) -> WebhookEndpoint:
    """Raises NotFound, NotAllowed."""
    found = WebhookEndpoint.objects.filter(pk=webhook_id).first()
    if found is None:
        raise NotFound(f"There is no webhook {webhook_id}.")
    require(actor, "administer")
    return found


def delivery_records(webhook_id: int, actor: Actor) -> QuerySet[WebhookDelivery]:
    """What it was told, each with its attempts, the newest first."""
    endpoint = get_webhook(webhook_id, actor)
    log = Prefetch("log", WebhookAttempt.objects.order_by("-pk"))
    return endpoint.deliveries.select_related("event__stream").prefetch_related(log)


def state_of(endpoint: WebhookEndpoint) -> str:
    """`disabled`, `failing` or `well`."""
    if not endpoint.enabled:
        return "disabled"
    return "failing" if endpoint.failures else "well"


@dataclass(frozen=True)
class WebhookLine:
    """One endpoint in the list. `state` as in state_of."""

    pk: int
    name: str
    url: str
    state: str
    asks_for: str
    sees_restricted: bool
    waiting: int
    failures: int
    failing_since: dt.datetime | None
    succeeded_at: dt.datetime | None
    disabled_at: dt.datetime | None
    disabled_why: str


def list_webhooks(actor: Actor) -> tuple[WebhookLine, ...]:
    """Every endpoint, in the order of their making (one query)."""
    waiting = Count("deliveries", filter=Q(deliveries__state__in=DUE_STATES))
    rows = webhook_records(actor).annotate(waiting=waiting).order_by("pk")
    return tuple(_line(row, row.waiting) for row in rows)


def webhook_line(endpoint: WebhookEndpoint) -> WebhookLine:
    """One endpoint (one query)."""
    return _line(endpoint, endpoint.deliveries.filter(state__in=DUE_STATES).count())


def _line(row: WebhookEndpoint, waiting: int) -> WebhookLine:
    return WebhookLine(
        pk=row.pk,
        name=row.description or f"Webhook {row.pk}",
        url=row.url,
        state=state_of(row),
        asks_for=kinds_text(row.kinds),
        sees_restricted=row.sees_restricted,
        waiting=waiting,
        failures=row.failures,
        failing_since=row.failing_since,
        succeeded_at=row.succeeded_at,
        disabled_at=row.disabled_at,
        disabled_why=row.disabled_why,
    )


def kinds_text(kinds: Iterable[str]) -> str:
    """Which events, for people."""
    names = []
    for kind in kinds:
        word, _dot, rest = kind.partition(".")
        names.append(kind if rest or word not in GROUPS else f"{GROUPS[word][0].lower()} (all)")
    return ", ".join(names) or "every event"


@dataclass(frozen=True)
class DeliveryEntry:
    """One line of the log; `answers` are those of its last attempts, newest first."""

    pk: int
    kind: str
    about: str
    state: str
    state_label: str
    attempts: int
    created_at: dt.datetime
    due_at: dt.datetime | None
    last_status: int | None
    last_error: str
    answers: tuple[WebhookAttempt, ...]
    replayable: bool


def list_log(webhook_id: int, actor: Actor) -> tuple[DeliveryEntry, ...]:
    """The newest deliveries with their attempts (three queries)."""
    return tuple(_entry(row) for row in delivery_records(webhook_id, actor)[:LOG_LENGTH])


def _entry(row: WebhookDelivery) -> DeliveryEntry:
    state = DeliveryState(row.state)
    return DeliveryEntry(
        pk=row.pk,
        kind=row.kind,
        about=row.event.summary if row.event else "A test",
        state=row.state,
        state_label=str(state.label),
        attempts=row.attempts,
        created_at=row.created_at,
        due_at=row.due_at if state in DUE_STATES else None,
        last_status=row.last_status,
        last_error=row.last_error,
        answers=tuple(row.log.all())[:5],
        replayable=state != DeliveryState.SENDING,
    )


# --- operation -----------------------------------------------------------------------------------------


def due_webhooks() -> DueWork:
    """Deliveries that should be on their way; those of endpoints that fail wait for them, not for us."""
    return DueWork(
        """
        SELECT d.due_at FROM comms_webhookdelivery d
          JOIN comms_webhookendpoint e ON e.id = d.endpoint_id AND e.enabled AND e.failures = 0
         WHERE d.state = ANY(%s) AND d.due_at <= statement_timestamp()""",
        (list(DUE_STATES),),
    )
