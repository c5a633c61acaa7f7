"""Commands that take measurements in: store them, judge the monitor, and say when its level changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.db import connection, transaction

from core import live
from core.access import require
from core.actors import SYSTEM, Actor
from core.errors import Invalid, NotFound
from incidents import policy
from incidents.facts import Reading
from incidents.models import Monitor, Release, Sample
from incidents.playbook import Limits
from incidents.rules import levels
from incidents.rules.levels import Measured, rank
from incidents.services.cleanliness import note_cleanliness
from incidents.states import Metric, MonitorLevel, ReleaseState, SampleOutcome, metric_name
from incidents.timeline import record_on_service
from incidents.values import describe_value

PUSHED_AT_ONCE = 1_000
OLDEST_PUSHED = dt.timedelta(hours=1)
AHEAD = dt.timedelta(minutes=5)
# The time that a value is made of. Right after a rollback's switch it is made of the time before it, too.
WINDOW = dt.timedelta(minutes=1)
WINDOWS: Mapping[str, dt.timedelta] = {Metric.SECURITY_EVENTS: dt.timedelta(minutes=5)}

_LATEST = """
SELECT wanted.id, latest.outcome, latest.level, latest.value
  FROM unnest(%s::bigint[]) AS wanted(id)
 CROSS JOIN LATERAL (SELECT at, id, outcome, level, value FROM incidents_sample
                      WHERE monitor_id = wanted.id ORDER BY at DESC, id DESC LIMIT %s) AS latest
 ORDER BY wanted.id, latest.at DESC, latest.id DESC
"""
_UPDATE = """
UPDATE incidents_monitor m
   SET checked_at = v.at, answered_at = v.answered,
       last_value = coalesce(v.value, m.last_value), last_error = v.error, level = v.level,
       level_since = v.since, rechecks_left = v.rechecks, high_water = v.high, high_water_at = v.high_at,
       next_check_due_at = CASE WHEN v.soon
           THEN least(m.next_check_due_at, clock_timestamp() + make_interval(secs => %s))
           ELSE m.next_check_due_at END
  FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::float8[], %s::text[], %s::text[],
              %s::timestamptz[], %s::int[], %s::float8[], %s::timestamptz[], %s::bool[])
       AS v(id, at, answered, value, error, level, since, rechecks, high, high_at, soon)
 WHERE m.id = v.id
