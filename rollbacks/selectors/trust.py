"""Which monitors have lost the right to start rollbacks, by what people judged afterwards."""

from __future__ import annotations

import datetime as dt

from django.db.models import Count

from incidents.models import Monitor, Service
from rollbacks import policy
from rollbacks.models import Rollback
from rollbacks.states import Trigger


def false_positives_of(service_id: int, *, now: dt.datetime) -> dict[int, int]:
    """By monitor of the service: how many automatic rollbacks of late were judged false (one query)."""
    since = now - dt.timedelta(seconds=policy.limits().false_positives_within)
    rows = Rollback.objects.filter(
        service_id=service_id,
        trigger=Trigger.AUTOMATED,
        monitor__isnull=False,
        false_positive=True,
        requested_at__gte=since,
        drill=False,
    )
    counted = rows.order_by().values_list("monitor").annotate(Count("pk"))
    return {monitor: count for monitor, count in counted if monitor is not None}


def distrusted_monitors(service: Service, *, now: dt.datetime) -> tuple[tuple[Monitor, int], ...]:
    """The service's monitors that may start none, with their false positives (two queries at most)."""
    allowed = policy.limits().false_positives
    beyond = {pk: count for pk, count in false_positives_of(service.pk, now=now).items() if count > allowed}
    if not beyond:
        return ()
    return tuple((monitor, beyond[monitor.pk]) for monitor in Monitor.objects.filter(pk__in=beyond))
