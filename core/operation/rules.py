"""What is wrong, judged from facts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from core.operation.facts import Level, MarkFacts, ProcessFacts, SweepFacts, SystemFacts, Trouble

# A sign of life is written every 10 s: three missed ones are silence.
SILENT_AFTER_SECONDS = 30.0
RESCUE_SHOWN_SECONDS = 30.0
SWEEP_LATE_SECONDS = 30.0
SKEW_WARNING_SECONDS = 2.0
SKEW_CRITICAL_SECONDS = 30.0  # a lease's length
DISK_WARNING_RATIO = 0.10
DISK_CRITICAL_RATIO = 0.03


def judge(facts: SystemFacts) -> tuple[Trouble, ...]:
    """Every trouble, the worst first."""
    found = [
        *_migrations(facts),
        *_processes(facts),
        *_web_answers(facts),
        *_work(facts),
        *_sweeps(facts),
        *_broker(facts),
        *_parked(facts),
        *_clocks(facts),
        *_disks(facts),
        *_differences(facts),
        *facts.added,
    ]
    return tuple(sorted(found, key=lambda trouble: trouble.level != "critical"))


def is_silent(process: ProcessFacts) -> bool:
    return process.age_seconds > SILENT_AFTER_SECONDS


def span(seconds: float) -> str:
    """A duration in words: "43 s", "12 min", "3 h", "2 d"."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _processes(facts: SystemFacts) -> Iterator[Trouble]:
    names = dict.fromkeys((*facts.expected, *(process.name for process in facts.processes)))
    for name in names:
        rows = [process for process in facts.processes if process.name == name]
        silent = [process for process in rows if is_silent(process)]
        if not rows:
            text = "There is no sign of it. It was stopped, or never started."
            yield Trouble(
                f"process.{name}", "critical", f"{name} is not running", text, "workers-stopped", True
            )
        elif len(silent) == len(rows):
            youngest = min(process.age_seconds for process in rows)
            text = f"Its last sign of life came {span(youngest)} ago: it was killed, or all of it is stuck."
            yield Trouble(
                f"process.{name}", "critical", f"{name} has gone silent", text, "workers-stopped", True
            )
        else:
            for process in silent:
                key = f"process.{name}.{process.host}.{process.pid}"
                detail = f"Process {process.pid}, {span(process.age_seconds)} ago. Others of its kind go on."
                text = f"{name} on {process.host} has gone silent"
                yield Trouble(key, "warning", text, detail, "workers-stopped")


def _stopped(key: str, level: Level, text: str, detail: str) -> Trouble:
    return Trouble(key, level, text, detail, "workers-stopped", silences=True)


def _web_answers(facts: SystemFacts) -> Iterator[Trouble]:
    """Where the watchdog asks the web process of its host over HTTP, it must get answers."""
    for (component, host), asked in facts.marks.items():
        if component != "web.asked" or asked.age_seconds > SILENT_AFTER_SECONDS:
            continue
        here = [process for process in facts.processes if (process.name, process.host) == ("web", host)]
        if not any(process.uptime_seconds > SILENT_AFTER_SECONDS for process in here):
            continue  # no web here, or it has only just started
        answered = facts.marks.get(("web.answered", host), MarkFacts(float("inf")))
        if answered.age_seconds > SILENT_AFTER_SECONDS:
            detail = f"The watchdog of {host} asks it every few seconds and gets no answer."
            yield _stopped("web.answers", "critical", "web does not answer", detail)


def _work(facts: SystemFacts) -> Iterator[Trouble]:
    for work in facts.work:
        if work.count == 0 or work.oldest_seconds <= work.limit_seconds / 2:
            continue
        late = work.oldest_seconds > work.limit_seconds
        detail = f"{work.count} due, the oldest since {span(work.oldest_seconds)}."
        level: Level = "critical" if late else "warning"
        yield Trouble(f"work.{work.key}", level, f"{work.label}: overdue", detail, "workers-stopped", late)


