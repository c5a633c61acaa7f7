"""Taking alerts in: one row per fingerprint and start, and the incident that it opens or joins.

One process at a time (an advisory lock): what a batch reads is what it changes. Locks are taken in the
house's order, so that nothing else waits for a batch longer than for a click.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import Q

from core import live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Invalid
from core.models import Event
from incidents import policy
from incidents.facts import Seen
from incidents.ingest.cleaning import AHEAD, NOTES
from incidents.models import Alert, Incident, MaintenanceWindow, Monitor, Service
from incidents.rules import alerts as rules
from incidents.selectors.quiet import ActiveSilence, active_silences, windows_by_service
from incidents.services import incidents as commands
from incidents.services.breaches import worsen_incident
from incidents.states import (
    OPEN_STATUSES,
    AlertSource,
    AlertStatus,
    IncidentKind,
    IncidentSource,
    IncidentStatus,
    MonitorLevel,
    Severity,
)
from incidents.timeline import record_on_incident

LOCK = 0x616C6572  # "aler"
NEWEST_ROWS = 20
EVENTS_EACH = 20
TAKEN_UP_AT_ONCE = 500
SUPERSEDED = "its end was never reported: the same alert began anew"
UNTOUCHED = "Every alert of it has ended, and nobody had done anything about it."
_BY_PEOPLE = ("user", "token", "contact")

Identity = tuple[int, str, str]  # account, source, fingerprint


@dataclass(frozen=True)
class Observation:
    """One alert as it stands after one delivery. `row` is the stored alert that it is known to be."""

    sender_id: int
    source: str
    seen: Seen
    received_at: dt.datetime
    repeats: int = 1
    row: int | None = None
    described: bool = True  # whether `seen` has texts; a resolving event has none
    severity: str | None = None  # where the sender says it in our own words

    @property
    def identity(self) -> Identity:
        return self.sender_id, self.source, self.seen.fingerprint


@dataclass
class _Batch:
    """What a batch knows: the stored and the new rows of each identity, and how they stood before."""

    rows: dict[Identity, list[Alert]] = field(default_factory=lambda: defaultdict(list))
    before: dict[int, tuple[str, int] | None] = field(default_factory=dict)  # by id() of the row
    touched: dict[int, Alert] = field(default_factory=dict)
    edited: set[int] = field(default_factory=set)  # more of it changed than how often it was seen
    cut_off: dict[int, int] = field(default_factory=dict)


def be_alone(*, wait: bool = False) -> bool:
    """Whether this transaction is the only one that takes alerts in, until it ends."""
    function = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [LOCK])
        row = cursor.fetchone()
    return wait or bool(row and row[0])


def take_in(observations: Sequence[Observation], *, now: dt.datetime) -> list[Alert]:
    """Store what was observed and answer what changed; call it alone (`be_alone`), in a transaction.

    Returns the alerts that were touched. Taking the same in again, or in another order, leaves the
    same alerts: what has ended for a start stays ended.
    """
    batch = _Batch()
    _load(batch, observations)
    services = _services(observations)
    for observation in observations:
        _apply(batch, observation, services)
    _supersede(batch)
    _save(batch)
    _answer(batch, now=now)
    if batch.touched:
        live.poke("alerts")
    return list(batch.touched.values())


@transaction.atomic
def report_alert(
    *,
    actor: Actor,
    now: dt.datetime,
    title: str,
    severity: str | None = None,
    service: str | None = None,
    status: str = AlertStatus.FIRING,
    fingerprint: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    starts_at: dt.datetime | None = None,
    ends_at: dt.datetime | None = None,
    url: str = "",
) -> Alert:
    """Say by hand or from a script that something fires or has ended. Raises Invalid naming the field.

    Without a fingerprint it is made of title, service and labels; without a start, an alert that
    fires already is meant.
    """
    require(actor, "respond")
    if service is not None and not Service.objects.filter(slug=service).exists():
        raise Invalid({"service": "No such service."})
    if starts_at is not None and not commands.EARLIEST <= starts_at <= now + AHEAD:
        raise Invalid({"starts_at": "Must lie between the year 2000 and now."})
    if ends_at is not None and (status != AlertStatus.RESOLVED or (starts_at and ends_at < starts_at)):
        raise Invalid({"ends_at": "Only a resolved alert has an end, and not before its start."})
    known = dict(labels or {})
    if service is not None:
        known[policy.alerts().service.labels[0]] = service
    made = json.dumps([title, service, sorted(known.items())])
    seen = Seen(
        fingerprint=fingerprint or hashlib.sha256(made.encode()).hexdigest()[:32],
        starts_at=starts_at,
        ends_at=(ends_at or now) if status == AlertStatus.RESOLVED else None,
        status=AlertStatus(status),
        title=title,
        labels=known,
        annotations=dict(annotations or {}),
        url=url,
    )
    assert actor.user_id is not None
    be_alone(wait=True)
    reported = Observation(actor.user_id, AlertSource.API, seen, now, severity=severity)
    return next(alert for alert in take_in([reported], now=now) if alert.fingerprint == seen.fingerprint)


@transaction.atomic
def take_up_held(*, now: dt.datetime) -> int:
    """Open or join for what still fires although the silence or maintenance that held it back is over."""
    held = Alert.objects.filter(held_until__lte=now).order_by("held_until")
    if not held.exists() or not be_alone():
        return 0
    batch = _Batch()
    for alert in held.select_for_update(of=("self",), skip_locked=True, no_key=True)[:TAKEN_UP_AT_ONCE]:
        batch.touched[id(alert)] = alert
        batch.before[id(alert)] = None
    _answer(batch, now=now)
    live.poke("alerts")
    return len(batch.touched)


# --- rows -----------------------------------------------------------------------------------------

_ROWS = """
SELECT DISTINCT found.id
  FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[]) AS w(sender, source, mark, start)
 CROSS JOIN LATERAL (
       (SELECT id FROM incidents_alert a
         WHERE a.sender_id = w.sender AND a.source = w.source AND a.fingerprint = w.mark
         ORDER BY a.starts_at DESC LIMIT %s)
       UNION ALL
       (SELECT id FROM incidents_alert a
         WHERE a.sender_id = w.sender AND a.source = w.source AND a.fingerprint = w.mark
           AND a.starts_at = w.start)) found
