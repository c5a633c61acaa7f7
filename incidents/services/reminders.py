"""Saying that something waits: the one loop of what has `due_at`, `reminded_at` and `overdue_at`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.db.models import DateTimeField, F, Func, Q, QuerySet, Value

from incidents.models import AwaitedTraining, Document, Report, Review, TrainingRecord
from incidents.rules.follow_up import OVERDUE, Plan, is_to_be_said, kind_of_reminder

AT_ONCE = 100  # of a sweep: the next one goes on
Waiting = AwaitedTraining | Document | Report | Review | TrainingRecord


def remind(rows: QuerySet[Any], *, plan: Plan, now: dt.datetime, say: Callable[[int], bool]) -> int:
    """Call `say` with the number of each row of which something is to be said; returns how many it said."""
    found = to_be_said(rows, plan=plan, now=now).values_list("pk", flat=True)
    return sum(say(pk) for pk in list(found[:AT_ONCE]))


def to_be_said(rows: QuerySet[Any], *, plan: Plan, now: dt.datetime) -> QuerySet[Any]:
    """Those of which something is to be said, what is due first before the rest: `is_to_be_said` as the
    database asks it, for plans with one moment before.
    """
    [before] = plan.before
    last = Func(
        Value(plan.every), Value(now), F("due_at"), function="date_bin", output_field=DateTimeField()
    )  # the last moment that has come, of those at and after the due time
    soon = Q(due_at__gt=now, due_at__lte=now + before) & (
        Q(reminded_at__isnull=True) | Q(reminded_at__lt=F("due_at") - before)
    )
    late = Q(due_at__lte=now) & (Q(overdue_at__isnull=True) | Q(overdue_at__lt=last))
    return rows.filter(soon | late).order_by("due_at", "pk")


def note_as_said(row: Waiting, *, plan: Plan, now: dt.datetime) -> str:
    """What is to be said of the locked row now, DUE_SOON or OVERDUE, kept as said; empty where nothing is.

    Its version stays: a reminder is nothing that somebody who edits the row must have read.
    """
    said_at = row.overdue_at if row.due_at <= now else row.reminded_at
    if not is_to_be_said(row.due_at, said_at=said_at, now=now, plan=plan):
        return ""
    kind = kind_of_reminder(row.due_at, now)
    keep_as_said(row, now=now)
    return kind


def keep_as_said(row: Waiting, *, now: dt.datetime) -> None:
    """Whoever it waits for has just been told: the next reminder is the one after this moment."""
    late = kind_of_reminder(row.due_at, now) == OVERDUE
    row.reminded_at, row.overdue_at = now, now if late else None
    row.save(update_fields=["reminded_at", "overdue_at"])