def _sweeps(facts: SystemFacts) -> Iterator[Trouble]:
    rescues = [mark.age_seconds for (name, _), mark in facts.marks.items() if name == "watchdog.rescue"]
    late = [sweep for sweep in facts.sweeps if is_late(sweep, facts.processes)]
    guarded = any(process.name == "watchdog" and not is_silent(process) for process in facts.processes)
    if (rescues and min(rescues) < RESCUE_SHOWN_SECONDS) or (late and guarded):
        detail = "Workers or broker are behind; nothing is lost, some things are later by seconds."
        text = "The watchdog does overdue work itself"
        yield Trouble("watchdog.rescue", "warning", text, detail, "watchdog-working")
    elif late:
        detail = "Checks, messages and rollbacks wait: no worker runs their sweeps, and no watchdog does."
        text = "Background work has stopped"
        yield _stopped("sweeps", "critical", text, detail)


def is_late(sweep: SweepFacts, processes: Sequence[ProcessFacts]) -> bool:
    """Whether a sweep should have run by now.

    One that never ran was waited for since the oldest living process began: beat runs each first after
    a whole interval.
    """
    waited = sweep.age_seconds
    if waited is None:
        waited = max((p.uptime_seconds for p in processes if not is_silent(p)), default=float("inf"))
    return waited > max(SWEEP_LATE_SECONDS, sweep.every_seconds * 4)


def _broker(facts: SystemFacts) -> Iterator[Trouble]:
    if facts.broker_away is not None:
        detail = f"{facts.broker_away}. The watchdog does what is due; nothing is lost."
        yield Trouble("broker", "warning", "The broker is away", detail, "broker-down")


def _parked(facts: SystemFacts) -> Iterator[Trouble]:
    if facts.parked:
        number = f"{facts.parked} event" + ("s" if facts.parked > 1 else "")
        text = f"{number} could not be handled and {'are' if facts.parked > 1 else 'is'} parked"
        detail = "Somebody may not have been told, or a rollback not considered."
        yield Trouble("parked", "critical", text, detail, "parked-events")


def _migrations(facts: SystemFacts) -> Iterator[Trouble]:
    if facts.unapplied_migrations:
        detail = "This code expects a newer database: run manage.py migrate."
        text = f"{facts.unapplied_migrations} migrations are not applied"
        yield Trouble("migrations", "critical", text, detail)


def _clocks(facts: SystemFacts) -> Iterator[Trouble]:
    for host in dict.fromkeys(process.host for process in facts.processes):
        skews = [
            process.skew_seconds
            for process in facts.processes
            if process.host == host and process.skew_seconds is not None and not is_silent(process)
        ]
        worst = max(skews, key=abs, default=0.0)
        if abs(worst) > SKEW_WARNING_SECONDS:
            level: Level = "critical" if abs(worst) > SKEW_CRITICAL_SECONDS else "warning"
            detail = f"It is {abs(worst):.1f} s {'ahead of' if worst > 0 else 'behind'} the database's."
            yield Trouble(f"clock.{host}", level, f"The clock of {host} is wrong", detail, "clock-skew")


def _disks(facts: SystemFacts) -> Iterator[Trouble]:
    for host in dict.fromkeys(process.host for process in facts.processes):
        free = [
            process.disk_free_ratio
            for process in facts.processes
            if process.host == host and process.disk_free_ratio is not None and not is_silent(process)
        ]
        least = min(free, default=1.0)
        if least < DISK_WARNING_RATIO:
            level: Level = "critical" if least < DISK_CRITICAL_RATIO else "warning"
            detail = f"{least:.0%} of the disk under VAR_DIR is free."
            yield Trouble(f"disk.{host}", level, f"The disk of {host} is nearly full", detail, "disk-full")


def _differences(facts: SystemFacts) -> Iterator[Trouble]:
    alive = [process for process in facts.processes if not is_silent(process)]
    own = Counter(process.playbook for process in alive if process.name == "web" and process.playbook)
    for process in alive:
        if own and process.playbook and process.playbook not in own:
            text = f"{process.name} on {process.host} has another playbook than web"
            detail = "It refuses rollbacks whose procedure differs. Bring the same folder to every host."
            yield Trouble(
                f"playbook.{process.name}.{process.host}", "warning", text, detail, "playbook-mismatch"
            )
    versions = sorted({process.version for process in alive})
    if len(versions) > 1:
        detail = f"{', '.join(versions)}. During an upgrade this passes by itself."
        yield Trouble("versions", "warning", "Processes run different versions", detail)