"""


def _load(batch: _Batch, observations: Sequence[Observation]) -> None:
    """The stored rows that these may be about: of each the newest, and the very one (two queries)."""
    wanted = {(*one.identity, one.seen.starts_at) for one in observations}
    if not wanted:
        return
    columns = [list(column) for column in zip(*wanted, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, [*columns, NEWEST_ROWS])
        ids = [row[0] for row in cursor.fetchall()]
    ids += [one.row for one in observations if one.row is not None]
    for alert in Alert.objects.filter(pk__in=ids).select_for_update(no_key=True).order_by("pk"):
        batch.rows[alert.sender_id, alert.source, alert.fingerprint].append(alert)
        batch.before[id(alert)] = (alert.status, _rank(alert.severity))


def _services(observations: Sequence[Observation]) -> dict[str, Service]:
    """The services that the labels name (one query)."""
    rule = policy.alerts()
    slugs = {slug for one in observations for slug in rules.candidates(one.seen.labels, rule)}
    return {service.slug: service for service in Service.objects.filter(slug__in=slugs)}


def _apply(batch: _Batch, one: Observation, services: Mapping[str, Service]) -> None:
    rows, seen = batch.rows[one.identity], one.seen
    alert = _find(rows, one)
    if alert is None and not one.described:
        return  # its trigger is still to come
    if alert is None:
        alert = Alert(
            source=one.source,
            sender_id=one.sender_id,
            fingerprint=seen.fingerprint,
            starts_at=seen.starts_at or one.received_at,
            received_at=one.received_at,
            last_seen_at=one.received_at,
            repeats=-1,
        )
        rows.append(alert)
        batch.before[id(alert)] = None
        batch.edited.add(id(alert))
    batch.touched[id(alert)] = alert
    alert.repeats = max(0, alert.repeats + one.repeats)
    if seen.cut_off:
        batch.cut_off[id(alert)] = seen.cut_off
    if one.described and (alert.title == "" or one.received_at >= alert.last_seen_at):
        _describe(batch, alert, one, services)
    _set_status(batch, alert, one)
    alert.last_seen_at = max(alert.last_seen_at, one.received_at)


def _find(rows: Sequence[Alert], one: Observation) -> Alert | None:
    """The row that is meant; without a usable start, the newest one that has not ended."""
    if one.row is not None:
        return next((row for row in rows if row.pk == one.row), None)
    if one.seen.starts_at is not None:
        return next((row for row in rows if row.starts_at == one.seen.starts_at), None)
    open_rows = [row for row in rows if row.status != AlertStatus.RESOLVED]
    return max(open_rows, key=lambda row: row.starts_at, default=None)


def _describe(batch: _Batch, alert: Alert, one: Observation, services: Mapping[str, Service]) -> None:
    """What it says of itself, and what that means by the playbook."""
    seen = one.seen
    judged = rules.judge(seen.labels, title=seen.title, rules=policy.alerts(), slugs=frozenset(services))
    service = services.get(judged.slug or "")
    said = {
        "title": seen.title,
        "labels": dict(seen.labels),
        "annotations": dict(seen.annotations),
        "url": seen.url,
        "notes": list(dict.fromkeys((*alert.notes, *seen.notes)))[:NOTES],
        "severity": judged.severity if one.severity is None else one.severity,
        "security": judged.security,
        "ignored": judged.ignored,
        "group_key": judged.group_key,
        "service_id": service.pk if service else None,
    }
    for name, value in said.items():
        if getattr(alert, name) != value:
            setattr(alert, name, value)
            batch.edited.add(id(alert))


def _set_status(batch: _Batch, alert: Alert, one: Observation) -> None:
    """What has ended for a start stays ended; the last of several ends counts."""
    seen = one.seen
    was = (alert.status, alert.starts_at, alert.ends_at)
    if one.row is not None and seen.starts_at is not None:
        alert.starts_at = min(alert.starts_at, seen.starts_at)
    if seen.status is AlertStatus.RESOLVED:
        ends_at = max(seen.ends_at or one.received_at, alert.starts_at)
        if SUPERSEDED in alert.notes:
            alert.notes = [note for note in alert.notes if note != SUPERSEDED]
        elif alert.ends_at is not None:
            ends_at = max(ends_at, alert.ends_at)
        _end(alert, ends_at)
    elif alert.status != AlertStatus.RESOLVED:
        alert.status = seen.status
    if was != (alert.status, alert.starts_at, alert.ends_at):
        batch.edited.add(id(alert))


def _end(alert: Alert, ends_at: dt.datetime) -> None:
    alert.status, alert.ends_at, alert.held_until = AlertStatus.RESOLVED, ends_at, None


def _supersede(batch: _Batch) -> None:
    """A fingerprint fires once at a time: a later start ends what has no end of its own."""
    for identity, rows in batch.rows.items():
        if identity[1] == AlertSource.PAGERDUTY:
            continue  # its events say by themselves when each ended
        rows.sort(key=lambda row: row.starts_at)
        for alert, following in itertools.pairwise(rows):
            ended = alert.status == AlertStatus.RESOLVED
            if ended and (SUPERSEDED not in alert.notes or alert.ends_at == following.starts_at):
                continue
            if not ended:
                alert.notes = [*alert.notes[: NOTES - 1], SUPERSEDED]
            _end(alert, following.starts_at)
            batch.touched[id(alert)] = alert
            batch.edited.add(id(alert))


def _save(batch: _Batch) -> None:
    touched = list(batch.touched.values())
    Alert.objects.bulk_create(alert for alert in touched if alert.pk is None)
    known = [alert for alert in touched if batch.before[id(alert)] is not None]
    _save_whole(alert for alert in known if id(alert) in batch.edited)
    again = [
        (alert.pk, alert.repeats, alert.last_seen_at) for alert in known if id(alert) not in batch.edited
    ]
    if again:
        with connection.cursor() as cursor:
            cursor.execute(_SEEN_AGAIN, [list(column) for column in zip(*again, strict=True)])


_WHOLE = (
    "status", "title", "severity", "security", "labels", "annotations", "url", "notes", "ignored", "service",
    "group_key", "starts_at", "ends_at", "last_seen_at", "repeats", "held_until",
)  # fmt: skip
# Arrays instead of bulk_update: putting its CASEs together took half of a batch's time.
_SEEN_AGAIN = """
UPDATE incidents_alert a SET repeats = n.repeats, last_seen_at = n.seen
  FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[]) AS n(id, repeats, seen) WHERE a.id = n.id
