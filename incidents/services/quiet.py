"""Commands on silences and maintenance windows, and what happens when they end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from django.db import transaction

from core import events, hints, live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Conflict, Invalid, NotFound
from core.models import Event
from incidents.models import Alert, Incident, MaintenanceWindow, Monitor, Service, Silence
from incidents.rules.matchers import Matcher, WrongMatcher, fits_anything, matcher
from incidents.services.alerts import take_up_held
from incidents.services.breaches import answer_level_change
from incidents.states import OPEN_STATUSES, MonitorLevel, metric_name
from incidents.timeline import record_on_service

LONGEST = dt.timedelta(days=30)
MOST_MATCHERS = 20
MOST_SERVICES = 200
AT_ONCE = 20


@transaction.atomic
def create_silence(
    *,
    matchers: Sequence[Mapping[str, str]],
    reason: str,
    ends_at: dt.datetime,
    actor: Actor,
    now: dt.datetime,
    starts_at: dt.datetime | None = None,
) -> Silence:
    """Alerts that fit every matcher open nothing until `ends_at`; raises Invalid naming the field.

    What still fires then is taken up. An alert that has opened an incident before goes on in it.
    """
    require(actor, "respond")
    starts = _check_span(starts_at, ends_at, reason, now)
    checked = _check_matchers(matchers)
    silence = Silence.objects.create(
        matchers=[{"label": m.label, "op": m.op, "value": m.value} for m in checked],
        starts_at=starts,
        ends_at=ends_at,
        reason=reason.strip(),
        created_by=actor.label,
        created_at=now,
    )
    _record(silence, "created", f"{', '.join(map(str, checked))}: {reason}", actor=actor, now=now)
    return silence


@transaction.atomic
def end_silence(*, silence_id: int, actor: Actor, now: dt.datetime) -> Silence:
    """End it now; what it holds back and still fires is taken up at once. Raises Conflict after its end."""
    require(actor, "respond")
    silence = Silence.objects.select_for_update().filter(pk=silence_id).first()
    if silence is None:
        raise NotFound(f"There is no silence {silence_id}.")
    if silence.ends_at <= now:
        raise Conflict("This silence has ended.", state="ended")
    silence.starts_at, silence.ends_at = min(silence.starts_at, now), now
    silence.ended_by = actor.label
    silence.save(update_fields=["starts_at", "ends_at", "ended_by"])
    Alert.objects.filter(silenced_by=silence, held_until__isnull=False).update(held_until=now)
    _record(silence, "ended", silence.reason, actor=actor, now=now)
    hints.wake("incidents.sweep_quiet")
    return silence


@transaction.atomic
def create_window(
    *,
    services: Sequence[str],
    reason: str,
    ends_at: dt.datetime,
    actor: Actor,
    now: dt.datetime,
    starts_at: dt.datetime | None = None,
) -> MaintenanceWindow:
    """Work on these services (slugs) until `ends_at`: nothing is opened for them meanwhile.

    Raises Invalid naming the field. What is still wrong at the end is taken up then.
    """
    require(actor, "configure")
    starts = _check_span(starts_at, ends_at, reason, now)
    found = list(Service.objects.filter(slug__in=services).order_by("pk"))
    if unknown := sorted(set(services) - {service.slug for service in found}):
        raise Invalid({"services": f"No such service: {', '.join(unknown)}"})
    if not 1 <= len(found) <= MOST_SERVICES:
        raise Invalid({"services": f"Name 1 to {MOST_SERVICES} services."})
    window = MaintenanceWindow.objects.create(
        starts_at=starts, ends_at=ends_at, reason=reason.strip(), created_by=actor.label, created_at=now
    )
    window.services.set(found)
    text = f"Maintenance from {starts:%Y-%m-%d %H:%M} to {ends_at:%Y-%m-%d %H:%M} UTC: {reason}"
    _tell_services(window, found, "maintenance.planned", text, actor=actor, now=now)
    return window


@transaction.atomic
def end_window(*, window_id: int, actor: Actor, now: dt.datetime) -> MaintenanceWindow:
    """End it now; what is still wrong is taken up at once. Raises Conflict when it has ended."""
    require(actor, "configure")
    window = MaintenanceWindow.objects.select_for_update().filter(pk=window_id).first()
    if window is None:
        raise NotFound(f"There is no maintenance window {window_id}.")
    if window.ends_at <= now:
        raise Conflict("This maintenance window has ended.", state="ended")
    window.starts_at, window.ends_at = min(window.starts_at, now), now
    window.ended_by = actor.label
    window.save(update_fields=["starts_at", "ends_at", "ended_by"])
    Alert.objects.filter(maintenance=window, held_until__isnull=False).update(held_until=now)
    hints.wake("incidents.sweep_quiet")
    live.poke("alerts")
    return window


def look_after_quiet(*, now: dt.datetime) -> int:
    """Take up what fired through a silence or a maintenance window that has ended; returns how much."""
    taken_up = take_up_held(now=now)
    for _turn in range(AT_ONCE):
        if not _look_after_one_window(now):
            break
        taken_up += 1
    return taken_up


@transaction.atomic
def _look_after_one_window(now: dt.datetime) -> bool:
    """Of one window that has ended, answer the monitors that are not well; another window may hold on."""
    waiting = MaintenanceWindow.objects.filter(looked_at__isnull=True, ends_at__lte=now).order_by("ends_at")
    window = waiting.select_for_update(skip_locked=True).first()
    if window is None:
        return False
    window.looked_at = now
    window.save(update_fields=["looked_at"])
    services = list(
        Service.objects.select_for_update(no_key=True).filter(maintenance_windows=window).order_by("pk")
    )
    text = f"Maintenance is over: {window.reason}"
    told = _tell_services(window, services, "maintenance.ended", text, actor=SYSTEM, now=now)
    unwell = Monitor.objects.filter(service__in=services, enabled=True).exclude(level=MonitorLevel.OK)
    for monitor in unwell.select_related("service").order_by("service_id", "pk"):
        if not _is_answered(monitor):
            said = MonitorLevel(monitor.level).label.lower()
            answer_level_change(
                monitor_id=monitor.pk,
                level=monitor.level,
                cause=f"{metric_name(monitor.metric)} is {said} after the maintenance",
                event_id=told[monitor.service_id].pk,
                now=now,
            )
    return True


def _is_answered(monitor: Monitor) -> bool:
    """Whether the service's open incident knows of it already: it went wrong before the maintenance."""
    incident = Incident.objects.filter(origin=monitor.service_id, status__in=OPEN_STATUSES).first()
    if incident is None:
        return False
    known = Event.objects.filter(
        stream_id=incident.stream_id,
        kind="incident.breached",
        data__monitor=monitor.pk,
        occurred_at__gte=monitor.level_since or incident.declared_at,
    )
    return known.exists()