"""


@dataclass(frozen=True)
class _Change:
    """A level that changed, with what the event says of it."""

    before: MonitorLevel
    after: MonitorLevel
    reading: Reading
    at: dt.datetime


@dataclass
class _Judging:
    """A monitor while its readings are judged, one after the other, in the order of their time."""

    monitor: Monitor
    window: list[Measured]  # the newest first
    switched_at: dt.datetime | None  # when a rollback put its live release there
    limits: Limits | None = field(init=False)
    samples: list[Sample] = field(default_factory=list)
    changes: list[_Change] = field(default_factory=list)
    soon: bool = False  # its next check is brought forward

    def __post_init__(self) -> None:
        monitor = self.monitor
        self.limits = policy.limits_for(monitor.metric, monitor.policy, monitor.thresholds)

    def take(self, reading: Reading, at: dt.datetime) -> None:
        """Judge one reading, the newest so far."""
        monitor, rules = self.monitor, policy.thresholds().confirmation
        reading = self._enough(reading)
        current = MonitorLevel(monitor.level)
        level = self._level(reading, at, current)
        self.keep(reading, at, level)
        measured = Measured(
            reading.outcome, level, levels.is_clear(reading.value, self.limits, share=rules.clear_below)
        )
        self.window = [measured, *self.window][: levels.samples_needed(rules)]
        self._bring_forward(current)
        monitor.checked_at, monitor.last_error = at, reading.error
        if reading.outcome not in levels.FAILED:
            monitor.answered_at = at
        if reading.value is not None:
            monitor.last_value = reading.value
        after = levels.believed_level(self.window, current=current, rules=rules)
        if after is not current:
            monitor.level, monitor.level_since = after, at
            self.changes.append(_Change(current, after, reading, at))
            if rank(after) > rank(current) and reading.value is not None and monitor.metric in WINDOWS:
                monitor.high_water, monitor.high_water_at = reading.value, at

    def keep(self, reading: Reading, at: dt.datetime, level: MonitorLevel) -> None:
        """Store a sample, whatever follows from it."""
        self.samples.append(
            Sample(
                monitor=self.monitor,
                at=at,
                outcome=reading.outcome,
                failure=reading.kind or "",
                value=reading.value,
                level=level,
            )
        )

    def plain_level(self, reading: Reading) -> MonitorLevel:
        """What the value would be at any other time."""
        judged = reading.outcome is SampleOutcome.OK and reading.value is not None
        return levels.level_of(reading.value or 0.0, self.limits) if judged else MonitorLevel.OK

    def _enough(self, reading: Reading) -> Reading:
        least = self.limits.min_volume if self.limits else None
        judged = reading.outcome is SampleOutcome.OK and least is not None and reading.volume is not None
        if judged and (reading.volume or 0.0) < (least or 0):
            return replace(reading, outcome=SampleOutcome.TOO_FEW)
        return reading

    def _level(self, reading: Reading, at: dt.datetime, current: MonitorLevel) -> MonitorLevel:
        level, monitor = self.plain_level(reading), self.monitor
        window = WINDOWS.get(monitor.metric, WINDOW)
        straddles = self.switched_at is not None and at - self.switched_at < window
        if straddles and not levels.is_catastrophic(reading.value, self.limits):
            return levels.not_raised(level, current)
        if monitor.metric in WINDOWS and monitor.high_water is not None and monitor.high_water_at is not None:
            mark = (monitor.high_water, monitor.high_water_at)
            if levels.counted_before(reading.value or 0.0, at, mark=mark, window=window):
                return levels.not_raised(level, current)
        return level

    def _bring_forward(self, current: MonitorLevel) -> None:
        rules, monitor = policy.thresholds().confirmation, self.monitor
        if levels.asks_for_rechecks(self.window, current=current):
            monitor.rechecks_left = rules.rechecks
        elif monitor.rechecks_left:
            monitor.rechecks_left -= 1
        self.soon = monitor.rechecks_left > 0


def observe(*, monitor_id: int, reading: Reading, now: dt.datetime) -> MonitorLevel:
    """Store one measurement and judge the monitor; a changed level is an event of the service.

    Returns the monitor's level afterwards. A monitor removed meanwhile raises NotFound.
    """
    with transaction.atomic():
        judging = _one(monitor_id)
        judging.take(reading, reading.at or now)
        _store([judging])
        for change in judging.changes:
            _record_change(judging, change, now)
        return MonitorLevel(judging.monitor.level)


def observe_all(readings: Mapping[int, Reading], *, now: dt.datetime) -> None:
    """Take a batch in: what changes no level in one transaction, what does in one of its own each.

    A service's stream is locked only in the latter, so that two batches never wait for each other's.
    """
    with transaction.atomic():
        rows = Monitor.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
        monitors = rows.select_related("service").filter(pk__in=readings).order_by("pk")
        calm = []
        for judging in _judgings(list(monitors)):
            reading = readings[judging.monitor.pk]
            judging.take(reading, reading.at or now)
            if not judging.changes:
                calm.append(judging)
        _store(calm)
    stored = {judging.monitor.pk for judging in calm}
    for monitor_id, reading in readings.items():
        if monitor_id not in stored:
            try:
                observe(monitor_id=monitor_id, reading=reading, now=now)
            except NotFound:
                continue  # it was removed while it was checked


@transaction.atomic
def push_samples(*, monitor_id: int, readings: Sequence[Reading], actor: Actor, now: dt.datetime) -> int:
    """Take pushed measurements in, up to 1,000 of the last hour; returns how many are new.

    One that was sent before (the same `at`) is the same. What is older than two intervals, or older than
    a sample that is there, is kept and judges nothing. Raises Invalid for another kind of monitor.
    """
    require(actor, "measure")
    judging = _one(monitor_id)
    monitor = judging.monitor
    if monitor.source.get("type") != "push":
        raise Invalid({"": "Firebreak measures this one itself: only monitors of source push take samples."})
    if not monitor.enabled:
        raise Invalid({"": "Measuring is paused."})
    moments = _moments(readings, now)
    known = set(Sample.objects.filter(monitor=monitor, at__in=list(moments)).values_list("at", flat=True))
    newest = monitor.samples.order_by("-at").values_list("at", flat=True).first()
    judged_from = now - dt.timedelta(seconds=2 * monitor.interval_seconds)
    for at, reading in sorted(moments.items()):
        if at in known:
            continue
        if at < judged_from or (newest is not None and at < newest):
            judging.keep(reading, at, judging.plain_level(reading))
        else:
            judging.take(reading, at)
    new = len(judging.samples)
    _store([judging])
    for change in judging.changes:
        _record_change(judging, change, now)
    return new


def _moments(readings: Sequence[Reading], now: dt.datetime) -> dict[dt.datetime, Reading]:
    """The readings by their time; of two for one time the later in the list counts."""
    found = {}
    for position, reading in enumerate(readings):
        at = reading.at or now
        if not now - OLDEST_PUSHED <= at <= now + AHEAD:
            where = "at" if len(readings) == 1 else f"{position}/at"
            raise Invalid({where: "Must lie within the last hour."})
        found[min(at, now)] = reading
    return found


def _one(monitor_id: int) -> _Judging:
    monitor = (
        Monitor.objects.select_for_update(of=("self",), no_key=True)
        .select_related("service")
        .filter(pk=monitor_id)
        .first()
    )
    if monitor is None:
        raise NotFound("No such monitor.")
    return next(iter(_judgings([monitor])))


def _judgings(monitors: Sequence[Monitor]) -> list[_Judging]:
    """Everything that judging these monitors needs (two queries whatever their number)."""
    count = levels.samples_needed(policy.thresholds().confirmation)
    windows: dict[int, list[Measured]] = {monitor.pk: [] for monitor in monitors}
    judgings = {
        monitor.pk: _Judging(monitor, windows[monitor.pk], switched_at)
        for monitor, switched_at in zip(monitors, _switches(monitors), strict=True)
    }
    share = policy.thresholds().confirmation.clear_below
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, [list(windows), count])
        for monitor_id, outcome, level, value in cursor.fetchall():
            clear = levels.is_clear(value, judgings[monitor_id].limits, share=share)
            windows[monitor_id].append(Measured(SampleOutcome(outcome), MonitorLevel(level), clear))
    return list(judgings.values())


def _switches(monitors: Sequence[Monitor]) -> list[dt.datetime | None]:
    """When a rollback switched each one's service last, in the order of the monitors."""
    left = Release.objects.filter(
        service__in={monitor.service_id for monitor in monitors}, state=ReleaseState.ROLLED_BACK
    )
    latest: dict[int, dt.datetime] = {}
    for service_id, ended_at in left.order_by("ended_at").values_list("service_id", "ended_at"):
        if ended_at is not None:
            latest[service_id] = ended_at
    return [latest.get(monitor.service_id) for monitor in monitors]