"""
_ANSWERED = """
UPDATE incidents_alert a
   SET incident_id = n.incident, silenced_by_id = n.silence, maintenance_id = n.maintenance,
       held_until = n.until
  FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[])
       AS n(id, incident, silence, maintenance, until) WHERE a.id = n.id
"""


def _save_answers(alerts: Sequence[Alert]) -> None:
    if not alerts:
        return
    rows = [(a.pk, a.incident_id, a.silenced_by_id, a.maintenance_id, a.held_until) for a in alerts]
    with connection.cursor() as cursor:
        cursor.execute(_ANSWERED, [list(column) for column in zip(*rows, strict=True)])


def _save_whole(alerts: Iterable[Alert]) -> None:
    Alert.objects.bulk_update(list(alerts), _WHOLE, batch_size=200)


# --- what a change does -----------------------------------------------------------------------------


def _answer(batch: _Batch, *, now: dt.datetime) -> None:
    """Open, join, tell, and hold back; what began is answered before what ended."""
    begun, acknowledged, ended = _changes(batch)
    if not (begun or acknowledged or ended):
        return
    concerned = {alert.service_id for alert in (*begun, *acknowledged, *ended) if alert.service_id}
    services = {
        service.pk: service
        for service in Service.objects.select_for_update(no_key=True).filter(pk__in=concerned).order_by("pk")
    }
    answered: dict[int, Alert] = {}
    groups = _to_open(begun, answered, now=now)
    for key, alerts in groups.items():
        service = services.get(alerts[0].service_id or 0)
        incident = _join_or_open(key, alerts, service, now=now)
        for alert in alerts:
            alert.incident = incident
        _tell(incident, "incident.alert_fired", _fired_text, alerts, now=now)
        if cut_off := max((batch.cut_off.get(id(alert), 0) for alert in alerts), default=0):
            _tell_cut_off(incident, cut_off, now=now)
    _save_answers(list(answered.values()))
    _tell_each(acknowledged, "incident.alert_acknowledged", _acknowledged_text, now=now)
    for incident in _tell_each(ended, "incident.alert_resolved", _resolved_text, now=now):
        _resolve_if_untouched(incident, now=now)


def _changes(batch: _Batch) -> tuple[list[Alert], list[Alert], list[Alert]]:
    """Which alerts began (or got worse), were acknowledged at their source, ended."""
    begun, acknowledged, ended = [], [], []
    for alert in batch.touched.values():
        before = batch.before[id(alert)]
        if alert.status == AlertStatus.RESOLVED:
            if before is not None and before[0] != AlertStatus.RESOLVED:
                ended.append(alert)
            continue  # what was over before anybody looked opens nothing
        if before is None or before[0] == AlertStatus.RESOLVED or _rank(alert.severity) < before[1]:
            begun.append(alert)
        if alert.status == AlertStatus.ACKNOWLEDGED and (before is None or before[0] != alert.status):
            acknowledged.append(alert)
    return begun, acknowledged, ended


def _to_open(
    begun: Sequence[Alert], answered: dict[int, Alert], *, now: dt.datetime
) -> dict[str, list[Alert]]:
    """Those that open or join something, by group; the others are held back, or kept only."""
    calling = [alert for alert in begun if alert.severity and not alert.ignored]
    if not calling:
        return {}
    silences, windows = active_silences(now=now), windows_by_service(now=now)
    groups: dict[str, list[Alert]] = defaultdict(list)
    for alert in calling:
        answered[id(alert)] = alert
        if not _hold(alert, silences, windows):
            groups[alert.group_key].append(alert)
    return groups


def _hold(alert: Alert, silences: Sequence[ActiveSilence], windows: Mapping[int, MaintenanceWindow]) -> bool:
    """Mark it with what holds it back, if anything does.

    Nothing holds back a security alert of the highest severity: neither a silence written for something
    else nor somebody's work on the service may hide an attack.
    """
    alert.silenced_by_id = alert.maintenance_id = alert.held_until = None
    if alert.incident_id is not None or (alert.security and alert.severity == Severity.P0):
        return False
    silence = next((one for one in silences if one.fits(alert.labels)), None)
    window = windows.get(alert.service_id or 0)
    ends = [one.ends_at for one in (silence, window) if one is not None]
    if not ends:
        return False
    alert.silenced_by_id = silence.pk if silence else None
    alert.maintenance_id = window.pk if window else None
    alert.held_until = max(ends)
    return True


def _join_or_open(
    key: str, alerts: Sequence[Alert], service: Service | None, *, now: dt.datetime
) -> Incident:
    worst = min(alerts, key=lambda alert: _rank(alert.severity))
    incident = _open_incident_of(key, alerts, service, now=now)
    if incident is not None:
        worsen_incident(incident, worst.severity, f"Alert: {worst.title}"[:300], now)
        return incident
    is_security = any(alert.security for alert in alerts)
    title = f"{service.name}: {worst.title}" if service else worst.title
    begun = min(alert.starts_at for alert in alerts)
    return commands.declare_incident(
        actor=SYSTEM,
        now=now,
        title=title[:200],
        severity=worst.severity,
        kind=IncidentKind.SECURITY if is_security else IncidentKind.OPERATIONAL,
        services=[service.slug] if service else [],
        origin=None if policy.alerts().group_by or is_security else service,
        source=IncidentSource.ALERT,
        description=f"Opened by an alert of {AlertSource(worst.source).label}.",
        started_at=min(max(begun, commands.EARLIEST), now),
    )


def _open_incident_of(
    key: str, alerts: Sequence[Alert], service: Service | None, *, now: dt.datetime
) -> Incident | None:
    """The open incident that the group belongs to, locked: its own, else that of the service's monitors.

    An attack is restricted: it joins only the open attack on the service that alerts began, and nothing else
    joins that, or an ordinary outage would be hidden from those who can end it.
    """
    rule = policy.alerts()
    is_security = any(alert.security for alert in alerts)
    own = {alert.incident_id for alert in alerts if alert.incident_id}
    since = now - dt.timedelta(seconds=rule.window)
    group = Alert.objects.filter(group_key=key, incident__status__in=OPEN_STATUSES, last_seen_at__gte=since)
    candidates = Q(pk__in=own)
    if service is not None and is_security:
        known = service.incidents.filter(kind=IncidentKind.SECURITY, source=IncidentSource.ALERT)
        candidates |= Q(pk__in=known.open().values("pk"))
    elif service is not None:
        of_monitors = {} if not rule.group_by else {"source": IncidentSource.MONITOR}
        candidates |= Q(origin=service, **of_monitors)
    if service is None or rule.group_by:
        newest = group.order_by("-last_seen_at").values_list("incident_id", flat=True).first()
        candidates |= Q(pk=newest or 0)
    rows = Incident.objects.select_for_update(of=("self",), no_key=True).filter(status__in=OPEN_STATUSES)
    found = list(rows.filter(candidates).order_by("pk"))
    return next((incident for incident in found if incident.pk in own), found[-1] if found else None)


def _resolve_if_untouched(incident: Incident, *, now: dt.datetime) -> None:
    """End an incident that an alert opened, when nothing of it is left and no person has touched it."""
    if (
        not policy.alerts().resolve_untouched
        or incident.source != IncidentSource.ALERT
        or incident.status != IncidentStatus.INVESTIGATING
        or incident.holds.exists()
        or incident.alerts.exclude(status=AlertStatus.RESOLVED).exists()
        or Event.objects.filter(stream_id=incident.stream_id, actor_kind__in=_BY_PEOPLE).exists()
    ):
        return
    if incident.origin_id is not None:
        monitors = Monitor.objects.filter(service=incident.origin_id, enabled=True)
        if monitors.exclude(level=MonitorLevel.OK).exists():
            return
    commands.resolve_incident(incident_id=incident.pk, resolution=UNTOUCHED, actor=SYSTEM, now=now)


# --- the timeline -----------------------------------------------------------------------------------


def _fired_text(alert: Alert) -> str:
    return f"Alert ({alert.severity}, {AlertSource(alert.source).label}): {alert.title}"


def _acknowledged_text(alert: Alert) -> str:
    return f"Acknowledged where it came from; the incident still waits for somebody: {alert.title}"


def _resolved_text(alert: Alert) -> str:
    return f"Alert has ended: {alert.title}"


def _tell_each(
    alerts: Sequence[Alert], kind: str, text: Callable[[Alert], str], *, now: dt.datetime
) -> list[Incident]:
    """Tell the incidents that these alerts belong to; returns those that are open, locked."""
    by_incident: dict[int, list[Alert]] = defaultdict(list)
    for alert in alerts:
        if alert.incident_id is not None:
            by_incident[alert.incident_id].append(alert)
    rows = Incident.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=by_incident)
    found = list(rows.filter(status__in=OPEN_STATUSES).order_by("pk"))
    for incident in found:
        _tell(incident, kind, text, by_incident[incident.pk], now=now)
    return found


def _tell(
    incident: Incident, kind: str, text: Callable[[Alert], str], alerts: Sequence[Alert], *, now: dt.datetime
) -> None:
    """One event for each alert; of a storm the first ones, and the rest in one."""
    each, rest = alerts[:EVENTS_EACH], alerts[EVENTS_EACH:]
    for alert in each:
        _record(incident, kind, text(alert), [alert], now)
    if rest:
        verb = {"incident.alert_fired": "fired", "incident.alert_resolved": "ended"}.get(kind, "acknowledged")
        _record(incident, kind, f"{len(rest):,} more alerts {verb} at the same time", rest, now)


def _record(incident: Incident, kind: str, text: str, alerts: Sequence[Alert], now: dt.datetime) -> None:
    record_on_incident(
        incident,
        kind,
        text,
        actor=SYSTEM,
        now=now,
        source="alert",
        data={"alerts": [alert.pk for alert in alerts[:500]], "count": len(alerts)},
    )


def _tell_cut_off(incident: Incident, number: int, *, now: dt.datetime) -> None:
    text = f"{number:,} alerts were cut by the sender: there is more than what arrived"
    record_on_incident(
        incident, "incident.alerts_cut", text, actor=SYSTEM, now=now, source="alert", data={"count": number}
    )


def _rank(severity: str) -> int:
    """0 is the worst; kept only is after all others."""
    return Severity(severity).rank if severity else len(Severity)