def _check_span(
    starts_at: dt.datetime | None, ends_at: dt.datetime, reason: str, now: dt.datetime
) -> dt.datetime:
    """When it starts; raises Invalid."""
    starts = max(starts_at or now, now)
    if not reason.strip():
        raise Invalid({"reason": "Say why: others will ask."})
    if ends_at <= starts:
        raise Invalid({"ends_at": "Must be later than its start, and in the future."})
    if ends_at - starts > LONGEST or starts - now > 12 * LONGEST:
        raise Invalid({"ends_at": f"At most {LONGEST.days} days, and within the next year."})
    return starts


def _check_matchers(given: Sequence[Mapping[str, str]]) -> list[Matcher]:
    if not 1 <= len(given) <= MOST_MATCHERS:
        raise Invalid({"matchers": f"Give 1 to {MOST_MATCHERS} matchers."})
    try:
        checked = [matcher(one["label"], one["op"], one["value"]) for one in given]
    except WrongMatcher as error:
        raise Invalid({"matchers": f"{str(error)[:1].upper()}{str(error)[1:]}."}) from error
    if fits_anything(checked):
        raise Invalid({"matchers": "At least one must need a label: these would silence every alert."})
    return checked


def _record(silence: Silence, what: str, text: str, *, actor: Actor, now: dt.datetime) -> None:
    events.record(
        events.system_stream().pk,
        kind=f"silence.{what}",
        actor=actor,
        summary=f"Silence {silence.pk} {what}: {text}",
        now=now,
        data={"silence": silence.pk, "until": events.rfc3339(silence.ends_at)},
        topics=("alerts",),
    )


def _tell_services(
    window: MaintenanceWindow,
    services: Sequence[Service],
    kind: str,
    text: str,
    *,
    actor: Actor,
    now: dt.datetime,
) -> dict[int, Event]:
    live.poke("alerts")
    data = {"maintenance": window.pk, "until": events.rfc3339(window.ends_at)}
    return {
        service.pk: record_on_service(service, kind, text, actor=actor, now=now, data=data)
        for service in services
    }