def _store(judgings: Iterable[_Judging]) -> None:
    """Write the samples and the monitors, in two statements."""
    judgings = list(judgings)
    Sample.objects.bulk_create(sample for judging in judgings for sample in judging.samples)
    monitors = [judging.monitor for judging in judgings]
    with connection.cursor() as cursor:
        cursor.execute(
            _UPDATE,
            [
                policy.thresholds().confirmation.recheck_every,
                [m.pk for m in monitors],
                [m.checked_at for m in monitors],
                [m.answered_at for m in monitors],
                [m.last_value for m in monitors],
                [m.last_error for m in monitors],
                [m.level for m in monitors],
                [m.level_since for m in monitors],
                [m.rechecks_left for m in monitors],
                [m.high_water for m in monitors],
                [m.high_water_at for m in monitors],
                [judging.soon for judging in judgings],
            ],
        )
    live.poke(*(f"service:{monitor.service.slug}" for monitor in monitors))


def _record_change(judging: _Judging, change: _Change, now: dt.datetime) -> None:
    monitor, reading, after = judging.monitor, change.reading, change.after
    if after is MonitorLevel.UNKNOWN:
        said = f"{metric_name(monitor.metric)} cannot be measured: {reading.error}"
    else:
        shown = describe_value(monitor.metric, reading.value)
        limit = getattr(judging.limits, after.value, None) if judging.limits else None
        over = f", threshold {describe_value(monitor.metric, limit)}" if limit is not None else ""
        said = f"{metric_name(monitor.metric)} is {after.label.lower()}: {shown}{over}"
    note_cleanliness(monitor.service, now)
    record_on_service(
        monitor.service,
        "monitor.level_changed",
        said,
        actor=SYSTEM,
        now=now,
        data={
            "monitor": monitor.pk,
            "metric": monitor.metric,
            "from": change.before,
            "to": after,
            "value": None if reading.value is None else repr(reading.value),
            "at": change.at.isoformat(),
            "catastrophic": after is MonitorLevel.CRITICAL
            and levels.is_catastrophic(reading.value, judging.limits),
            "worse": rank(after) > rank(change.before),
        },
    )
